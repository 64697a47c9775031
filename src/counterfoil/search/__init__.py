"""The parts of a recipe: space, objective, search."""

from counterfoil.search.ahead import Ahead, Toward
from counterfoil.search.attribute_space import AttributeLatent, Attributes
from counterfoil.search.candidate import END, Candidate, Moment, Variables
from counterfoil.search.denoising import Changed, Denoising
from counterfoil.search.detail import Detail
from counterfoil.search.diversity import Diversity
from counterfoil.search.elastic import Shrinking, SquaredChange
from counterfoil.search.flip import CrossEntropy, Flip, Hinge, Margin, SquaredError, flip_term
from counterfoil.search.inversion import InvertedLatent
from counterfoil.search.latent_denoising import LatentDenoising, TellsWeight
from counterfoil.search.manifold import ManifoldConsistency
from counterfoil.search.masked import MaskedLatent, Masks
from counterfoil.search.moved import Moved
from counterfoil.search.nearer import nearer
from counterfoil.search.paced import Paced, Unfrozen
from counterfoil.search.precision import Precision, lowers
from counterfoil.search.preservation import Dropping, FeaturePreservation
from counterfoil.search.prior import PriorWeights
from counterfoil.search.prototype import Guided, Prototype
from counterfoil.search.purified import Purified
from counterfoil.search.redrawn import Redrawn
from counterfoil.search.refine import InTurn, Refine
from counterfoil.search.region import Region
from counterfoil.search.regulariser import BatchStatistics, Norm, TotalVariation
from counterfoil.search.repaint import Repaint
from counterfoil.search.restore import Restore
from counterfoil.search.search import Search
from counterfoil.search.space import Ball, Latent, Pixels, Space
from counterfoil.search.stop import Stop
from counterfoil.search.term import L1, L2, Objective, Term
from counterfoil.search.tradeoff import Tradeoff

__all__ = [
    "END",
    "L1",
    "L2",
    "Ahead",
    "AttributeLatent",
    "Attributes",
    "Ball",
    "BatchStatistics",
    "Candidate",
    "Changed",
    "CrossEntropy",
    "Denoising",
    "Detail",
    "Diversity",
    "Dropping",
    "FeaturePreservation",
    "Flip",
    "Guided",
    "Hinge",
    "InTurn",
    "InvertedLatent",
    "Latent",
    "LatentDenoising",
    "ManifoldConsistency",
    "Margin",
    "MaskedLatent",
    "Masks",
    "Moment",
    "Moved",
    "Norm",
    "Objective",
    "Paced",
    "Pixels",
    "Precision",
    "PriorWeights",
    "Prototype",
    "Purified",
    "Redrawn",
    "Refine",
    "Region",
    "Repaint",
    "Restore",
    "Search",
    "Shrinking",
    "Space",
    "SquaredChange",
    "SquaredError",
    "Stop",
    "TellsWeight",
    "Term",
    "TotalVariation",
    "Toward",
    "Tradeoff",
    "Unfrozen",
    "Variables",
    "flip_term",
    "lowers",
    "nearer",
]
