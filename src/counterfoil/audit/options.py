"""Options of the audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from counterfoil.core.bounds import Bounds, Count, Whole, checks_options
from counterfoil.core.errors import UserError
from counterfoil.util.build import build

Regions = Annotated[int, Bounds(least=1, most=20)]
"""Each has a letter."""


@checks_options
@dataclass(frozen=True)
class AuditOptions:
    """Options of the audit.

    Attributes:
        fewest: valid counterfactuals below which a method, and a direction of it, is left out.
        regions: parts of the image, at most, beside the rest.
        clusters: groups of counterfactuals of a method, at most.
        rows: valid counterfactuals of a method that are taken apart, drawn at random; maps are of all.
        what_if: queries of a method that are explained again with its first region frozen; 0: none.
    """

    fewest: Count = 20
    regions: Regions = 8
    clusters: Count = 3
    rows: Count = 500
    what_if: Whole = 24


def options_of(node: Any) -> AuditOptions | None:
    """The options of `audit=`; None where it is turned off.

    Raises:
        UserError: something else than options, true, false or null.
    """
    if node is None or isinstance(node, bool):
        return AuditOptions() if node else None
    found = build(node, where="audit")
    if not isinstance(found, AuditOptions):
        raise UserError(f"audit={node}: expected false, or an option of it, such as audit.regions=8")
    return found
