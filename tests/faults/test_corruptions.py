"""Every kind of file that is read back, damaged in every manner: made anew, or refused in one line."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.data import content
from tests.bench import Bench, composed
from tests.faults import act
from tests.faults.conftest import Fault
from tests.faults.fault import WHOLE

MANNERS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "first byte lost": lambda content: content[1:],
    "half": lambda content: content[: len(content) // 2],
    "last byte lost": lambda content: content[:-1],
    "last 100 bytes lost": lambda content: content[: max(len(content) - 100, 1)],
    "zeros in the middle": lambda content: _hole(content, len(content) // 2),
    "zeros at the end": lambda content: _hole(content, len(content) - 64),
    "zeros for all of it": lambda content: bytes(len(content)),
    "noise": lambda content: random.Random(0).randbytes(len(content)),
    "another kind of file": lambda _: b"<html><body>404 Not Found</body></html>",
    "a pickle": lambda _: b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.",
    "doubled": lambda content: content + content,
    **{
        f"bit flipped at {share_of:.0%}": (lambda c, s=share_of: _flip(c, s))
        for share_of in (0.0, 0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.95, 0.999)
    },
}


def _hole(content: bytes, at: int) -> bytes:
    at = max(at, 0)
    size = min(64, len(content) - at)
    return content[:at] + bytes(size) + content[at + size :]


def _flip(content: bytes, place: float) -> bytes:
    spoilt = bytearray(content)
    spoilt[min(int(place * len(content)), len(content) - 1)] ^= 0x10
    return bytes(spoilt)


PARTS = ("store", "run", "study", "cache", "training")


@dataclass(frozen=True)
class Made:
    """What the tests damage: a copy of it, fresh for each."""

    store: Path
    run: Path
    study: Path
    cache: Path
    training: Path
    began: Path
    """The store that the run names, which is never damaged."""
    pictures: Path
    """Files whose digests are kept; a copy would have other times."""

    def copied(self, folder: Path) -> Made:
        for name in PARTS:
            shutil.copytree(getattr(self, name), folder / name)
        mine = {name: folder / name for name in PARTS}
        return Made(**mine, began=self.began, pictures=self.pictures)

    @property
    def bench(self) -> Bench:
        return Bench(self.store, composed)


class Net(nn.Module):
    """A network with some weights and a count."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(30, 20)
        self.norm = nn.BatchNorm1d(20)


def images() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (40, 1, 16, 16), dtype=np.uint8)


@pytest.fixture(scope="session")
def made(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Made:
    from counterfoil.data.cache import write_cached
    from counterfoil.util.resuming import LAST, TwoWhole
    from tests.faults import child

    folder = tmp_path_factory.mktemp("made")
    store = folder / "store"
    store.mkdir()
    for file in bench.store.glob("digits-*"):
        shutil.copy(file, store)
    bench = Bench(store, composed)
    bench.evaluate(folder / "run", *act.EXPLAINED)
    assert child.run(act.Study(store, folder / "s"), folder).right
    write_cached(folder / "cache" / "images.npy", (40, 1, 16, 16), [images()], "Drawing")
    torch.manual_seed(0)
    for epoch in (1, 2):
        held = {"state_dict": Net().state_dict(), "loops": {}, "epoch": epoch, "optimizer_states": []}
        TwoWhole().save_checkpoint(held, folder / "training" / LAST)
    cf = torch.rand(6, 1, 28, 28).numpy()
    np.savez(folder / "run" / "theirs.npz", factual=cf, counterfactual=cf[::-1], target=np.arange(6))
    (folder / "pictures").mkdir()
    for i in range(5):
        (folder / "pictures" / f"{i}.png").write_bytes(bytes([i]) * 100)
    (folder / "s" / "run").rename(folder / "study")
    parts = {name: folder / name for name in PARTS}
    return Made(**parts, began=store, pictures=folder / "pictures")


# what reads each kind of file: its value is compared with that of the undamaged file


def weights(made: Made) -> Any:
    from counterfoil.run.config import RunConfig
    from counterfoil.run.models import Models
    from counterfoil.util.fingerprint import fingerprint

    config = RunConfig.of(composed("evaluate", *made.bench.models, f"store={made.store}")[0])
    models = Models.of(config)
    loaded = models.share(config.explained)
    return int(fingerprint(loaded)), models.store.manifest(config.explained, models.data).get("test")


def classifier_file(made: Made, ending: str) -> Path:
    return next(made.store.glob(f"*-classifier-cnn-*{ending}"))


def checkpoint(made: Made) -> Any:
    """Either of two whole checkpoints, or none, is right: the training ends in the same weights."""
    import warnings

    from counterfoil.util.resuming import resume_from

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = resume_from(made.training, Net())
    if found is None:
        return "whole"
    held = torch.load(found, weights_only=True)
    torch.manual_seed(0)
    whole = [{name: value.tolist() for name, value in Net().state_dict().items()} for _ in (1, 2)]
    state = {name: value.tolist() for name, value in held["state_dict"].items()}
    return "whole" if held["epoch"] in (1, 2) and whole[held["epoch"] - 1] == state else "damaged"


def resumed(made: Made) -> Any:
    """The run goes on where only metrics.json is missing."""
    (made.run / "metrics.json").unlink(missing_ok=True)
    (made.run / "theirs.npz").unlink(missing_ok=True)
    return act.comparable(Bench(made.began, composed).evaluate(made.run, *act.EXPLAINED))


def begun_again(made: Made) -> Any:
    """A finished run says so; one whose figures are damaged is scored anew."""
    (made.run / "theirs.npz").unlink(missing_ok=True)
    try:
        return act.comparable(Bench(made.began, composed).evaluate(made.run, *act.EXPLAINED))
    except UserError as error:
        if "holds this evaluation already" not in str(error):
            raise
        return act.comparable(json.loads((made.run / "metrics.json").read_text()))


def listed(made: Made) -> Path:
    """The list of digests, written afresh; files this new would not be on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "SETTLED", -60.0)
        (made.pictures / content.NAME).unlink(missing_ok=True)
        digests(made)
    return made.pictures / content.NAME


def digests(made: Made) -> Any:
    return content.file_digests(sorted(made.pictures.glob("*.png")), made.pictures)


def scored_again(made: Made) -> Any:
    given = (*act.EXPLAINED, f"counterfactuals={made.run}")
    return act.comparable(made.bench.evaluate(made.run.parent / "again", *given))


def foreign(made: Made) -> Any:
    given = (*act.EXPLAINED, f"counterfactuals={made.run / 'theirs.npz'}")
    return act.comparable(made.bench.evaluate(made.run.parent / "again", *given))


def another_run(made: Made) -> Any:
    """The frozen queries are read by the next run."""
    return act.comparable(made.bench.evaluate(made.run.parent / "another", *act.EXPLAINED))


def job(made: Made) -> Any:
    from counterfoil.report.jobs import read_job

    found = read_job(made.study / "0")
    return act.comparable(dict(found.summary)), found.rows, found.summary["config"]


def published(made: Made) -> Any:
    from counterfoil.report.published import publish

    results = made.study.parent / "results"
    results.mkdir(exist_ok=True)
    content = json.loads(publish(made.study, results).read_text())
    return content["views"], content["jobs"]


def cached(made: Made) -> Any:
    import warnings

    from counterfoil.data.cache import open_cached, write_cached

    path, shape = made.cache / "images.npy", (40, 1, 16, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = open_cached(path, shape)
        found = write_cached(path, shape, [images()], "Drawing") if found is None else found
    return bool((found.numpy() == images()).all())


@dataclass(frozen=True)
class Kind:
    """A kind of file: which it is, and what reads it."""

    file: Callable[[Made], Path]
    reads: Callable[[Made], Any]
    quick: bool = True


def frozen(made: Made) -> Path:
    return next((made.store / "queries").glob("*.csv"))


def batch(made: Made) -> Path:
    return made.run / "counterfactuals" / "nearest" / "batch-00000.safetensors"


KINDS = {
    "weights": Kind(lambda made: classifier_file(made, ".safetensors"), weights),
    "manifest": Kind(lambda made: classifier_file(made, ".json"), weights),
    "last.ckpt": Kind(lambda made: made.training / "last.ckpt", checkpoint),
    "before.ckpt": Kind(lambda made: made.training / "before.ckpt", checkpoint),
    "frozen queries": Kind(
        lambda made: next((made.store / "queries").glob("*.csv")), another_run, quick=False
    ),
    "batch, resumed": Kind(batch, resumed, quick=False),
    "batch, scored again": Kind(batch, scored_again, quick=False),
    "run.json": Kind(lambda made: made.run / "run.json", resumed, quick=False),
    "config.yaml": Kind(lambda made: made.run / "config.yaml", resumed, quick=False),
    "query_set.csv": Kind(lambda made: made.run / "query_set.csv", resumed, quick=False),
    "metrics.json, begun again": Kind(lambda made: made.run / "metrics.json", begun_again, quick=False),
    "digests of the data": Kind(listed, digests),
    "metrics.json": Kind(lambda made: made.study / "0" / "metrics.json", job),
    "queries.csv": Kind(lambda made: made.study / "0" / "queries.csv", job),
    "study.json": Kind(lambda made: made.study / "study.json", published),
    "cached images": Kind(lambda made: made.cache / "images.npy", cached),
    "hash of cached images": Kind(lambda made: made.cache / "images.npy.json", cached),
    "foreign npz": Kind(lambda made: made.run / "theirs.npz", foreign, quick=False),
}
ROWS = [(kind, manner) for kind in KINDS for manner in MANNERS]
QUICK = [row for row in ROWS if KINDS[row[0]].quick]


@pytest.fixture(scope="session")
def right(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """What each kind's reader gives of undamaged files."""
    known: dict[str, Any] = {}

    def value(kind: str) -> Any:
        reads = KINDS[kind].reads
        if reads.__name__ not in known:
            known[reads.__name__] = reads(made.copied(tmp_path_factory.mktemp("right")))
        return known[reads.__name__]

    return value


@pytest.mark.filterwarnings("ignore::counterfoil.core.errors.CounterfoilWarning")
@pytest.mark.parametrize(("kind", "manner"), ROWS if WHOLE else QUICK[::9])
def test_damaged_file(
    kind: str, manner: str, made: Made, right: Callable[[str], Any], fault: Fault, tmp_path: Path
) -> None:
    expected = right(kind)
    mine = made.copied(tmp_path)
    file = KINDS[kind].file(mine)
    spoilt = MANNERS[manner](file.read_bytes())
    assert spoilt != file.read_bytes(), "nothing was damaged"
    file.write_bytes(spoilt)
    fault(f"corruption: {kind}", lambda: KINDS[kind].reads(mine), expected)
