"""The knob of progressive exaggeration: the posterior of a target, in bins that real images fill."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.core.strip import Scale
from counterfoil.core.target import class_index

OUTER = 0.95
"""Calibrated posterior at the end of the scale where bins lie on the logit."""
_TEMPERATURES = torch.logspace(-1, 2, 61, base=4.0)
_MODES = {
    "raw": "the classifier's own posterior",
    "temperature": "the calibrated posterior",
    "logit": "the logit",
}
log = logging.getLogger("counterfoil")


class Knob(nn.Module):
    """The scale of requests: slots (targets), their log-odds, a temperature and bins.

    s_t(x) = logit_t - logsumexp of the others, or logit_b - logit_a for a pair (a, b)
    q_t(x) = sigmoid(s_t(x) / tau_t)

    q is the *calibrated posterior*: every request, bin and error of the method is in it. It equals the
    classifier's own posterior only for tau = 1. A temperature is chosen so that real images fill the bins,
    not so that q is an honest probability; the order of q is the order of the classifier's own posterior, so
    that rank correlations are the same for both within a target; pooled over targets of different tau they
    are not.

    Args:
        classes: K of the classifier.
        targets: a pair (a, b): b against a; one class: it against the rest; None: every class, one slot each
            (K = 2: class 1).
        bins: number of bins of each slot.
        class_names: names that `targets` may use.

    Attributes:
        temperature: (T,) tau of each slot.
        edges, centres: (T, bins - 1) and (T, bins), in log-odds s.
        classifier: int64 (), fingerprint of the classifier it was fitted to; 0 before.

    Raises:
        UserError: unknown targets, fewer than two bins.
    """

    temperature: Tensor
    edges: Tensor
    centres: Tensor
    classifier: Tensor

    def __init__(
        self,
        classes: int,
        targets: Sequence[int | str] | int | str | None = None,
        bins: int = 10,
        class_names: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__()
        self.classes, self.bins = classes, bins
        self.pair, self.slots = _resolve(targets, classes, class_names)
        edges, centres = _even(torch.ones(len(self.slots)), bins)
        self.register_buffer("temperature", torch.ones(len(self.slots)))
        self.register_buffer("edges", edges)
        self.register_buffer("centres", centres)
        self.register_buffer("classifier", torch.zeros((), dtype=torch.int64))

    def log_odds(self, logits: Tensor, slot: Tensor) -> Tensor:
        """s (B,) of logits (B, K) for each row's slot (B,)."""
        return self.scale(slot).log_odds(logits)

    def scale(self, slot: Tensor) -> Scale:
        """The scale of each row's slot (B,)."""
        high = torch.tensor(self.slots, device=slot.device)[slot]
        low = torch.full_like(high, self.pair[0] if self.pair else -1)
        return Scale(high, low, self.temperature[slot], self.edges[slot])

    def posterior(self, logits: Tensor, slot: Tensor) -> Tensor:
        """q (B,) in [0, 1] of logits (B, K), for each row's slot."""
        scale = self.scale(slot)
        return scale.posterior(scale.log_odds(logits))

    def bin_of(self, log_odds: Tensor, slot: Tensor) -> Tensor:
        """The bin (B,) int64 in which log-odds (B,) lie; an edge belongs to the bin above it."""
        return self.scale(slot).bin(log_odds)

    def request(self, slot: Tensor, bin: Tensor) -> Tensor:
        """The requested calibrated posterior (B,) of a bin: its centre's."""
        return (self.centres[slot, bin] / self.temperature[slot]).sigmoid()

    def serve(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Slot (B,) and direction bool (B,) of target classes (B,); False: at the low end of the slot.

        Raises:
            UserError: a target that the model was not trained for.
        """
        table = torch.full((self.classes, 2), -1, device=target.device)
        for slot, up in enumerate(self.slots):
            table[up] = torch.tensor([slot, 1])
        if self.low is not None:
            table[self.low] = torch.tensor([0, 0])
        found = table[target]
        if bool((found[:, 0] < 0).any()):
            wrong = sorted(set(target[found[:, 0] < 0].tolist()))
            raise UserError(
                f"target class {wrong[0]} is not served by this exaggerator, which was trained for "
                f"{self.describe()}; choose one of those with target=, or train it with net.targets=null "
                "(one model for all classes)"
            )
        return found[:, 0], found[:, 1].bool()

    @property
    def low(self) -> int | None:
        """The class at the low end of the only slot, if there is one: a pair's first, or class 0 of two."""
        if self.pair:
            return self.pair[0]
        return 0 if self.classes == 2 and len(self.slots) == 1 and self.slots[0] == 1 else None

    def describe(self) -> str:
        """The targets in words."""
        if self.pair:
            return f"class {self.pair[1]} against class {self.pair[0]}"
        return (
            "every class"
            if len(self.slots) == self.classes
            else f"class {', '.join(map(str, self.slots))} against the rest"
        )

    def announce(self, name: str, mode: str, counts: Tensor) -> None:
        """Tell what the bins of model `name` lie on, and how many training images (T, bins) are in them."""
        taus = ", ".join(f"{tau:.2f}" for tau in self.temperature.tolist())
        filled = f"{int(counts.min())} to {int(counts.max())} training images per bin"
        on = f"bins of equal width on {_MODES[mode]}"
        log.info(f"{name}: {self.describe()}; {on}, temperature {taus}; {filled}")

    def fit(self, val: Tensor, train: Tensor, mode: str = "auto", enough: int = 30) -> tuple[str, Tensor]:
        """Choose temperature and bins so that real images fill them.

        raw: tau = 1, bins of equal width in q. temperature: the tau that spreads the *validation* images most
        evenly over bins of equal width (largest entropy). logit: bins of equal width in s from 0 out to the
        90 % quantile of each side, with q = OUTER where the mean of both sides ends. auto: the first of these
        whose smallest bin holds `enough` training images, else the one with the fewest empty bins and among
        those the fullest smallest bin.

        Args:
            val, train: log-odds (T, N) of the validation and training images.

        Returns:
            the mode taken, and the number of training images in each bin: int64 (T, bins).

        Raises:
            UserError: an unknown mode; a classifier whose log-odds do not vary.
        """
        if mode not in ("auto", *_MODES):
            raise UserError(f"calibration={mode} is not known; choose auto, {', '.join(_MODES)}")
        flat = train.std(1) < 1e-4
        if bool(flat.any()) or not bool(torch.isfinite(train).all()):
            raise UserError(
                f"classifier: it ignores its input (or puts out NaN): the log-odds of {self.describe()} are "
                f"the same for all {train.shape[1]} training images, so that nothing can be exaggerated; "
                "train it, or check its mean, std and checkpoint"
            )
        best: tuple[str, Tensor] | None = None
        for name in _MODES if mode == "auto" else (mode,):
            self._set(name, val.float(), train.float())
            counts = self.counts(train)
            if best is None or _fullness(counts) > _fullness(best[1]):
                best = name, counts
            if counts.min() >= enough:
                break
        assert best is not None
        self._set(best[0], val.float(), train.float())
        return best

    def counts(self, log_odds: Tensor) -> Tensor:
        """How many of the log-odds (T, N) lie in each bin: int64 (T, bins)."""
        return torch.stack([torch.bincount(row, minlength=self.bins) for row in self.bins_of(log_odds)])

    def bins_of(self, log_odds: Tensor) -> Tensor:
        """The bins (T, N) of log-odds (T, N), one row per slot."""
        slots = torch.arange(len(log_odds)).repeat_interleave(log_odds.shape[1])
        return self.bin_of(log_odds.flatten().to(self.edges), slots).view_as(log_odds)

    def _set(self, mode: str, val: Tensor, train: Tensor) -> None:
        if mode == "logit":
            reach = torch.stack([_reach(row) for row in train])
            temperature = reach.mean(1) / math.log(OUTER / (1 - OUTER))
            unit = torch.linspace(-1, 1, 2 * self.bins + 1)
            edges, centres = _stretch(unit[2:-1:2], reach), _stretch(unit[1::2], reach)
        else:
            temperature = (
                torch.ones(len(val))
                if mode == "raw"
                else torch.stack([_spread(row, self.bins) for row in val])
            )
            edges, centres = _even(temperature, self.bins)
        self.temperature.copy_(temperature)
        self.edges.copy_(edges)
        self.centres.copy_(centres)


def _resolve(
    targets: Sequence[int | str] | int | str | None, classes: int, names: tuple[str, ...] | None
) -> tuple[tuple[int, int] | None, tuple[int, ...]]:
    """The pair, where one is given, and the class at the high end of each slot."""
    if targets is None:
        return None, (1,) if classes == 2 else tuple(range(classes))
    if isinstance(targets, int | str):
        return None, (class_index(targets, names, classes),)
    found = tuple(class_index(target, names, classes) for target in targets)
    if len(found) != 2 or found[0] == found[1]:
        raise UserError(
            f"targets={list(targets)}: expected two different classes for a pair, one class, or null for "
            "every class"
        )
    return (found[0], found[1]), (found[1],)


def _fullness(counts: Tensor) -> tuple[int, int]:
    return int((counts > 0).sum()), int(counts.min())


def _even(temperature: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Edges (T, bins - 1) and centres (T, bins) in log-odds of bins of equal width in q."""
    q = torch.linspace(0, 1, 2 * bins + 1)[1:-1]
    log_odds = temperature[:, None] * torch.logit(q)
    return log_odds[:, 1::2], log_odds[:, 0::2]


def _reach(log_odds: Tensor) -> Tensor:
    """How far (2,) the log-odds go below and above 0, at their 90 % quantiles."""
    sides = (-log_odds[log_odds < 0], log_odds[log_odds > 0])
    whole = log_odds.abs().quantile(0.9)
    return torch.stack([side.quantile(0.9) if len(side) else whole for side in sides])


def _stretch(unit: Tensor, reach: Tensor) -> Tensor:
    """Positions in [-1, 1] (M,) as log-odds (T, M), each side stretched to its reach (T, 2)."""
    return torch.where(unit < 0, unit * reach[:, :1], unit * reach[:, 1:])


def _spread(log_odds: Tensor, bins: int) -> Tensor:
    """The temperature under which log-odds (N,) fill equal bins of q most evenly."""
    q = (log_odds / _TEMPERATURES[:, None]).sigmoid()
    cells = (q * bins).long().clamp(max=bins - 1)
    share = torch.nn.functional.one_hot(cells, bins).float().mean(1)
    return _TEMPERATURES[torch.special.entr(share).sum(1).argmax()]
