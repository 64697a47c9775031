"""Counterfactuals by moves of single coordinates of a generator's code, without gradients."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Positive, Probability, Whole
from counterfoil.core.counterfactuals import Found
from counterfoil.core.errors import UserError
from counterfoil.core.generator import Decodes, Encodes, require
from counterfoil.core.query import Query
from counterfoil.explainer.base import Explainer
from counterfoil.search import Detail, Latent
from counterfoil.search.line import Line
from counterfoil.search.neighbours import decided

Selection = Literal["subset", "independent"]
"""How the coordinates are picked: each given those moved before it, or each by its effect alone."""


class StyleSpace(Explainer):
    """Coordinates of the code that move the classifier most, moved one after another until it decides for t.

    z_i <- z_i + shift (e_i - z_i),  e_i the least or the largest value of coordinate i over training images

    Each step takes the coordinate and the direction with the largest log-odds of the target. The moves are
    then taken back together, z_0 + s (z - z_0), to the first s on a grid that reaches the target.

    Args:
        generator: encodes and decodes.
        selection: "subset" looks anew at all moves after each one; "independent" takes them in the order of
            their effects on the factual.
        shift: how far a coordinate goes, as a share of the way to the end of its range; the source goes the
            whole way.
        coordinates: the most that move; None: all.
        points, bisections: of the grid of s, and halvings of its last interval; 1 and 0 take nothing back.
        examples: training images that tell the ranges, the first ones.
        chunk: images per call of the classifier.
        residual: give back what the generator cannot draw of the factual, see `Detail`.
        confidence: see `Explainer`.
        count: the k-th counterfactual begins with the k-th best move.

    Departures: the code of this run's generative model in place of a StyleGAN that is trained with the
    classifier; effects on the query itself, where the source first picks coordinates by their mean effect
    over many images; the moves are taken back as far as the decision allows.
    Source: Explaining in Style: Training a GAN to explain a classifier in StyleSpace (Lang et al., 2021),
    arXiv 2104.13369, its AttFind.
    """

    needs_gradients = False

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        selection: Selection = "subset",
        shift: Positive = 0.5,
        coordinates: Count | None = None,
        points: Count = 20,
        bisections: Whole = 4,
        examples: Count = 2000,
        chunk: Count = 1024,
        residual: bool = False,
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        require(generator, Encodes, Decodes, method="stylespace")
        super().__init__(classifier, generator, confidence=confidence, count=count)
        self.space = Latent(spread=0.0, detail=Detail() if residual else None)
        self.selection = selection
        self.shift = shift
        self.coordinates = coordinates
        self.points = points
        self.bisections = bisections
        self.examples = examples
        self.chunk = chunk
        self._range: Tensor | None = None

    @torch.no_grad()
    def fit(self, data: Any) -> None:
        """Encode training images once, for the range (2, Z) of each coordinate."""
        if not len(data.train):
            raise UserError(
                f"explainer=stylespace needs training images, data={data.name} has none; choose "
                "data=folder, or another method"
            )
        codes = [
            self.space.code(query) for query in decided(self.classifier, self.generator, data, self.examples)
        ]
        z = torch.cat(codes)
        self._range = torch.stack((z.amin(0), z.amax(0)))

    @torch.no_grad()
    def explain(self, query: Query) -> Found:
        """Move coordinate after coordinate, then go back as far as the target holds."""
        if self._range is None:
            raise UserError("explainer stylespace knows no ranges; call fit(data) with an ImageData first")
        self.space.prepare(query)
        origin = self.space.start(query)["z"]
        z, steps, calls = self._moved(query, origin, self._range.to(origin))
        line = Line(query, self.space, origin, z - origin, reach=1.0, points=self.points)
        shift, reached = line.march()
        shift = line.refine(shift, reached, line.hits, self.bisections)
        return Found(line.decode(shift), steps, calls + line.calls, extra={"z": line.at(shift)})

    def _moved(self, query: Query, origin: Tensor, ends: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Codes (B, Z) after the moves, how many they were, and images graded for them."""
        z, size = origin.clone(), origin.shape[1]
        steps, calls = torch.zeros_like(query.target), torch.zeros_like(query.target)
        score = torch.full_like(z[:, 0], -torch.inf)
        open_ = torch.ones_like(query.target, dtype=torch.bool)
        effects = torch.zeros(len(query), 2 * size, dtype=z.dtype, device=z.device)
        free = torch.ones_like(effects, dtype=torch.bool)
        for step in range(min(self.coordinates or size, size)):
            rows = open_.nonzero()[:, 0]
            if not len(rows):
                break
            if step == 0 or self.selection == "subset":
                effects[rows] = self._effects(query[rows], z[rows], ends)
                calls[rows] += 2 * size
            picked = self._picked(query[rows], effects[rows].masked_fill(~free[rows], -torch.inf), step)
            moved = self._move(z[rows], picked, ends)
            logits = self._logits(query[rows], moved)
            now = log_odds(logits, query.target[rows])
            better = (
                now > score[rows] if self.selection == "subset" else torch.ones_like(now, dtype=torch.bool)
            )
            calls[rows] += 1
            at = rows[better]
            z[at], score[at] = moved[better], now[better]
            steps[at] += 1
            free[rows, picked % size], free[rows, picked % size + size] = False, False
            open_[rows] = better & ~query[rows].reached(logits)
        return z, steps, calls

    def _picked(self, query: Query, effects: Tensor, step: int) -> Tensor:
        """The move (B,) of each row: the best, and first the k-th best for the k-th counterfactual."""
        if step or query.repeat is None:
            return effects.argmax(1)
        order = effects.argsort(dim=1, descending=True, stable=True)
        rank = query.repeat.clamp(max=effects.shape[1] - 1)
        return order.gather(1, rank[:, None])[:, 0]

    def _move(self, z: Tensor, move: Tensor, ends: Tensor) -> Tensor:
        """Codes (B, Z) with one coordinate of each moved to its lower end, or from Z on to its upper one."""
        size = z.shape[1]
        place = (move % size)[:, None]
        end = ends.flatten()[move][:, None]
        now = z.gather(1, place)
        return z.scatter(1, place, now + self.shift * (end - now))

    def _effects(self, query: Query, z: Tensor, ends: Tensor) -> Tensor:
        """The target's log-odds (B, 2 Z) after each move."""
        moves = torch.arange(2 * z.shape[1], device=z.device)
        found = []
        for rows in torch.arange(len(z), device=z.device).split(max(self.chunk // len(moves), 1)):
            each = rows.repeat_interleave(len(moves))
            moved = self._move(z[each], moves.repeat(len(rows)), ends)
            odds = log_odds(self._logits(query[each], moved), query.target[each])
            found.append(odds.view(len(rows), -1))
        return torch.cat(found)

    def _logits(self, query: Query, z: Tensor) -> Tensor:
        logits: Tensor = query.classifier(query.keep(self.space.decode(query, {"z": z})))
        return logits


def log_odds(logits: Tensor, target: Tensor) -> Tensor:
    """log p_t / (1 - p_t) of logits (B, K) and targets (B,); minus infinity where it is not a number."""
    own = logits.gather(1, target[:, None])[:, 0]
    rest = logits.scatter(1, target[:, None], -torch.inf).logsumexp(1)
    return (own - rest).nan_to_num(-torch.inf, torch.inf, -torch.inf)
