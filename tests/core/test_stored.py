"""A file of counterfactuals makes sense, or is refused with the field that does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from counterfoil.core.counterfactuals import FORMAT, Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.core.stored import COSTS, check_queries, checked, into_range

ROWS, FRAMES, CLASSES = 3, 4, 2


def tensors() -> dict[str, Tensor]:
    """All that a file may hold."""
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(4, ROWS, 1, 2, 2, generator=draw)
    return {
        **dict(zip(("factual", "counterfactual", "clean", "reference"), images, strict=True)),
        "target": torch.tensor([0, 1, 1]),
        "query": torch.tensor([0, 1, 1]),
        "factual_logits": torch.randn(ROWS, CLASSES, generator=draw),
        "counterfactual_logits": torch.randn(ROWS, CLASSES, generator=draw),
        **{name: torch.tensor([1.0, torch.nan, 3.0]) for name in COSTS},
        "strip.images": torch.rand(ROWS, FRAMES, 1, 2, 2, generator=draw),
        "strip.requested": torch.full((ROWS, FRAMES), torch.nan),
        "strip.logits": torch.randn(ROWS, FRAMES, CLASSES, generator=draw),
        "strip.scale.high": torch.tensor([1, 1, -1]),
        "strip.scale.low": torch.tensor([0, 0, -1]),
        "strip.scale.temperature": torch.ones(ROWS),
        "strip.scale.edges": torch.zeros(ROWS, FRAMES - 1),
        "changes.Smiling": torch.randn(ROWS, generator=draw),
        "extra.z": torch.full((ROWS, 5), torch.nan),
        "failed": torch.tensor([False, False, True]),
    }


def test_what_makes_sense_is_given_back() -> None:
    read = checked(tensors(), "a")
    assert all(torch.equal(read[name].nan_to_num(), value.nan_to_num()) for name, value in tensors().items())
    grey = tensors() | {name: tensors()[name][:, 0] for name in ("factual", "counterfactual")}
    assert checked(grey, "a")["counterfactual"].shape == (ROWS, 1, 2, 2)
    given = tensors() | {"target": torch.tensor([[0.0], [1.0], [1.0]])}
    assert checked(given, "a")["target"].tolist() == [0, 1, 1]


def test_what_rounding_leaves_outside_is_brought_back() -> None:
    given = tensors() | {"counterfactual": torch.full((ROWS, 1, 2, 2), 1 + 2e-7)}
    assert bool((checked(given, "a")["counterfactual"] == 1).all())
    x = torch.rand(2, 2)
    assert into_range(x) is x
    assert into_range(both := torch.tensor([-1e-7, 1.5])) is both
    assert into_range(x[:0]).shape == (0, 2)


def spoilt(name: str, value: float) -> dict[str, Tensor]:
    """One number of a field is another."""
    changed = tensors()[name].clone()
    changed.view(-1)[1] = value
    return tensors() | {name: changed}


NAN, INF = float("nan"), float("inf")
IMAGES = ("factual", "counterfactual", "clean", "reference", "strip.images")
WRONG: dict[str, tuple[dict[str, Tensor], str]] = {
    **{f"{n}: {v}": (spoilt(n, v), rf"{n} holds .* in \[") for n in IMAGES for v in (NAN, INF, -0.01, 1.01)},
    **{
        f"{n}: {v}": (spoilt(n, v), f"{n} holds .* not finite")
        for n in ("factual_logits", "counterfactual_logits", "strip.logits", "changes.Smiling")
        for v in (NAN, INF, -INF)
    },
    **{f"{n}: {v}": (spoilt(n, v), f"{n} is negative") for n in COSTS for v in (-1, INF)},
    **{
        f"{name}: a row less": (tensors() | {name: value[:-1]}, "shapes differ")
        for name, value in tensors().items()
    },
    "a class too high": (spoilt("target", 2), r"targets lie in 0\.\.2, expected 0\.\.1"),
    "a negative class": (spoilt("target", -1), r"targets lie in -1\.\.1, expected 0\.\.1"),
    "half a class": (tensors() | {"target": torch.tensor([0.5, 1, 1])}, "target holds .* no indices"),
    "a negative query": (spoilt("query", -1), "query holds .* no indices"),
    "one class more": (
        tensors() | {"counterfactual_logits": torch.zeros(ROWS, CLASSES + 1)},
        r"counterfactual_logits \(3, 3\), expected \(3, 2\)",
    ),
    "frames of another size": (
        tensors() | {"strip.images": torch.zeros(ROWS, FRAMES, 1, 3, 3)},
        "strip.images",
    ),
    "requests of other frames": (tensors() | {"strip.requested": torch.zeros(ROWS, 2)}, "strip.requested"),
    "a request above 1": (spoilt("strip.requested", 1.5), r"leaves \[0, 1\]"),
    "numbers for failed": (tensors() | {"failed": torch.zeros(ROWS)}, "true or false"),
    "bytes": (tensors() | {"factual": torch.zeros(ROWS, 1, 2, 2, dtype=torch.uint8)}, "torch.uint8.*divide"),
    "an unknown name": (tensors() | {"strop.images": torch.zeros(ROWS)}, "strop.images, which is no part"),
    "nothing": ({name: value[:0] for name, value in tensors().items()}, "empty"),
    "one number": (tensors() | {"factual": torch.tensor(0.5)}, "shape"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_makes_no_sense_is_refused(case: str, tmp_path: Path) -> None:
    held, said = WRONG[case]
    with pytest.raises(UserError, match=rf"^a\.npz:? .*{said}|^a\.npz.*{said}") as caught:
        checked(held, "a.npz")
    assert "\n" not in str(caught.value)
    path = tmp_path / "a.safetensors"
    save_file({key: part.contiguous() for key, part in held.items()}, str(path), {"format": FORMAT})
    with pytest.raises(UserError, match=said):
        Counterfactuals.load(path)


@pytest.mark.parametrize(
    ("query", "known", "fine"), [([0, 5], 6, True), ([0, 1], 0, True), ([0, 6], 6, False)]
)
def test_queries_are_known(query: list[int], known: int, fine: bool) -> None:
    given: Any = torch.tensor(query)
    if fine:
        check_queries(given, known, "a.npz")
        return
    with pytest.raises(UserError, match=r"a\.npz: query 6 is none of 6; number the queries from 0"):
        check_queries(given, known, "a.npz")
