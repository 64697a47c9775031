"""Counterfactual explanations of image classifiers.

The front door: `from counterfoil import Classifier, Wachter, Counterfactuals`. A name is looked up when it
is first used, so that a method loads neither Lightning nor Hydra nor the data. Every method, metric and
generative model is here by its class's name; `L1` and `L2` are the terms of a search, the metrics of these
names lie in `counterfoil.metric.proximity`.
"""

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterfoil.classifier.base import Classifier as Classifier
    from counterfoil.classifier.cnn import CNN as CNN
    from counterfoil.classifier.dep import DEP as DEP
    from counterfoil.classifier.duq import DUQ as DUQ
    from counterfoil.classifier.resnet import ResNet as ResNet
    from counterfoil.classifier.score import Disagreement as Disagreement
    from counterfoil.classifier.score import DropoutEntropy as DropoutEntropy
    from counterfoil.classifier.score import Energy as Energy
    from counterfoil.classifier.score import KernelDistance as KernelDistance
    from counterfoil.classifier.score import PredictedError as PredictedError
    from counterfoil.core.counterfactuals import Counterfactuals as Counterfactuals
    from counterfoil.core.counterfactuals import Found as Found
    from counterfoil.core.decision import Attribute as Attribute
    from counterfoil.core.decision import Classes as Classes
    from counterfoil.core.decision import Decision as Decision
    from counterfoil.core.decision import Probabilities as Probabilities
    from counterfoil.core.decision import Sigmoid as Sigmoid
    from counterfoil.core.decision import Threshold as Threshold
    from counterfoil.core.entry import Entry as Entry
    from counterfoil.core.errors import CounterfoilWarning as CounterfoilWarning
    from counterfoil.core.errors import UserError as UserError
    from counterfoil.core.generator import Conditional as Conditional
    from counterfoil.core.generator import Decodes as Decodes
    from counterfoil.core.generator import Edits as Edits
    from counterfoil.core.generator import Encodes as Encodes
    from counterfoil.core.generator import require as require
    from counterfoil.core.query import Query as Query
    from counterfoil.explainer.aip import AIP as AIP
    from counterfoil.explainer.base import Explainer as Explainer
    from counterfoil.explainer.cyclegan import Translation as Translation
    from counterfoil.explainer.deep_inversion import DeepInversion as DeepInversion
    from counterfoil.explainer.disc import DISC as DISC
    from counterfoil.explainer.gci import GCI as GCI
    from counterfoil.explainer.growing_spheres import GrowingSpheres as GrowingSpheres
    from counterfoil.explainer.iso import ISO as ISO
    from counterfoil.explainer.latent_shift import LatentShift as LatentShift
    from counterfoil.explainer.lso import LSO as LSO
    from counterfoil.explainer.nearest import Nearest as Nearest
    from counterfoil.explainer.optimised import OptimisedExplainer as OptimisedExplainer
    from counterfoil.explainer.progressive import Progressive as Progressive
    from counterfoil.explainer.random_attributes import RandomAttributes as RandomAttributes
    from counterfoil.explainer.revise import Revise as Revise
    from counterfoil.explainer.wachter import Wachter as Wachter
    from counterfoil.explainer.xgem import XGEM as XGEM
    from counterfoil.generative.attgan.network import AttGAN as AttGAN
    from counterfoil.generative.cvae import CVAE as CVAE
    from counterfoil.generative.cyclegan.network import CycleGAN as CycleGAN
    from counterfoil.generative.diffusion.network import Diffusion as Diffusion
    from counterfoil.generative.exaggeration.network import Exaggerator as Exaggerator
    from counterfoil.generative.flow.network import Flow as Flow
    from counterfoil.generative.latent_diffusion.network import LatentDiffusion as LatentDiffusion
    from counterfoil.generative.latent_map.network import LatentMaps as LatentMaps
    from counterfoil.generative.prior.dip import DIP as DIP
    from counterfoil.generative.prior.inr import INR as INR
    from counterfoil.generative.prior.start import PriorStart as PriorStart
    from counterfoil.generative.style.network import Style as Style
    from counterfoil.generative.vae import VAE as VAE
    from counterfoil.metric.base import SampleMetric as SampleMetric
    from counterfoil.metric.base import SetMetric as SetMetric
    from counterfoil.report.compare import Comparison as Comparison
    from counterfoil.report.compare import compare as compare
    from counterfoil.report.compare import evaluate as evaluate
    from counterfoil.run.load import load_classifier as load_classifier
    from counterfoil.run.load import load_generator as load_generator
    from counterfoil.search import L1 as L1
    from counterfoil.search import L2 as L2
    from counterfoil.search import AttributeLatent as AttributeLatent
    from counterfoil.search import Attributes as Attributes
    from counterfoil.search import BatchStatistics as BatchStatistics
    from counterfoil.search import Candidate as Candidate
    from counterfoil.search import CrossEntropy as CrossEntropy
    from counterfoil.search import Dropping as Dropping
    from counterfoil.search import FeaturePreservation as FeaturePreservation
    from counterfoil.search import Hinge as Hinge
    from counterfoil.search import InvertedLatent as InvertedLatent
    from counterfoil.search import Latent as Latent
    from counterfoil.search import ManifoldConsistency as ManifoldConsistency
    from counterfoil.search import Moved as Moved
    from counterfoil.search import Norm as Norm
    from counterfoil.search import Objective as Objective
    from counterfoil.search import Paced as Paced
    from counterfoil.search import Pixels as Pixels
    from counterfoil.search import PriorWeights as PriorWeights
    from counterfoil.search import Search as Search
    from counterfoil.search import Space as Space
    from counterfoil.search import SquaredError as SquaredError
    from counterfoil.search import Stop as Stop
    from counterfoil.search import Term as Term
    from counterfoil.search import TotalVariation as TotalVariation
    from counterfoil.search import Tradeoff as Tradeoff
    from counterfoil.search import Unfrozen as Unfrozen

__version__ = "0.1.0"

_OPEN = ("explainer", "generative", "metric")
"""Packages whose public classes are all here, but for trainings, so that a new file is enough."""


def _places() -> dict[str, str]:
    """The module of each name: as imported for type checkers, else as a file of an open package writes it."""
    here = Path(__file__)
    guarded = next(part for part in ast.parse(here.read_text("utf-8")).body if isinstance(part, ast.If))
    found = {
        alias.name: str(part.module)
        for part in guarded.body
        if isinstance(part, ast.ImportFrom)
        for alias in part.names
    }
    for package in _OPEN:
        for file in sorted(
            set((here.parent / package).glob("*.py")) - {here.parent / package / "training.py"}
        ):
            for name in re.findall(r"^class ([A-Z]\w*)", file.read_text("utf-8"), re.MULTILINE):
                found.setdefault(name, f"counterfoil.{package}.{file.stem}")
    return found


_PLACES = _places()
__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module counterfoil has no attribute {name}")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
