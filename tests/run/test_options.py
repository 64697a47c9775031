"""Numbers that are none, or out of range."""

from __future__ import annotations

from typing import Any

import pytest

from counterfoil.core.errors import UserError
from counterfoil.run.options import check_options, chosen

GOOD: dict[str, Any] = {
    "n": 200,
    "count": 1,
    "batch_size": 128,
    "threads": None,
    "seed": 0,
    "confidence": 0.95,
}


@pytest.mark.parametrize("change", [{}, {"threads": 2}, {"n": 1}, {"confidence": 1}, {"seed": -1}])
def test_good_options_pass(change: dict[str, Any]) -> None:
    check_options({**GOOD, **change})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("n", value) for value in (0, -1, 2.5, "many", True, None)),
        *(("count", value) for value in (0, "two")),
        *(("batch_size", value) for value in (0, 1e3)),
        *(("threads", value) for value in (0, "all")),
        *(("seed", value) for value in ("x", 0.5, None)),
        *(("confidence", value) for value in (0, 0.0, 1.01, 95, "high", None, float("nan"))),
    ],
)
def test_bad_options_are_named_with_their_value(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"{name}={value}") as error:
        check_options({**GOOD, name: value})
    assert "\n" not in str(error.value)


def test_options_of_a_method_not_chosen_are_no_method() -> None:
    aip = {"_target_": "a.b", "mu": 1.0}
    assert chosen({"aip": aip, "gci": {"generator": {"role": "generative"}}}) == {"aip": aip}
