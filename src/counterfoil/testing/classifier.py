"""What a network needs to be explained, as functions that any network can be tried on."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError, first_line
from counterfoil.core.outputs import per_image, pick
from counterfoil.testing.broken import Broken, broken, hold, tell
from counterfoil.testing.toys import queries

CLOSE = 1e-3
"""How far a row may be from the same one alone in float32, of the largest logit."""
GRADIENT = "wachter, revise and all others that follow gradients"
BLACK_BOX = "explainer=[growing_spheres,nearest]"


def check_classifier(
    net: nn.Module, x: Tensor | None = None, *, output: str | int | None = None
) -> list[str]:
    """Try on a copy of a network, in eval mode, what methods rely on.

    Args:
        net: a `Classifier`, or any network that maps images in [0, 1] to logits (B, K).
        x: a few images (B, C, H, W) in [0, 1]; None: four pictures of `counterfoil.testing.Bars`.
        output: the one of several outputs that decides, see `counterfoil.core.outputs.pick`.

    Returns:
        what will work and what will not, in plain sentences.

    Raises:
        Broken: an AssertionError with one plain sentence for each thing that no method can do without.
    """
    given = (queries() if x is None else x).float()
    made = _Read(copy.deepcopy(net).float().eval(), output)
    for promises in ((puts_out_logits,), (repeats,), PROMISES):  # what comes after would follow from it
        tell(net, broken(promises, made, given))
    return [*_about_gradients(made, given), *_about_types(made, given), *_about_form(made, given)]


class _Read(nn.Module):
    """A network's outputs as a run reads them: one number per class."""

    def __init__(self, net: nn.Module, output: str | int | None) -> None:
        super().__init__()
        self.net, self.output = net, output

    def forward(self, x: Tensor) -> Tensor:
        return per_image(pick(self.net(x), self.output), len(x))


def puts_out_logits(net: nn.Module, x: Tensor) -> None:
    """Images go in, and one finite number per class comes out for each."""
    shape = tuple(x.shape[1:])
    try:
        with torch.no_grad():
            logits = net(x.clone())
    except UserError as error:
        raise Broken(f"is not read: {error}") from error
    except Exception as error:
        raise Broken(
            f"cannot take images of shape {shape} (channels, height, width): {first_line(error)}"
        ) from error
    hold(logits.isfinite().all(), "puts out values that are not finite (NaN or infinite); check its weights")
    hold(
        logits.shape[1] == 1 or not bool((logits == logits[:, :1]).all()),
        "puts out the same for every class; it decides nothing",
    )
    low, high = float(logits.min()), float(logits.max())
    whole = low >= -1e-4 and bool(((logits.sum(1) - 1).abs() < 1e-3).all()) and logits.shape[1] > 1
    hold(not whole, "puts out probabilities that sum to 1; set decision=probabilities, or drop its softmax")
    hold(
        not (low >= 0 and high <= 1),
        f"puts out values from {low:.3g} to {high:.3g}, as a sigmoid does; set decision=sigmoid, or drop it",
    )


def repeats(net: nn.Module, x: Tensor) -> None:
    """The same images have the same logits in two calls."""
    with torch.no_grad():
        first, second = net(x.clone()), net(x.clone())
    hold(
        torch.equal(first, second),
        "is not deterministic: two calls on the same images differ; in eval mode nothing may be drawn or "
        "learnt (dropout, noise, moving statistics)",
    )


def reads_each_image_alone(net: nn.Module, x: Tensor) -> None:
    """An image has the logits that it has alone."""
    with torch.no_grad():
        whole = net(x.clone())
        try:
            alone = torch.cat([net(x[i : i + 1].clone()) for i in range(len(x))])
        except Exception as error:
            raise Broken(
                f"depends on the batch: it fails with one image alone ({first_line(error)})"
            ) from error
    far = float((whole - alone).abs().max())
    hold(
        far <= CLOSE * max(1.0, float(whole.abs().max())),
        f"depends on the batch: an image's logits are {far:.2g} from what they are alone; batch "
        "normalisation must use its moving statistics, as in eval mode",
    )


def leaves_all_as_it_was(net: nn.Module, x: Tensor) -> None:
    """Neither images nor weights and buffers nor the caller's random stream change."""
    before, given, draws = copy.deepcopy(net.state_dict()), x.clone(), torch.get_rng_state()
    with torch.no_grad():
        net(given)
    hold(
        torch.equal(given, x), "changes the images that it is given; its first operation must not be in place"
    )
    for name, value in net.state_dict().items():
        same = torch.equal(value.nan_to_num(), before[name].nan_to_num())
        hold(same, f"changes while it is used: {name.removeprefix('net.')} is not what it was")
    hold(torch.equal(draws, torch.get_rng_state()), "draws from the caller's random stream in eval mode")


def gradients_are_of_use(net: nn.Module, x: Tensor) -> None:
    """Where logits have gradients, these are finite and not all zero."""
    gradient = _gradient(net, x)
    if gradient is None:
        return
    hold(gradient.isfinite().all(), "has gradients that are not finite (NaN or infinite)")
    hold(gradient.any(), "has a gradient of zero everywhere, as where an activation is saturated or a step")


PROMISES = (reads_each_image_alone, leaves_all_as_it_was, gradients_are_of_use)


def _gradient(net: nn.Module, x: Tensor) -> Tensor | None:
    """d sum s² / dx; None where the logits have none."""
    leaf = x.clone().requires_grad_()
    try:
        logits = net(leaf * 1.0)
    except UserError:  # a black box says so
        return None
    if not logits.requires_grad:
        return None
    return torch.autograd.grad(logits.square().sum(), leaf, allow_unused=True)[0]


def _about_gradients(net: nn.Module, x: Tensor) -> list[str]:
    if _gradient(net, x) is None:
        return [f"It has no gradients: {GRADIENT} will not work; black-box methods will, {BLACK_BOX}."]
    return [f"It has gradients: {GRADIENT} will work, and so will black-box methods."]


def _about_types(net: nn.Module, x: Tensor) -> list[str]:
    try:
        with torch.no_grad():
            found = copy.deepcopy(net).double()(x.double())
    except Exception as error:
        return [f"It does not run in float64 ({first_line(error)}): dtype=float64 will not work."]
    if found.dtype != torch.float64:
        return [f"It puts out {found.dtype} for float64: dtype=float64 will not be more precise."]
    return ["It runs in float32 and in float64."]


def _about_form(net: nn.Module, x: Tensor) -> list[str]:
    with torch.no_grad():
        classes = net(x.clone()).shape[1]
    if classes == 1:
        return ["It puts out one number per image, which is read as the logit of the second of two classes."]
    return [f"It puts out {classes} logits per image: the data need {classes} classes, or class_names=."]
