"""What all methods together say of the classifier, and why not to believe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterfoil.audit.insertion import Interval, Ranked

DECIDES = 0.5
"""A part decides where it alone turns at least this share of the queries."""
BELIEVED = 0.5
"""Counterfactuals count as evidence where the judge gives the target this probability on average, or more."""
CLEAR = 0.95
"""The first part is told from the others where it is first in this share of resamples, or more."""


@dataclass(frozen=True)
class Verdict:
    """In a sentence, with its reservations.

    Attributes:
        first: the first-ranked part of each method.
        part: the one that most believed methods put first; "" without methods.
        decides: whether that part alone turns DECIDES of the queries, on average over these methods.
        agree: these methods.
        turned: the share that the part turns by itself, by method.
        warnings: a sentence each.
    """

    first: Mapping[str, str]
    part: str
    decides: bool
    agree: tuple[str, ...]
    turned: Mapping[str, Interval]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        turned = {name: interval.as_list() for name, interval in self.turned.items()}
        told = {"part": self.part, "decides": self.decides, "agree": list(self.agree), "turned": turned}
        return {**told, "first": dict(self.first), "warnings": list(self.warnings)}


def decide(ranked: Mapping[str, Sequence[Ranked]], judged: Mapping[str, float]) -> Verdict:
    """The part that most believed methods put first; of as many, the one that turns more.

    Args:
        ranked: of each method, its parts from the first on.
        judged: the judge's mean probability of the target on the valid counterfactuals; none without a judge.
    """
    first = {name: parts[0].part for name, parts in ranked.items() if parts}
    believed = [name for name in first if judged.get(name, 1.0) >= BELIEVED] or list(first)
    votes: dict[str, list[str]] = {}
    for name in believed:
        votes.setdefault(first[name], []).append(name)
    warnings = (*_disbelieved(first, judged), *_disagreeing(votes), *_close(ranked))
    if not votes:
        return Verdict(first, "", False, (), {}, warnings)
    part, agree = max(votes.items(), key=lambda vote: (len(vote[1]), _turned(ranked, vote[1])))
    turned = {name: ranked[name][0].flipped for name in agree}
    return Verdict(first, part, _turned(ranked, agree) >= DECIDES, tuple(agree), turned, warnings)


def _turned(ranked: Mapping[str, Sequence[Ranked]], names: Sequence[str]) -> float:
    return sum(ranked[name][0].flipped.value for name in names) / len(names)


def _disbelieved(first: Mapping[str, str], judged: Mapping[str, float]) -> list[str]:
    doubtful = [name for name in first if judged.get(name, 1.0) < BELIEVED]
    return [
        f"The judge does not believe the counterfactuals of {name}: it gives the target {judged[name]:.2f} "
        "on average. They may show what fools this classifier alone, and do not count here; or it reads what "
        "the judge does not: look at them."
        for name in doubtful
    ]


def _disagreeing(votes: Mapping[str, Sequence[str]]) -> list[str]:
    if len(votes) < 2:
        return []
    told = "; ".join(f"{part} by {', '.join(names)}" for part, names in votes.items())
    return [f"The methods do not agree on what comes first: {told}."]


def _close(ranked: Mapping[str, Sequence[Ranked]]) -> list[str]:
    close = [(name, parts) for name, parts in ranked.items() if len(parts) > 1 and parts[0].first < CLEAR]
    return [
        f"{name}: {parts[0].part} is first in {100 * parts[0].first:.0f} % of resamples of the queries, "
        f"so it is not told apart from {parts[1].part}."
        for name, parts in close
    ]
