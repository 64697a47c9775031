"""The parts of a recipe: where to search, what to want, how to look."""

from counterfoil.search.attribute_space import AttributeLatent, Attributes
from counterfoil.search.candidate import Candidate, Variables
from counterfoil.search.inversion import InvertedLatent
from counterfoil.search.moved import Moved
from counterfoil.search.paced import Paced
from counterfoil.search.search import Search
from counterfoil.search.space import Latent, Pixels, Space
from counterfoil.search.stop import Stop
from counterfoil.search.term import L1, L2, CrossEntropy, Hinge, Objective, SquaredError, Term
from counterfoil.search.tradeoff import Tradeoff

__all__ = [
    "L1", "L2", "AttributeLatent", "Attributes", "Candidate", "CrossEntropy", "Hinge", "InvertedLatent", "Latent", "Moved", "Objective",
    "Paced", "Pixels", "Search", "Space", "SquaredError", "Stop", "Term", "Tradeoff", "Variables",
]  # fmt: skip
