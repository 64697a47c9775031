"""Odd arguments of the call in Python: `explainer(x, target)`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from counterfoil import Classifier, Unchanged
from tests.inputs.case import At, Case, cases

NAMES = ("cat", "dog", "bird")
X = torch.full((2, 1, 16, 16), 0.25)
X[0, :, :, 5:10], X[1, :, :, 10:] = 1.0, 1.0
"""A dog and a bird, each the runner-up of the other."""


class Bars(nn.Module):
    """Brightness of each third of a grey picture, 16 x 16."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([9.0, 9.1, 9.2]))

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[1:]) != (1, 16, 16):
            raise RuntimeError(f"expected 1 channel of 16 x 16, got {tuple(x.shape)}")
        parts = torch.stack([x[..., start : start + 5].mean((1, 2, 3)) for start in (0, 5, 10)], 1)
        return parts @ torch.diag(self.scale)


def asked(x: Any, target: Any = None, **options: Any) -> tuple[list[int], list[str]]:
    """The shape of what comes back, and the classes asked for."""
    found = Unchanged(Classifier(Bars(), class_names=NAMES))(x, target, **options)
    return list(found.counterfactual.shape), [NAMES[k] for k in found.target.tolist()]


def turned(value: Any) -> np.ndarray:
    """An array whose memory runs backwards."""
    return np.ascontiguousarray(np.asarray(value)[..., ::-1])[..., ::-1]


BOTH, ONE = [2, 1, 16, 16], [1, 1, 16, 16]


@cases(
    Case("a batch", lambda at: asked(X), right=(BOTH, ["bird", "dog"])),
    Case("one image without a batch", lambda at: asked(X[0]), right=(ONE, ["bird"])),
    Case("an array", lambda at: asked(X.numpy()), right=(BOTH, ["bird", "dog"])),
    Case("an array in float64", lambda at: asked(X.double().numpy()), right=(BOTH, ["bird", "dog"])),
    Case("an array in float16", lambda at: asked(X.half().numpy()), right=(BOTH, ["bird", "dog"])),
    Case("an array that runs backwards", lambda at: asked(turned(X)), right=(BOTH, ["bird", "dog"])),
    Case("a big-endian array", lambda at: asked(X.numpy().astype(">f8")), right=(BOTH, ["bird", "dog"])),
    Case("one image as an array", lambda at: asked(X.numpy()[1], "cat"), right=(ONE, ["cat"])),
    Case("no images", lambda at: asked(X[:0]), right=([0, 1, 16, 16], [])),
    Case(
        "a tensor with a gradient",
        lambda at: asked(X.clone().requires_grad_()),
        right=(BOTH, ["bird", "dog"]),
    ),
    Case("bytes scaled by nobody", lambda at: asked(X * 255), says=("inputs", "[63.8, 255]", "x / 255")),
    Case("8-bit images", lambda at: asked((X * 255).byte()), says=("inputs", "torch.uint8", "x / 255")),
    Case("an 8-bit array", lambda at: asked(X.byte().numpy()), says=("inputs", "uint8", "x / 255")),
    Case("images in [-1, 1]", lambda at: asked(2 * X - 1), says=("inputs", "[-0.5, 1]", "(x + 1) / 2")),
    Case("channels last", lambda at: asked(X.permute(0, 2, 3, 1)), says=("inputs", "x.permute(0, 3, 1, 2)")),
    Case(
        "channels last in an array", lambda at: asked(np.zeros((16, 16, 3))), says=("x.transpose(2, 0, 1)",)
    ),
    Case(
        "a batch of grey images", lambda at: asked(torch.zeros(5, 16, 16)), says=("(5, 16, 16)", "x[:, None]")
    ),
    Case(
        "three grey images", lambda at: asked(torch.zeros(3, 16, 16)), says=("(1, 3, 16, 16)", "x[:, None]")
    ),
    Case("one grey image", lambda at: asked(X[0, 0]), says=("(16, 16)", "x[None]")),
    Case("a list of images", lambda at: asked(list(X)), says=("inputs", "found list", "torch.stack(x)")),
    Case("a picture of PIL", lambda at: asked(Image.new("L", (16, 16))), says=("found Image", "np.asarray")),
    Case("the path of a picture", lambda at: asked("a.png"), says=("inputs", "found str", "tensor or array")),
    Case("another size", lambda at: asked(X[..., :8]), says=("inputs", "(2, 1, 16, 8)", "size that it was")),
    Case("another type", lambda at: asked(X.double()), says=("torch.float64", "x.to(torch.float32)")),
    Case("NaN", lambda at: asked(X * torch.nan), says=("inputs", "NaN", "[0, 1]")),
    Case("a class by name", lambda at: asked(X, "cat"), right=(BOTH, ["cat", "cat"])),
    Case("a class by name in spaces", lambda at: asked(X, " cat "), right=(BOTH, ["cat", "cat"])),
    Case("a class by index", lambda at: asked(X, 0), right=(BOTH, ["cat", "cat"])),
    Case("a class by numpy's index", lambda at: asked(X, np.int64(0)), right=(BOTH, ["cat", "cat"])),
    Case("a class by an array of one", lambda at: asked(X, np.array(2)), right=(BOTH, ["bird", "bird"])),
    Case("a class by a tensor of one", lambda at: asked(X, torch.tensor(2)), right=(BOTH, ["bird", "bird"])),
    Case("a list of names", lambda at: asked(X, ["cat", "dog"]), right=(BOTH, ["cat", "dog"])),
    Case("a list of indices", lambda at: asked(X, [2, 0]), right=(BOTH, ["bird", "cat"])),
    Case("a list of both", lambda at: asked(X, ("bird", np.int32(0))), right=(BOTH, ["bird", "cat"])),
    Case("an array of names", lambda at: asked(X, np.array(["cat", "dog"])), right=(BOTH, ["cat", "dog"])),
    Case("an array of indices", lambda at: asked(X, np.array([2, 0])), right=(BOTH, ["bird", "cat"])),
    Case("bytes as indices", lambda at: asked(X, torch.tensor([2, 0]).byte()), right=(BOTH, ["bird", "cat"])),
    Case("one image, a list of one", lambda at: asked(X[0], ["cat"]), right=(ONE, ["cat"])),
    Case("every other class", lambda at: asked(X[0], "all"), right=([2, 1, 16, 16], ["cat", "bird"])),
    Case("a form for each", lambda at: asked(X, ["own", None]), right=(BOTH, ["dog", "dog"])),
    Case("an unknown name", lambda at: asked(X, "cow"), says=("target=cow", "cat, dog, bird")),
    Case(
        "an unknown name in a list", lambda at: asked(X, ["cat", "cow"]), says=("target[1]=cow", "cat, dog")
    ),
    Case("an index too large", lambda at: asked(X, 3), says=("target=3", "cat, dog, bird")),
    Case("an index below zero", lambda at: asked(X, [-1, 0]), says=("target[0]=-1", "cat, dog, bird")),
    Case("floats", lambda at: asked(X, torch.ones(2)), says=("target[0]=1", "float", "whole numbers")),
    Case("yes and no", lambda at: asked(X, True), says=("target=True", "cat, dog, bird")),
    Case("too few", lambda at: asked(X, [0]), says=("target", "2 of them", "found 1")),
    Case("one-hot rows", lambda at: asked(X, torch.eye(3)[:2]), says=("(2, 3)", "target.argmax(1)")),
    Case("a column", lambda at: asked(X, torch.zeros(2, 1).long()), says=("(2, 1)", "target.flatten()")),
    Case(
        "a mask as an array", lambda at: asked(X, mask=np.ones((16, 16), bool)), right=(BOTH, ["bird", "dog"])
    ),
    Case(
        "a mask of numbers",
        lambda at: asked(X, mask=np.ones((16, 16))),
        says=("mask", "float64", "mask > 0.5"),
    ),
)
def test_calls(case: Case, at: At) -> None:
    case.settle(at)
