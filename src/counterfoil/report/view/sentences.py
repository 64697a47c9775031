"""The same texts explained by each method, as they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job, select
from counterfoil.report.view.base import Shown, View


class Sentences(View):
    """Factual and counterfactual texts of the first queries, whatever became of them.

    `content["sentences"]` is a list of {factual, <method>: {text, valid}}, a row per query.

    Args:
        methods: columns, in order.
        queries: rows, the first ones explained.
        where: options that the job shown must have; the first of several is shown.

    Raises:
        UserError: a method is not there, or the job explained no texts.
    """

    def __init__(
        self, methods: Sequence[str], queries: int = 20, where: Mapping[str, Any] | None = None
    ) -> None:
        self.methods, self.queries = list(methods), queries
        self.where = dict(where or {})

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        """The texts alone, neither table nor picture."""
        job = select(jobs, self.where)[0]
        for method in self.methods:
            if method not in job.texts:
                raise UserError(
                    f"study: texts of {method}, which {job.folder} has not; it has "
                    f"{', '.join(job.texts) or 'no texts'}"
                )
        number = min(self.queries, *(len(job.texts[method]) for method in self.methods))
        rows = [
            {"factual": job.texts[self.methods[0]][i][0]}
            | {method: self._one(job, method, i) for method in self.methods}
            for i in range(number)
        ]
        return Shown(content={"sentences": rows})

    def _one(self, job: Job, method: str, place: int) -> dict[str, Any]:
        return {
            "text": job.texts[method][place][1],
            "valid": float(job.rows[method][place]["valid"] or 0) > 0,
        }
