"""Who may write into a run folder."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from counterfoil import Unchanged
from counterfoil.core.errors import UserError
from counterfoil.run.folder import (
    claim,
    finished,
    in_use,
    named_rows,
    noted_start,
    opened,
    same_weights,
    write_queries,
)
from counterfoil.util.lock import named


def test_folder_in_use_is_refused(tmp_path: Path) -> None:
    with (
        claim(tmp_path / "run", "a", False),
        pytest.raises(UserError, match="in use"),
        claim(tmp_path / "run", "a", False),
    ):
        pass


def test_cut_off_run_is_taken_up_by_its_own_kind_alone(tmp_path: Path) -> None:
    def cut_off() -> None:
        with claim(tmp_path, "a", False):
            (tmp_path / "counterfactuals").mkdir(exist_ok=True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    with claim(tmp_path, "a", False):
        assert (tmp_path / "counterfactuals").is_dir()
    with pytest.raises(UserError, match="another evaluation"), claim(tmp_path, "b", False):
        pass
    with claim(tmp_path, "b", True) as claimed:
        assert (tmp_path / "counterfactuals").is_dir(), "removed before the new run has begun"
        claimed.begin()
        assert not (tmp_path / "counterfactuals").exists()


def test_a_lock_left_by_a_killed_run_does_not_lock(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    with claim(tmp_path, "a", False) as claimed:
        assert claimed.folder == tmp_path


@pytest.mark.parametrize("overwrite", [False, True])
def test_strangers_folder_is_refused_and_left_alone(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "config.yaml").write_text("mine")
    (tmp_path / "wandb").mkdir()
    with pytest.raises(UserError, match="holds other files"), claim(tmp_path, "a", overwrite):
        pass
    assert (tmp_path / "config.yaml").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "wandb"]


def test_a_mistake_found_before_any_counterfactual_leaves_the_folder_free(tmp_path: Path) -> None:
    def mistaken() -> None:
        with claim(tmp_path, "a", False):
            raise UserError("no such class")

    with pytest.raises(UserError, match="no such class"):
        mistaken()
    assert list(tmp_path.iterdir()) == []
    with claim(tmp_path, "b", False):
        pass


def test_a_cut_off_run_is_not_taken_up_with_other_weights(tmp_path: Path) -> None:
    with claim(tmp_path, "a", False):
        same_weights(tmp_path, {"classifier": "1", "generative": "2"})
        (tmp_path / "counterfactuals").mkdir()
    with claim(tmp_path, "a", False):
        same_weights(tmp_path, {"classifier": "1", "generative": "2"})
        with pytest.raises(UserError, match=r"other weights of this generative; overwrite=true"):
            same_weights(tmp_path, {"classifier": "1", "generative": "3"})


def test_rows_name_images_and_classes(tiny_classifier: Any, tmp_path: Path) -> None:
    cf = Unchanged(tiny_classifier)(torch.rand(3, 1, 16, 16).double())
    table = {"l1": torch.tensor([0.5, 1.0, torch.nan])}
    classes, names = ("cat", "dog", "bird"), {0: "pics/a, b.png", 1: 88}
    heads, rows = named_rows(cf, table, names, classes)
    assert heads == ["query", "image", "source", "target", "valid", "l1"]
    assert [row[:2] for row in rows] == [[0, "pics/a, b.png"], [1, 88], [2, 2]]
    assert [row[2] for row in rows] == [classes[k] for k in cf.source.tolist()]
    assert [row[3] for row in rows] == [classes[k] for k in cf.target.tolist()]
    assert [row[4] for row in rows] == cf.valid.int().tolist()
    write_queries(tmp_path / "q.csv", {"a": cf, "b": cf}, {"a": table, "b": {}}, names, classes)
    with (tmp_path / "q.csv").open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [line["image"] for line in written] == ["pics/a, b.png", "88", "2"] * 2
    assert [line["l1"] for line in written] == ["0.5", "1", "nan", "nan", "nan", "nan"]
    assert written[0]["target"] == rows[0][3]


def test_killed_while_it_removed_the_run_before_it_removes_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with claim(tmp_path, "a", False):
        (tmp_path / "strips").mkdir()
        for name in ("metrics.json", "report.html", "strips/a.png"):
            (tmp_path / name).write_text("{}")

    def dies(path: Path, **_: object) -> None:
        raise KeyboardInterrupt

    def killed() -> None:
        with monkeypatch.context() as patch, claim(tmp_path, "b", True) as claimed:
            patch.setattr(Path, "unlink", dies)
            claimed.begin()

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert (tmp_path / "metrics.json").exists()
    assert not finished(tmp_path, "b")
    with claim(tmp_path, "b", False):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "run.json"]


def test_a_run_that_is_refused_leaves_the_one_it_was_to_replace(tmp_path: Path) -> None:
    with claim(tmp_path, "a", False):
        (tmp_path / "report.html").write_text("mine")

    def refused() -> None:
        with claim(tmp_path, "b", True):
            raise UserError("no such model")

    with pytest.raises(UserError, match="no such model"):
        refused()
    assert (tmp_path / "report.html").read_text() == "mine"
    with claim(tmp_path, "a", False):
        pass


def test_temporary_files_go_where_the_folder_is_ours_alone(tmp_path: Path) -> None:
    for name in ("mine.txt", ".download.partial", "deep/.download.partial"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match="holds other files"), claim(tmp_path, "a", False):
        pass
    assert (tmp_path / ".download.partial").read_text() == "mine"
    assert (tmp_path / "deep" / ".download.partial").read_text() == "mine"


def test_a_run_killed_at_its_first_file_is_taken_up(tmp_path: Path) -> None:
    (tmp_path / ".12-ab.partial").write_text("{")
    with claim(tmp_path, "a", False) as claimed:
        (tmp_path / "counterfactuals" / "wachter").mkdir(parents=True)
        (tmp_path / "counterfactuals" / "wachter" / ".12-cd.partial").write_text("half")
    with claim(tmp_path, "a", False):
        assert not list(tmp_path.rglob("*.partial"))
        assert claimed.folder == tmp_path


def test_other_ranks_are_let_in_by_the_one_that_has_the_folder(tmp_path: Path) -> None:
    me = named(os.getpid())
    assert not in_use(tmp_path)
    with claim(tmp_path, "a", False) as claimed:
        assert in_use(tmp_path)
        assert in_use(tmp_path, me)
        assert not in_use(tmp_path, "process 1 on moon")
        assert not opened(tmp_path, "a"), "it may still remove what an earlier run left"
        claimed.open("array 7")
        assert opened(tmp_path, "a")
        assert opened(tmp_path, "a", me)
        assert not opened(tmp_path, "a", "process 1 on moon")
        with pytest.raises(UserError, match="another evaluation"):
            opened(tmp_path, "b")
    assert not opened(tmp_path, "a"), "it is gone"
    assert noted_start(tmp_path) == "array 7"
    (tmp_path / ".lock").write_text("process 5 on moon")
    assert not opened(tmp_path, "a"), "another holds it, and has not begun"


def test_locks_of_killed_ranks_are_removed(tmp_path: Path) -> None:
    left = tmp_path / "counterfactuals" / "revise" / ".batch-00001.lock"
    with claim(tmp_path, "a", False):
        left.parent.mkdir(parents=True)
        left.touch()
    with claim(tmp_path, "a", False):
        assert not left.exists()
