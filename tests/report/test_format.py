"""Which figures stand where."""

from __future__ import annotations

import math

import pytest

from counterfoil.core.entry import Entry
from counterfoil.report.format import called, columns, fact, probability, title


def test_columns_put_those_declared_main_first() -> None:
    main, other = Entry(1.0, main=True), Entry(1.0)
    methods = {"a": {"steps": other, "l1": other, "l1_valid": main, "l2": main}, "b": {"validity": main}}
    assert columns(methods) == ["l1_valid", "l2", "validity", "steps", "l1"]
    assert columns(methods, main_only=True) == ["l1_valid", "l2", "validity"]


def test_the_title_is_what_the_metric_declares() -> None:
    methods = {"a": {"l1_valid": Entry(1.0, label="L1, valid", unit="px"), "my_metric": Entry(1.0)}}
    assert title(methods, "l1_valid") == "L1, valid"
    assert title(methods, "my_metric") == "My metric"
    assert fact(methods, "l1_valid").unit == "px"
    assert not fact(methods, "unknown").known


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (math.nan, "–"), (0.0, "0.00"), (0.001, "<.01"), (0.999, ">.99"), (1.0, "1.00")],
)
def test_probability(value: float | None, text: str) -> None:
    assert probability(value) == text


def test_images_are_called_by_file_or_place() -> None:
    names = {0: "pics/a.png", 1: 88}
    assert [called(names, query) for query in range(3)] == ["pics/a.png", "image 88", "query 2"]
