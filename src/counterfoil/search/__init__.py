"""The parts of a recipe: space, objective, search."""

from counterfoil.search.ahead import Ahead, Toward
from counterfoil.search.attribute_space import AttributeLatent, Attributes
from counterfoil.search.candidate import Candidate, Variables
from counterfoil.search.flip import CrossEntropy, Flip, Hinge, Margin, SquaredError, flip_term
from counterfoil.search.inversion import InvertedLatent
from counterfoil.search.manifold import ManifoldConsistency
from counterfoil.search.moved import Moved
from counterfoil.search.paced import Paced, Unfrozen
from counterfoil.search.precision import Precision, lowers
from counterfoil.search.preservation import Dropping, FeaturePreservation
from counterfoil.search.prior import PriorWeights
from counterfoil.search.regulariser import BatchStatistics, Norm, TotalVariation
from counterfoil.search.search import Search
from counterfoil.search.space import Latent, Pixels, Space
from counterfoil.search.stop import Stop
from counterfoil.search.term import L1, L2, Objective, Term
from counterfoil.search.tradeoff import Tradeoff

__all__ = [
    "L1",
    "L2",
    "Ahead",
    "AttributeLatent",
    "Attributes",
    "BatchStatistics",
    "Candidate",
    "CrossEntropy",
    "Dropping",
    "FeaturePreservation",
    "Flip",
    "Hinge",
    "InvertedLatent",
    "Latent",
    "ManifoldConsistency",
    "Margin",
    "Moved",
    "Norm",
    "Objective",
    "Paced",
    "Pixels",
    "Precision",
    "PriorWeights",
    "Search",
    "Space",
    "SquaredError",
    "Stop",
    "Term",
    "TotalVariation",
    "Toward",
    "Tradeoff",
    "Unfrozen",
    "Variables",
    "flip_term",
    "lowers",
]
