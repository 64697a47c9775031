"""What every generative model promises to methods, as functions that any model can be tried on."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from counterfoil.core.generator import Conditional, Decodes, Edits, Encodes
from counterfoil.testing.broken import broken, hold, tell
from counterfoil.testing.toys import queries


def check_generative(model: nn.Module, x: Tensor | None = None) -> None:
    """Try every promise of a generative model on a copy of it, in eval mode and float64.

    Args:
        model: with `encode` and `decode`, one of them, or attributes to edit.
        x: a few images (B, C, H, W) in [0, 1]; None: pictures of `counterfoil.testing.Bars`.

    Raises:
        Broken: an AssertionError with one plain sentence for each promise that is broken.
    """
    given = (queries() if x is None else x).double()
    able = [one for one in (Encodes, Decodes, Edits) if isinstance(model, one)]
    if not able:
        tell(
            model,
            ["can do nothing that a method asks for; write encode(x, condition) or decode(z, condition)"],
        )
    made = copy.deepcopy(model).double().eval()
    tell(model, broken(PROMISES, made, given))


def conditions(model: nn.Module, rows: int) -> Tensor | None:
    """A condition for each row, of a model that wants one: one-hot classes, or attributes."""
    if isinstance(model, Edits):
        names = len(model.attribute_names)
        return (torch.arange(rows * names).view(rows, names) % 2).double()
    if isinstance(model, Conditional) and model.classes:
        return nn.functional.one_hot(torch.arange(rows) % model.classes, model.classes).double()
    return None


def codes(model: nn.Module, x: Tensor) -> Tensor:
    """Codes of images; of a model that only decodes there are none to be had."""
    assert isinstance(model, Encodes)
    with torch.no_grad():
        return model.encode(x, conditions(model, len(x)))


def encodes(model: nn.Module, x: Tensor) -> None:
    """Codes are finite, (B, ...), the same in two calls, and each row's own."""
    if not isinstance(model, Encodes):
        return
    z = codes(model, x)
    hold(z.shape[:1] == x.shape[:1] and z.ndim >= 2, f"encodes {len(x)} images as {tuple(z.shape)}")
    hold(z.isfinite().all(), "encodes to values that are not finite")
    hold(torch.equal(z, codes(model, x)), "encodes otherwise each time; encode is the mean in eval mode")
    condition = conditions(model, len(x))
    for i in range(len(x)):
        with torch.no_grad():
            alone = model.encode(x[i : i + 1], None if condition is None else condition[i : i + 1])
        far = float((alone - z[i : i + 1]).abs().max())
        hold(far < 1e-8, f"encodes by the batch: the code of row {i} is {far:.2g} from what it is alone")


def decodes(model: nn.Module, x: Tensor) -> None:
    """Images of codes have the shape of those encoded, lie in [0, 1], repeat, and are each row's own."""
    if not (isinstance(model, Encodes) and isinstance(model, Decodes)):
        return
    z, condition = codes(model, x), conditions(model, len(x))
    with torch.no_grad():
        image, again = model.decode(z, condition), model.decode(z, condition)
    hold(image.shape == x.shape, f"decodes images {tuple(image.shape)}, expected {tuple(x.shape)}")
    hold(image.isfinite().all(), "decodes to values that are not finite")
    low, high = float(image.min()), float(image.max())
    hold(
        low >= 0 and high <= 1,
        f"leaves [0, 1]: it decodes to {low:.3g} to {high:.3g}; end in a sigmoid or clamp",
    )
    hold(torch.equal(image, again), "decodes otherwise each time")
    for i in range(len(x)):
        with torch.no_grad():
            alone = model.decode(z[i : i + 1], None if condition is None else condition[i : i + 1])
        far = float((alone - image[i : i + 1]).abs().max())
        hold(far < 1e-8, f"decodes by the batch: the image of row {i} is {far:.2g} from what it is alone")


def gradients_reach_the_code(model: nn.Module, x: Tensor) -> None:
    """A search moves the code by the gradient of what is decoded."""
    if not (isinstance(model, Encodes) and isinstance(model, Decodes)):
        return
    z = codes(model, x).requires_grad_()
    image = model.decode(z, conditions(model, len(x)))
    hold(image.requires_grad, "passes no gradient from the image to the code")
    (gradient,) = torch.autograd.grad(image.square().sum(), z)
    hold(gradient.isfinite().all(), "passes gradients that are not finite to the code")
    hold(gradient.any(), "passes a gradient of zero to the code")


def edits(model: nn.Module, x: Tensor) -> None:
    """Attributes read off images lie in [0, 1], one for each name."""
    if not isinstance(model, Edits):
        return
    with torch.no_grad():
        found = model.attributes(x)
    expected = (len(x), len(model.attribute_names))
    hold(found.shape == expected, f"reads attributes {tuple(found.shape)}, expected {expected}")
    hold(bool(((found >= 0) & (found <= 1)).all()), "reads attributes outside of [0, 1]")


def stays_as_it_is(model: nn.Module, x: Tensor) -> None:
    """Neither weights nor images nor the caller's random stream change."""
    before, given, draws = copy.deepcopy(model.state_dict()), x.clone(), torch.get_rng_state()
    encodes(model, x)
    decodes(model, x)
    for name, value in model.state_dict().items():
        hold(torch.equal(value, before[name]), f"changes while it is used: {name} is not what it was")
    hold(torch.equal(x, given), "changes the images that it is given")
    hold(torch.equal(draws, torch.get_rng_state()), "draws from the caller's random stream in eval mode")


PROMISES = (encodes, decodes, gradients_reach_the_code, edits, stays_as_it_is)
