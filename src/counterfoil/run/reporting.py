"""Shows the results of an evaluation: the page, pictures of strips, the terminal's table and the logger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.query import probability_of
from counterfoil.run.along import read_along
from counterfoil.run.evaluation import Evaluation, placed
from counterfoil.run.scoring import Tables
from counterfoil.util.pictures import log_picture


def report(
    evaluation: Evaluation,
    summary: dict[str, Any],
    tables: Tables,
    described: Mapping[str, str],
    run_dir: Path,
) -> None:
    """Write report.html and the pictures of strips, and print the leaderboard."""
    from rich.console import Console

    from counterfoil.report.html import write_report
    from counterfoil.report.leaderboard import leaderboard
    from counterfoil.report.strip_picture import save_strips

    about, names = summary["queries"], evaluation.classifier.class_names
    along = read_along(evaluation)
    page = write_report(
        run_dir / "report.html",
        summary,
        evaluation.counterfactuals,
        tables,
        names,
        described,
        title=f"Counterfactuals of {about['data']}",
        command=about["command"],
        judge_probabilities=_judged(evaluation),
        facts=_facts(about),
        readings=along,
    )
    save_strips(run_dir / "strips", evaluation.counterfactuals, names, along)
    console = Console()
    console.print(leaderboard(summary))
    console.print(f"{about['n']} queries, {about['seconds']:.0f} s.  Report: {page}", soft_wrap=True)


def _judged(evaluation: Evaluation) -> dict[str, Tensor]:
    """The judge's probability (N,) of the target, by method; nothing without a judge."""
    if evaluation.judge is None:
        return {}
    return {
        name: torch.cat(
            [
                probability_of(evaluation.judge(p.counterfactual), p.target)
                for p in placed(cf, evaluation.models)
            ]
        ).cpu()
        for name, cf in evaluation.counterfactuals.items()
    }


def _facts(about: dict[str, Any]) -> dict[str, Any]:
    """The head of the report."""

    def model(key: str) -> str:
        accuracy = about[f"{key}_accuracy"]
        return about[key] if accuracy is None else f"{about[key]}, test accuracy {100 * accuracy:.2f} %"

    return {
        "Data": about["data"],
        "Classifier": model("classifier"),
        "Judge": model("judge") if about["judge"] else "none",
        "Queries": about["n"],
        "Target": str(about["target"]).replace("_", " "),
        "Confidence": about["confidence"],
        "Seed": about["seed"],
        "Time": f"{about['seconds']:.0f} s",
    }


def log(
    logger: Any, summary: dict[str, Any], counterfactuals: Mapping[str, Counterfactuals], tables: Tables
) -> None:
    """Send figures, pictures and (to W&B) the table of queries to the logger, where there is one."""
    from counterfoil.report.grid import overview

    if not logger:
        return
    logger.log_hyperparams(
        {key: value for key, value in summary["queries"].items() if not isinstance(value, dict | list)}
    )
    logger.log_metrics(
        {
            f"{m}/{name}": e["value"]
            for m, entries in summary["methods"].items()
            for name, e in entries.items()
            if e["value"] is not None
        }
    )
    for name, cf in counterfactuals.items():
        log_picture(logger, f"{name}/grid", overview(cf))
    if type(logger).__name__ == "WandbLogger":
        for name, table in tables.items():
            rows = zip(
                counterfactuals[name].query.tolist(),
                counterfactuals[name].target.tolist(),
                *(column.tolist() for column in table.values()),
                strict=True,
            )
            logger.log_table(
                f"{name}/queries", columns=["query", "target", *table], data=[list(row) for row in rows]
            )
