"""What a person hands over becomes the batch that was meant, or one line with the call that works."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.inputs import as_inputs, as_mask, first_logits

NET = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 9, 2))
X = torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "given",
    [
        X,
        X.clone().requires_grad_(),
        X.numpy(),
        X.double().numpy(),
        np.ascontiguousarray(X.numpy()[::-1])[::-1],
        X.numpy().astype(">f4"),
        np.asfortranarray(X.numpy()),
    ],
)
def test_a_batch_in_any_form(given: Any) -> None:
    made = as_inputs(given, NET)
    assert torch.equal(made, X)
    assert made.dtype == torch.float32
    assert not made.requires_grad


def test_what_interpolation_leaves_outside_is_brought_back() -> None:
    """White, scaled down in float32 with anti-aliasing, is 1 + 2e-7."""
    white = nn.functional.interpolate(torch.ones(2, 3, 50, 50), (8, 9), mode="bilinear", antialias=True)
    assert float(white.max()) > 1
    made = as_inputs(torch.cat((white, -1e-7 * white)), NET)
    assert (float(made.min()), float(made.max())) == (0.0, 1.0)
    with pytest.raises(UserError, match="expected values in"):
        as_inputs(white + 1e-4, NET)


def test_an_array_that_may_not_be_written_is_left_alone() -> None:
    given = X.numpy().copy()
    given.setflags(write=False)
    made = as_inputs(given, NET)
    made += 1
    assert np.array_equal(given, X.numpy())


def test_one_image_is_a_batch_of_one() -> None:
    assert torch.equal(as_inputs(X[0], NET), X[:1])
    assert torch.equal(as_inputs(X[0].numpy(), NET), X[:1])


def test_arrays_take_the_type_of_the_classifier_and_tensors_keep_their_own() -> None:
    assert as_inputs(X.numpy(), NET.double()).dtype == torch.float64
    assert as_inputs(X, NET.double()).dtype == torch.float32
    NET.float()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((X.numpy() * 255).astype(np.uint8), "x / 255"),
        ((X * 255).to(torch.int64), "x / 255"),
        (X > 0.5, "x.float()"),
        (X * 255, "x / 255"),
        (2 * X - 1, "(x + 1) / 2"),
        (X.permute(0, 2, 3, 1), "x.permute(0, 3, 1, 2)"),
        (X[0].permute(1, 2, 0).numpy(), "x.transpose(2, 0, 1)"),
        (X[:, 0], "x[:, None]"),
        (X[0, 0], "x[None]"),
        (X[None], "(B, C, H, W)"),
        (list(X), "torch.stack(x)"),
        (np.array(["a.png"]), "np.stack(x)"),
        (Image.new("L", (8, 9)), "convert"),
        ("a.png", "found str"),
        (torch.full((1, 3, 8, 9), torch.nan), "NaN"),
        (torch.full((1, 3, 8, 9), torch.inf), "infinite"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_call_that_works(given: Any, said: str) -> None:
    with pytest.raises(UserError) as caught:
        as_inputs(given, NET)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(8, 9), (1, 8, 9), (2, 1, 8, 9)])
def test_masks_broadcast(shape: tuple[int, ...]) -> None:
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[..., 0] = True
    for given in (mask, mask.numpy()):
        assert torch.equal(as_mask(given, X), mask.expand(2, 1, 8, 9))


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (torch.zeros(8, 9), "mask > 0.5"),
        (np.zeros((8, 9)), "float64"),
        ([[True]], "found list"),
        (torch.zeros(9, 8, dtype=torch.bool), "(9, 8)"),
    ],
)
def test_bad_masks(mask: Any, said: str) -> None:
    with pytest.raises(UserError) as caught:
        as_mask(mask, X)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (X.double(), "x.to(torch.float32)"),
        (X[:1].repeat(1, 1, 2, 1), "x[:, None]"),
        (X.repeat(1, 1, 2, 1), "trained on"),
    ],
)
def test_what_the_classifier_cannot_read_is_said(x: Tensor, said: str) -> None:
    with pytest.raises(UserError) as caught:
        first_logits(NET, x)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_logits_are_held_to_their_shape() -> None:
    assert first_logits(NET, X).shape == (2, 2)
    with pytest.raises(UserError, match="K >= 2"):
        first_logits(nn.Sequential(nn.Flatten(), nn.Linear(216, 1)), X)
    with pytest.raises(UserError, match="NaN"):
        first_logits(nn.Sequential(NET, nn.Softplus(beta=torch.nan)), X)
