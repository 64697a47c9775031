"""The types everybody speaks; imports torch and nothing else of ours."""

from counterfoil.core.counterfactuals import Counterfactuals, Found
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query

__all__ = ["Counterfactuals", "Found", "Query", "UserError"]
