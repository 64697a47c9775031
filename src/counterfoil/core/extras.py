"""What methods may return beside a counterfactual: names, shapes and meanings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from counterfoil.core.errors import UserError


class Extra(NamedTuple):
    """A tensor beside each counterfactual: its dimensions, `...` for any number of them, and its meaning.

    `finite`: a row in which it holds NaN or an infinite value has failed.
    """

    shape: tuple[str, ...]
    meaning: str
    finite: bool = False


EXTRAS: dict[str, Extra] = {
    "z": Extra(("B", "..."), "the counterfactual's code, which the generator decodes", True),
    "reconstruction": Extra(("B", "C", "H", "W"), "the factual as the generator redraws it, in [0, 1]", True),
    "latent_perturbation": Extra(("B",), "||z - z_0|| / ||z_0||, how far the code moved; 0 or more", True),
    "psnr": Extra(("B",), "dB at which a prior recovers the factual before the search"),
    "fit_steps": Extra(("B",), "steps that the prior took to recover it"),
    "back": Extra(("B", "C", "H", "W"), "the way back from the counterfactual to the own class, in [0, 1]"),
    "noise": Extra(("B", "C", "H", "W"), "the counterfactual of the factual beside a little noise"),
    "own": Extra(("B", "C", "H", "W"), "the counterfactual of the factual to its own class, in [0, 1]"),
}
"""A method of your own declares what it adds: EXTRAS["uncertainty"] = Extra(("B",), "...")."""


def check_extras(extra: Mapping[str, Tensor], rows: int) -> None:
    """Refuse what is not declared, or of another shape.

    Raises:
        UserError: naming the key, what was found and what is declared.
    """
    for name, value in extra.items():
        if name not in EXTRAS:
            raise UserError(
                f"extra[{name!r}] is not declared; choose one of {', '.join(EXTRAS)}, or declare it in "
                "counterfoil.core.extras.EXTRAS"
            )
        wanted = EXTRAS[name].shape
        if len(value) != rows or (wanted[-1] != "..." and value.ndim != len(wanted)):
            found = tuple(value.shape)
            raise UserError(f"extra[{name!r}]: expected ({', '.join(wanted)}) of B = {rows}, found {found}")
