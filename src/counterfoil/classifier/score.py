"""How far an input lies off the data's manifold, told by the classifier alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Seed
from counterfoil.core.errors import UserError
from counterfoil.core.options import shows_options
from counterfoil.util.checkpoint import load_weights

Features = Mapping[str, Tensor]


class Score(Protocol):
    """One number per input, larger the further it lies off the manifold; differentiable in the input."""

    def layers(self, classifier: Any) -> tuple[str, ...]:
        """Names of the sub-modules of the network whose activations the score reads.

        UserError where the network cannot serve it.
        """

    def __call__(self, classifier: Any, x: Tensor, logits: Tensor, features: Features) -> Tensor:
        """The score (B,) of inputs (B, C, H, W) with logits (B, K) and the activations of `layers`."""


@shows_options
class Energy:
    """-log sum_k exp(s_k): small where some class is strongly supported. Any classifier has it.

    Source: Energy-based Out-of-distribution Detection (Liu et al., 2020), arXiv 2010.03759
    """

    def layers(self, classifier: Any) -> tuple[str, ...]:
        """None are read."""
        return ()

    def __call__(self, classifier: Any, x: Tensor, logits: Tensor, features: Features) -> Tensor:
        """The energy (B,), unbounded."""
        return -logits.logsumexp(1)


@shows_options
class KernelDistance:
    """min_c d_c(x) = -log max_c K_c(x) >= 0: squared distance to the nearest class centroid.

    In units of the kernel's width.
    Source: Uncertainty Estimation Using a Single Deep Deterministic Neural Network (van Amersfoort et al.,
    2020), arXiv 2003.02037
    """

    def layers(self, classifier: Any) -> tuple[str, ...]:
        """None are read; raises UserError for a network without kernels."""
        if not getattr(network(classifier), "kernel", False):
            raise UserError(
                f"score KernelDistance: {_named(classifier)} has no kernels; take classifier=duq, or another "
                "score"
            )
        return ()

    def __call__(self, classifier: Any, x: Tensor, logits: Tensor, features: Features) -> Tensor:
        """The distance (B,) to the nearest centroid."""
        return -logits.amax(1)


@shows_options
class PredictedError:
    """The loss that the network predicts for itself; unbounded.

    Source: Learning Loss for Active Learning (Yoo and Kweon, 2019), arXiv 1905.03677
    """

    def layers(self, classifier: Any) -> tuple[str, ...]:
        """Those that the network's error head taps; raises UserError where it has none."""
        net = network(classifier)
        if not callable(getattr(net, "predict_error", None)):
            raise UserError(
                f"score PredictedError: {_named(classifier)} predicts no error of its own; take "
                "classifier=dep or another score"
            )
        return tuple(net.error_layers)

    def __call__(self, classifier: Any, x: Tensor, logits: Tensor, features: Features) -> Tensor:
        """The predicted loss (B,)."""
        predicted: Tensor = network(classifier).predict_error(features)
        return predicted


@shows_options
class DropoutEntropy:
    """H(1/S sum_s p_s) in [0, log K]: entropy of the mean posterior over S networks thinned by dropout.

    The S masks are the same for every input and every call, so that a query's score never depends on its
    batch.

    Args:
        samples: S.
        seed: of the masks.

    Source: Dropout as a Bayesian Approximation (Gal and Ghahramani, 2016), arXiv 1506.02142
    """

    def __init__(self, samples: Count = 8, seed: Seed = 0) -> None:
        self.samples = samples
        self.seed = seed

    def layers(self, classifier: Any) -> tuple[str, ...]:
        """None are read; raises UserError for a network without dropout."""
        if not _dropouts(classifier):
            raise UserError(
                f"score DropoutEntropy: {_named(classifier)} has no dropout; take another score, such as "
                "Energy"
            )
        return ()

    def __call__(self, classifier: Any, x: Tensor, logits: Tensor, features: Features) -> Tensor:
        """The entropy (B,) in nats."""
        with self._thinned(classifier):
            repeated = x.repeat(self.samples, *[1] * (x.ndim - 1))
            posterior = classifier(repeated).softmax(1)
        return entropy(posterior.view(self.samples, len(x), -1).mean(0))

    @contextmanager
    def _thinned(self, classifier: Any) -> Iterator[None]:
        hooks = [
            module.register_forward_hook(
                lambda module, _inputs, output, place=place: output * self._mask(output, module, place)
            )
            for place, module in enumerate(_dropouts(classifier))
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _mask(self, output: Tensor, module: Any, place: int) -> Tensor:
        """Zeros and 1 / (1 - p), one mask per sample, shared by all of the sample's inputs."""
        whole = isinstance(module, nn.Dropout | nn.AlphaDropout)
        shape = output.shape[1:] if whole else (output.shape[1], *[1] * (output.ndim - 2))
        generator = torch.Generator().manual_seed(self.seed * 65_537 + place)
        kept = torch.rand(self.samples, *shape, generator=generator) >= module.p
        mask: Tensor = kept.to(output) / max(1 - module.p, 1e-6)
        return mask.repeat_interleave(len(output) // self.samples, 0)


@shows_options
class Disagreement:
    """H(mean_i p_i) - mean_i H(p_i) in [0, log K] over the explained classifier and further ones.
    Args:
        members: further classifiers, or files with other weights of the same network (safetensors or a state
            dict).

    Source: Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles (Lakshminarayanan et
    al., 2017), arXiv 1612.01474
    """

    def __init__(self, members: Sequence[nn.Module | str | Path]) -> None:
        if not members:
            raise UserError(
                "score Disagreement: members is empty; name files of weights of further classifiers, such as "
                "one of another seed"
            )
        self.members = tuple(members)
        self._loaded: dict[tuple[Any, ...], list[nn.Module]] = {}

    def layers(self, classifier: Any) -> tuple[str, ...]:
        """None are read; raises UserError for files that do not fit the classifier's network."""
        self._networks(classifier)
        return ()

    def __call__(self, classifier: Any, x: Tensor, logits: Tensor, features: Features) -> Tensor:
        """How much the members disagree (B,), in nats.

        Members with another number of classes are a UserError.
        """
        posteriors = [logits.softmax(1), *(member(x).softmax(1) for member in self._networks(classifier))]
        classes = [part.shape[1] for part in posteriors]
        if len(set(classes)) > 1:
            raise UserError(f"score Disagreement: the members have {classes} classes, expected equal numbers")
        stacked = torch.stack(posteriors)
        return entropy(stacked.mean(0)) - entropy(stacked).mean(0)

    def _networks(self, classifier: Any) -> list[nn.Module]:
        """The members on the classifier's device and in its precision; files are read once."""
        like = next(iter(classifier.parameters()), torch.zeros(()))
        key = (id(classifier), like.device, like.dtype)
        if key not in self._loaded:
            self._loaded = {key: [_member(member, classifier).to(like) for member in self.members]}
        return self._loaded[key]


def default_score(classifier: Any) -> Score:
    """The best that the classifier carries: predicted error, else distance to its kernels, else energy."""
    net = network(classifier)
    if callable(getattr(net, "predict_error", None)):
        return PredictedError()
    return KernelDistance() if getattr(net, "kernel", False) else Energy()


def entropy(posterior: Tensor) -> Tensor:
    """-sum_k p_k log p_k of posteriors (..., K): (...,), in [0, log K]."""
    return -(posterior * posterior.clamp(min=torch.finfo(posterior.dtype).tiny).log()).sum(-1)


def network(classifier: Any) -> Any:
    """The network inside a classifier, or the classifier itself where it wraps none."""
    return getattr(classifier, "net", classifier)


def _named(classifier: Any) -> str:
    return type(network(classifier)).__name__


def _dropouts(classifier: Any) -> list[nn.Module]:
    modules = classifier.modules() if isinstance(classifier, nn.Module) else ()
    return [
        module for module in modules if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
    ]


def _member(member: nn.Module | str | Path, classifier: Any) -> nn.Module:
    copy: nn.Module = deepcopy(member if isinstance(member, nn.Module) else classifier)
    if not isinstance(member, nn.Module):
        load_weights(network(copy), Path(member).expanduser())
    return copy.eval().requires_grad_(False)
