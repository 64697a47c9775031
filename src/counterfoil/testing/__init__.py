"""The house's own tests as functions, for methods, metrics, models and data of yours.

`check_explainer(MyMethod(TinyClassifier()))` raises an AssertionError with one plain sentence for each
promise that is broken.
"""

from counterfoil.testing.broken import Broken as Broken
from counterfoil.testing.classifier import check_classifier as check_classifier
from counterfoil.testing.data import check_data as check_data
from counterfoil.testing.explainer import check_explainer as check_explainer
from counterfoil.testing.generative import check_generative as check_generative
from counterfoil.testing.metric import check_metric as check_metric
from counterfoil.testing.toys import Bars as Bars
from counterfoil.testing.toys import TinyClassifier as TinyClassifier
from counterfoil.testing.toys import counterfactuals as counterfactuals
from counterfoil.testing.toys import queries as queries
from counterfoil.testing.toys import tiny_vae as tiny_vae
