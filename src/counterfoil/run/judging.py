"""Judges that are wrong too often to be believed."""

from __future__ import annotations

import warnings

from counterfoil.core.errors import CounterfoilWarning
from counterfoil.run.config import ModelRecipe, RunConfig, recipes_in
from counterfoil.run.models import Models

WEAK = 0.1
"""A judge that is right this much less often than the classifier is warned of."""


def warn_of_weak_judges(config: RunConfig, models: Models) -> None:
    """Say which judge, of the run or of a metric, tells far fewer test images than the classifier.

    accuracy of the judge < accuracy of the classifier - WEAK, both on all test images after their training;
    weights from elsewhere, whose accuracy was not noted, are passed over.
    """
    own = trained_accuracy(config.explained, models)
    judges = {f"metric.{path}": recipe for path, recipe in recipes_in(dict(config.metric))}
    if config.judge is not None:
        judges = {"judge": config.judge} | judges
    told = [config.explained]
    for path, recipe in judges.items():
        if recipe in told or recipe.role != config.explained.role:
            continue
        told.append(recipe)
        found = trained_accuracy(recipe, models)
        if own is not None and found is not None and found < own - WEAK:
            warnings.warn(
                f"{path}: right on {100 * found:.1f} % of the test images, the classifier on "
                f"{100 * own:.1f} %; train it longer or otherwise, its agreement tells little",
                CounterfoilWarning,
                stacklevel=2,
            )


def trained_accuracy(recipe: ModelRecipe, models: Models) -> float | None:
    """What was measured on the test images after the training; None for weights from elsewhere."""
    noted: float | None = models.store.manifest(recipe, models.data).get("test", {}).get("accuracy")
    return noted
