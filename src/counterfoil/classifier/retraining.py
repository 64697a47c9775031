"""Trains a classifier once more, with counterfactuals of an earlier one among the training images."""

from __future__ import annotations

import logging
from typing import Any, Literal

import torch
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.training import ClassifierTraining
from counterfoil.core.bounds import Count
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.core.explains import Explains
from counterfoil.data.base import ImageData, Images, stratified
from counterfoil.util import together

log = logging.getLogger("counterfoil")
LABELS = ("attributes", "kept", "target")
BATCH = 256


class Retraining(ClassifierTraining):
    """`ClassifierTraining` on train + {(x'_i, y'_i) : f_0(x'_i) = t_i}, x'_i the counterfactuals of an
    explainer of f_0 to training images.

    Labels y' of the counterfactual of (x, y), of which only valid ones are taken:
        attributes: what the edited attributes spell, 1[a_j + (a'_j - a_0j) > 1/2] for the attribute j that
            the labels tell (for all of them with "A+B"), a the ground truth of x and a' - a_0 the declared
            change;
        kept: y, for edits that must not matter;
        target: t, the class that f_0 was to see.

    Args:
        net: as in `ClassifierTraining`.
        explainer: any method (see `Explains`), over the earlier classifier f_0; the class requested is the
            runner-up.
        queries: training images that it explains, classes in proportion.
        label: attributes, kept or target.
        finetune: begin at the earlier classifier's weights.
        real: data whose training images are added instead, as many as `queries`, under their own labels: the
            control for those who own such images. Nothing is explained then.
        others: see `ClassifierTraining`.

    Raises:
        UserError: labels by attributes where the data have none or the counterfactuals declare no change of
            them; no valid counterfactual; an earlier classifier of another architecture.

    Departures: the label of a valid counterfactual is not confirmed in the source; all three readings are
    offered.
    Source: the applications of Generative Counterfactuals for Neural Networks via Attribute-Informed
    Perturbation (Yang et al., 2021), arXiv 2101.06930.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        explainer: Explains,
        queries: Count = 4000,
        label: Literal["attributes", "kept", "target"] = "attributes",
        finetune: bool = False,
        real: ImageData | None = None,
        **options: Any,
    ) -> None:
        super().__init__(net, **options)
        self.explainers = (explainer,)  # not a submodule: it is no part of what is trained and kept
        self.queries, self.label, self.real = queries, label, real
        self.added = 0
        if finetune:
            _copy_weights(explainer.classifier, net)

    def prepare(self, data: ImageData) -> ImageData:
        """The data with the explainer's valid counterfactuals, or real images, added to the train split."""
        data = super().prepare(data)
        if self.real is not None:
            rows = stratified(self.real.train.labels, self.queries, self.real.seed)
            self.added = len(rows)
            return data.with_train(data.train.joined(self.real.train.take(rows)))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        rows = stratified(data.train.labels, self.queries, data.seed)
        counterfactuals = together.shared(lambda: self._explained(data, rows, device))
        valid = counterfactuals.valid & (counterfactuals.source != counterfactuals.target)
        if not bool(valid.any()):
            raise UserError(
                f"classifier.training: none of {len(rows)} counterfactuals is valid, so there is nothing to "
                "add; train the generator "
                "longer, lower explainer.confidence, or leave more attributes free"
            )
        labels = new_labels(self.label, counterfactuals, data.train.take(rows), data)
        pixels = (counterfactuals.counterfactual[valid] * 255).round().to(torch.uint8)
        self.added = len(pixels)
        self._announce(len(rows), labels[valid], data.train.labels[rows][valid])
        attributes = None if data.train.attributes is None else data.train.attributes[rows][valid]
        return data.with_train(data.train.joined(Images(pixels, labels[valid], attributes)))

    def _explained(self, data: ImageData, rows: Tensor, device: str) -> Counterfactuals:
        explainer = self.explainers[0].to(device)
        explainer.fit(data)
        counterfactuals = _counterfactuals(explainer, data.train.take(rows), device)
        explainer.to("cpu")
        return counterfactuals

    def on_test_epoch_end(self) -> None:
        """Note the number of counterfactuals beside the test figures."""
        super().on_test_epoch_end()
        self.report("test", {"added": torch.tensor(float(self.added), device=self.device)}, 1)

    def _announce(self, queries: int, labels: Tensor, before: Tensor) -> None:
        changed = int((labels != before).sum())
        log.info(
            f"{self.name}: {self.added} of {queries} counterfactuals are valid and added, "
            f"{changed} of them under another label"
        )


def new_labels(kind: str, counterfactuals: Counterfactuals, queries: Images, data: ImageData) -> Tensor:
    """Labels (N,) of the counterfactuals of training images, one counterfactual an image.

    See `Retraining`.
    """
    if kind == "target":
        return counterfactuals.target
    if kind == "kept":
        return queries.labels
    names = [data.attribute] if data.attribute in data.attribute_names else (data.attribute or "").split("+")
    if queries.attributes is None or not all(name in data.attribute_names for name in names):
        raise UserError(
            f"training.label=attributes needs data whose labels tell an attribute, data={data.name} have "
            "none; choose kept or target"
        )
    if not counterfactuals.changes:
        raise UserError(
            "training.label=attributes: the explainer declares no change of attributes; choose gci or aip, "
            "or another label"
        )
    truth = queries.attributes[:, [data.attribute_names.index(str(name)) for name in names]].float()
    zero = torch.zeros(len(truth))
    change = torch.stack([counterfactuals.changes.get(name, zero) for name in names], dim=1)
    return (truth + change > 0.5).all(1).long()


def _counterfactuals(explainer: Explains, queries: Images, device: str) -> Counterfactuals:
    from rich.progress import track

    parts = []
    for start in track(range(0, len(queries), BATCH), description="counterfactuals of training images"):
        counterfactual = explainer(queries[slice(start, start + BATCH)].x.to(device)).to("cpu")
        parts.append(counterfactual[torch.arange(0, len(counterfactual), explainer.count)])
    return Counterfactuals.cat(parts)


def _copy_weights(earlier: nn.Module, net: nn.Module) -> None:
    source = earlier.net if isinstance(earlier, Classifier) else earlier
    weights, wanted = source.state_dict(), net.state_dict()
    if {key: value.shape for key, value in weights.items()} != {
        key: value.shape for key, value in wanted.items()
    }:
        raise UserError(
            "classifier.training.finetune: the earlier classifier is of another architecture; give both the "
            "same net, or finetune=false"
        )
    net.load_state_dict({key: value.clone() for key, value in weights.items()})
