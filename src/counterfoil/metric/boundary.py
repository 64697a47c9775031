"""How well small models learn the classifier's boundary from queries and counterfactuals."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.utilities.data import dim_zero_cat

from counterfoil.classifier.cnn import CNN
from counterfoil.core.bounds import Count, Seed
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.data.base import Images
from counterfoil.metric.base import Figure, FigureMetric
from counterfoil.metric.bootstrap import wilson
from counterfoil.metric.network import Borrowed

Points = tuple[Tensor, Tensor]
"""Images (N, C, H, W), and which of the two classes they are of, 0 or 1 (N,)."""
LEARNERS = ("regression", "pixels", "network")
PAIRS = ("counterfactuals", "real")


class BoundaryAgreement(FigureMetric):
    """Share of held-out images on which a model that learned from the pairs decides as the classifier does.

    n queries of two classes, each with its counterfactual of the other class, are up to 2n labelled points: a
    counterfactual that is the query itself is none, so that `explainer=unchanged` teaches by the queries
    alone. Learners: "regression", logistic regression on the judge's last layer; "network", a small
    convolutional network on pixels. Held out are the test images of both classes that are no queries. In
    [0, 1]; Wilson's interval over the held-out images.

    Args:
        lessons: what is taught, shared by all figures of one recipe.
        learner: one of `LEARNERS`.
        size: learn from the first queries alone, this many rows; None: from all. Not defined where there are
            fewer.
    """

    name = "boundary_agreement"
    higher_is_better = True
    unit, minimum, maximum = "%", 0.0, 1.0
    against: ClassVar[Literal["decision", "label"]] = "decision"

    _rows: list[Tensor]
    _found: list[Tensor]
    _targets: list[Tensor]

    def __init__(self, lessons: Lessons, learner: str, size: Count | None = None) -> None:
        super().__init__()
        self.lessons, self.learner, self.size = lessons, learner, size
        for state in ("_rows", "_found", "_targets"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(self, cf: Counterfactuals) -> None:
        """Keep queries, counterfactuals and targets."""
        if len(cf):
            self._rows.append(cf.factual)
            self._found.append(cf.counterfactual)
            self._targets.append(cf.target)

    def figure(self) -> Figure:
        """The share, not defined where the queries are not of two classes, or too few."""
        rows = sum(len(part) for part in self._rows)
        if rows < (self.size or 1):
            return Figure()
        x, found, target = (dim_zero_cat(part) for part in (self._rows, self._found, self._targets))
        hits = self.lessons.hits(x, found, target, self.learner, self.size or rows, self.against)
        if hits is None:
            return Figure()
        share = float(hits.double().mean())
        return Figure(share, *wilson(share, len(hits)), len(hits))


class BoundaryAccuracy(BoundaryAgreement):
    """Share of held-out images that a model which learned from the pairs puts in their true class.

    See `BoundaryAgreement`.
    """

    name = "boundary_accuracy"
    unit = "%"
    minimum = 0.0
    maximum = 1.0
    against = "label"


def boundaries(
    judge: nn.Module | None,
    classifier: nn.Module | None,
    data: Any,
    *,
    pairs: str = "counterfactuals",
    sizes: Sequence[Count] | None = None,
    learners: Sequence[str] = ("regression", "network"),
    steps: Count = 200,
    seed: Seed = 0,
) -> Mapping[str, BoundaryAgreement]:
    """Agreement and accuracy of each learner at each size, by the name they are reported as.

    Args:
        judge: has `embed`, images -> (B, D).
        classifier: the model explained.
        data: its test images are held out; its training images are the real ones.
        pairs: "counterfactuals", or "real": a training image of the target class in place of each, the upper
            bound.
        sizes: numbers of queries; None: all.
        learners: some of `LEARNERS`.
        steps: of training the small network, on at most 50 points each.
        seed: of its weights and batches, and of the real images.

    Raises:
        UserError: pairs or a learner of another kind, or no judge.
    """
    for name, value, known in (("pairs", pairs, PAIRS), *(("learners", one, LEARNERS) for one in learners)):
        if value not in known:
            raise UserError(
                f"metric.boundary.{name}={value} is not supported; choose among: {', '.join(known)}"
            )
    lessons = Lessons(judge, classifier, data, pairs, steps, seed)
    return {
        f"{kind.name}/{learner}" + ("" if size is None else f"/{size}"): kind(lessons, learner, size)
        for size in sizes or (None,)
        for learner in learners
        for kind in (BoundaryAgreement, BoundaryAccuracy)
    }


class Lessons:
    """Decisions of learners on held-out images; each learner is trained once for all figures.

    Args: see `boundaries`.
    """

    def __init__(
        self,
        judge: nn.Module | None,
        classifier: nn.Module | None,
        data: Any,
        pairs: str = "counterfactuals",
        steps: Count = 200,
        seed: Seed = 0,
    ) -> None:
        self.judge = Borrowed(judge, "boundary", "judge")
        self.classifier = Borrowed(classifier, "boundary", "classifier")
        self.data = Borrowed(data, "boundary", "data").net
        self.pairs, self.steps, self.seed = pairs, steps, seed
        self._of: tuple[int, int] | None = None
        self._said: dict[Any, Tensor] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Lessons:
        return self

    def hits(
        self, x: Tensor, found: Tensor, target: Tensor, learner: str, size: int, against: str
    ) -> Tensor | None:
        """Whether a learner is right on each held-out image (M,); None where the targets are not two classes.

        Args:
            x, found: queries and counterfactuals (N, C, H, W).
            target: (N,).
            learner: one of `LEARNERS`.
            size: how many of the rows teach.
            against: "decision" of the classifier, or "label".
        """
        pair = target.unique().tolist()
        if len(pair) != 2:
            return None
        of = (zlib.crc32(found.cpu().numpy().tobytes()), zlib.crc32(x.cpu().numpy().tobytes()))
        if of != self._of:
            self._of, self._said = of, {}
        held, held_label = self._once("held", lambda: apart(self.data.queried, pair, x))
        key = (learner, size)
        said: Tensor = self._once(
            key, lambda: self._taught(self.points(x, found, target, pair, size), held, learner)
        )
        if against == "label":
            right: Tensor = said == held_label
            return right
        decided: Tensor = self._once("decided", lambda: self.classifier(held)[:, pair].argmax(1))
        return said == decided

    def points(self, x: Tensor, found: Tensor, target: Tensor, pair: list[int], size: int) -> Points:
        """The labelled points of the first `size` rows: each query, then its counterfactual or real image."""
        side = (target == pair[1]).long()
        other = real(self.data.train, target, self.seed).to(x) if self.pairs == "real" else found
        images = torch.stack((x, other), 1)[:size]
        labels = torch.stack((1 - side, side), 1)[:size]
        new = torch.ones_like(labels, dtype=torch.bool)
        new[:, 1] = (images[:, 0] != images[:, 1]).flatten(1).any(1)
        return images[new], labels[new]

    def _taught(self, points: Points, held: Tensor, learner: str) -> Tensor:
        images, labels = points
        if learner == "network":
            return network(images, labels, held, self.seed, self.steps)
        if learner == "pixels":
            return regression(images.flatten(1), labels, held.flatten(1), scaled=False)
        embedded = self._once("embedded", lambda: self.judge(held, method="embed"))
        return regression(self.judge(images, method="embed"), labels, embedded)

    def _once(self, key: Any, make: Any) -> Any:
        if key not in self._said:
            self._said[key] = make()
        return self._said[key]


def regression(x: Tensor, y: Tensor, held: Tensor, scaled: bool = True) -> Tensor:
    """The side (M,) on which logistic regression puts held-out rows; ridge 0.01.

    Args:
        x: features (N, D) of the points.
        y: which of the two classes they are of, 0 or 1 (N,).
        held: features (M, D).
        scaled: each feature by its spread over the points; not for pixels, of which many never change.
    """
    mean, scale = x.mean(0), x.std(0) + 1e-3 if scaled else 1.0
    weights = torch.zeros(x.shape[1] + 1, device=x.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = (x - mean) / scale @ weights[1:] + weights[0]
        value = F.binary_cross_entropy_with_logits(logits, y.to(x)) + 0.005 * weights[1:].square().sum()
        value.backward()
        return value

    with torch.inference_mode(False), torch.enable_grad():
        optimizer.step(loss)
    with torch.no_grad():
        return ((held - mean) / scale @ weights[1:] + weights[0] > 0).long()


def network(x: Tensor, y: Tensor, held: Tensor, seed: int, steps: int) -> Tensor:
    """The side (M,) on which a small network puts held-out images after `steps` batches of 50 points."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CNN(x.shape[1], classes=2, width=8, stages=3, dropout=0.0).to(x.device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-4)
    with torch.inference_mode(False), torch.enable_grad():
        for _step in range(steps):
            rows = torch.randperm(len(x), generator=generator)[:50].to(x.device)
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows] - 0.5), y[rows]).backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        return torch.cat([model(part - 0.5).argmax(1) for part in held.split(256)])


def real(images: Images, labels: Tensor, seed: int) -> Tensor:
    """One training image (B, C, H, W) of each label (B,), none twice."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.zeros_like(labels.cpu())
    for label in labels.unique().tolist():
        places = (labels.cpu() == label).nonzero()[:, 0]
        known = (images.labels == label).nonzero()[:, 0]
        rows[places] = known[torch.randperm(len(known), generator=generator)[: len(places)]]
    return images[rows].x


def apart(images: Images, pair: list[int], queries: Tensor) -> Points:
    """Test images of the two classes that are no queries, and their labels, 0 or 1."""
    used = {row.numpy().tobytes() for row in (queries * 255).round().to(torch.uint8).cpu()}
    among = torch.isin(images.labels, torch.tensor(pair)).nonzero()[:, 0]
    rows = [i for i in among.tolist() if images.images[i].numpy().tobytes() not in used]
    held = images[rows]
    return held.x.to(queries.device), (held.y == pair[1]).long().to(queries.device)
