"""Counterfactuals from elsewhere are graded by this classifier, or refused with one line that says why."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from counterfoil.core.batches import Batches
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.core.strip import Strip
from counterfoil.data.counterfactuals import asking, read_counterfactuals, read_names

SIZE = (1, 4, 4)


class Brightness(nn.Module):
    """Class 1 where the mean is above a half."""

    def forward(self, x: Tensor) -> Tensor:
        s = 20 * (x.mean((1, 2, 3)) - 0.5)
        return torch.stack((-s / 2, s / 2), 1)


def arrays() -> dict[str, np.ndarray]:
    """Three counterfactuals to "make it bright", two of them right."""
    factual = np.full((3, *SIZE), 0.2, np.float32)
    counterfactual = np.stack([np.full(SIZE, value, np.float32) for value in (0.9, 0.8, 0.3)])
    return {"factual": factual, "counterfactual": counterfactual, "target": np.array([1, 1, 1])}


def npz(path: Path, **changes: Any) -> Path:
    """The arrays with changes; None leaves one out."""
    np.savez(path, **{key: value for key, value in {**arrays(), **changes}.items() if value is not None})
    return path


def read(path: Path) -> Counterfactuals:
    return batches(path)[:]


def batches(path: Path) -> Batches:
    (found,) = read_counterfactuals(path, Brightness(), SIZE, known=9).values()
    return found


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_good_file_is_graded_by_our_classifier(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"theirs.{suffix}"
    if suffix == "npz":
        npz(path)
    else:
        save_file({key: torch.from_numpy(value) for key, value in arrays().items()}, str(path))
    assert list(read_counterfactuals(path, Brightness(), SIZE)) == ["theirs"]
    cf = read(path)
    assert cf.valid.tolist() == [True, True, False]
    assert cf.source.tolist() == [0, 0, 0]
    assert torch.equal(cf.counterfactual_logits, Brightness()(cf.counterfactual))
    assert torch.isnan(cf.steps).all()
    assert torch.isnan(cf.seconds).all()
    assert cf.query.tolist() == [0, 1, 2]


def test_rows_that_ask_for_what_is_there_are_left_out(tmp_path: Path) -> None:
    """A factual of class 0 with target 0 would count as valid, as it is."""
    cf = batches(npz(tmp_path / "a.npz", target=np.array([1, 0, 1])))
    with pytest.warns(CounterfoilWarning, match="1 of 3 rows of theirs ask for the class"):
        kept = asking(cf, "theirs")
    assert kept.query.tolist() == kept[:].query.tolist() == [0, 2]
    path = tmp_path / "corrupted.safetensors"
    replace(cf[:], clean=cf[:].factual).save(path)
    corrupted = batches(path)
    assert asking(corrupted, "theirs") is corrupted
    with pytest.raises(UserError, match="each of the 3 rows of theirs asks for the class"):
        asking(batches(npz(tmp_path / "b.npz", target=np.zeros(3, int))), "theirs")


def test_one_file_of_a_run_keeps_failures_and_clean_queries(tmp_path: Path) -> None:
    cf = read(npz(tmp_path / "a.npz"))
    failed = torch.tensor([False, True, False])
    replace(cf, failed=failed, clean=cf.factual / 2).save(tmp_path / "batch-00000.safetensors")
    again = read(tmp_path / "batch-00000.safetensors")
    assert again.valid.tolist() == [True, False, False]
    assert again.failures == 1
    assert again.clean is not None
    assert torch.equal(again.clean, cf.factual / 2)


@pytest.mark.parametrize("same", [True, False])
def test_a_strip_is_graded_afresh_unless_it_was_graded_by_this_classifier(tmp_path: Path, same: bool) -> None:
    """Its images lie in the file with 8 bits each, and were graded before that."""
    cf = read(npz(tmp_path / "a.npz"))
    strip = Strip(torch.full((3, 2, *SIZE), 0.4321)).graded(Brightness())
    other = cf.counterfactual_logits if same else cf.counterfactual_logits + 1
    file = tmp_path / "b.safetensors"
    replace(cf, strip=strip, counterfactual_logits=other).save(file)
    found = read(file).strip
    assert found is not None
    assert torch.equal(found.logits, strip.logits) == same
    torch.testing.assert_close(found.logits, strip.logits, atol=0.05, rtol=0)


def test_grey_images_need_no_channel_and_costs_are_kept(tmp_path: Path) -> None:
    flat = {key: arrays()[key][:, 0].astype(np.float64) for key in ("factual", "counterfactual")}
    cf = read(
        npz(
            tmp_path / "a.npz",
            **flat,
            steps=np.array([3, 4, 5]),
            query=np.array([7, 7, 8]),
            names=np.array(["a", "b", "c"]),
        )
    )
    assert cf.factual.shape == (3, *SIZE)
    assert cf.factual.dtype == torch.float32
    assert cf.steps.tolist() == [3, 4, 5]
    assert cf.query.tolist() == [7, 7, 8]


def scaled(scale: float, shift: float = 0.0) -> np.ndarray:
    return arrays()["counterfactual"] * scale + shift


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "0..255 floats": (
        {"counterfactual": scaled(255)},
        r"counterfactual holds torch.float32 in \[76.5, 229.5\].*divide",
    ),
    "0..255 bytes": (
        {"counterfactual": scaled(255).astype(np.uint8)},
        "torch.uint8.*divide 8-bit images by 255",
    ),
    "black bytes": ({"counterfactual": np.zeros((3, *SIZE), np.uint8)}, "torch.uint8"),
    "[-1, 1]": ({"factual": np.full((3, *SIZE), -0.5, np.float32)}, r"map \[-1, 1\] by \(x \+ 1\) / 2"),
    "a little above 1": ({"counterfactual": scaled(1.2)}, r"in \[0.36, 1.08\]"),
    "NaN": ({"counterfactual": scaled(float("nan"))}, "nan"),
    "missing key": ({"target": None}, "lacks target.*found counterfactual, factual"),
    "unequal rows": ({"counterfactual": scaled(1)[:2]}, "shapes differ"),
    "too few targets": ({"target": np.array([1, 1])}, "shapes differ"),
    "other size": (
        dict.fromkeys(("factual", "counterfactual"), np.zeros((3, 1, 5, 5), np.float32)),
        r"the data are \(1, 4, 4\)",
    ),
    "no rows": (
        {"factual": np.zeros((0, *SIZE)), "counterfactual": np.zeros((0, *SIZE)), "target": np.zeros(0, int)},
        "empty",
    ),
    "unknown class": ({"target": np.array([0, 1, 2])}, r"0\.\.2, expected 0\.\.1"),
    "negative class": ({"target": np.array([0, 1, -1])}, r"-1\.\.1, expected 0\.\.1"),
    "broken target": ({"target": np.array([0.5, 1, 1])}, "target"),
    "costs of other length": ({"steps": np.array([1, 2])}, "steps"),
    "queries of other length": ({"query": np.array([1, 2])}, "query"),
    "negative query": ({"query": np.array([-1, 0, 1])}, "query"),
    "a query that nobody knows": ({"query": np.array([0, 1, 9])}, "query 9 is none of 9"),
    "a query far off": ({"query": np.array([0, 1, 10**9])}, "query 1000000000 is none of 9"),
    "a query beyond all numbers": ({"query": np.array([0, 1, 1e30])}, "query holds torch.float64"),
    "NaN for a target": ({"target": np.array([1, np.nan, 1])}, "target holds torch.float64"),
    "truth for a target": ({"target": np.array([True, False, True])}, "target holds torch.bool"),
    "infinite seconds": ({"seconds": np.array([1, np.inf, 1])}, "seconds is negative or infinite"),
    "negative steps": ({"steps": np.array([1, -5, 1])}, "steps is negative or infinite"),
    "one number for a factual": ({"factual": np.float32(0.5)}, "empty|shapes|shape"),
    "objects": ({"factual": np.array([None, None, None])}, "damaged|objects|allow_pickle"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_file_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    changes, words = REFUSED[case]
    with pytest.raises(UserError, match=words) as error:
        read(npz(tmp_path / "theirs.npz", **changes))
    assert "theirs.npz" in str(error.value)
    assert "\n" not in str(error.value)


def _truncated(path: Path) -> None:
    npz(path)
    path.write_bytes(path.read_bytes()[:-200])


def _scrambled(path: Path) -> None:
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays())  # type: ignore[arg-type]
    content = bytearray(packed.getvalue())
    with zipfile.ZipFile(packed) as archive:
        start = archive.infolist()[0].header_offset + 60
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)


def _array_alone(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, arrays()["factual"])


def _empty(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize("harm", [_truncated, _scrambled, _array_alone, _empty])
def test_damaged_npz_is_refused(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    harm(tmp_path / "theirs.npz")
    with pytest.raises(UserError, match=r"theirs\.npz"):
        read(tmp_path / "theirs.npz")


def test_damaged_safetensors_other_endings_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\xff" * 100)
    (tmp_path / "a.pkl").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    expected = {
        "a.safetensors": "damaged",
        "a.pkl": "npz or safetensors",
        "none.npz": "does not exist",
        "folder": r"no \*\.safetensors",
    }
    for name, words in expected.items():
        with pytest.raises(UserError, match=words):
            read(tmp_path / name)


def test_stored_names(tmp_path: Path) -> None:
    cf = read(npz(tmp_path / "some.npz"))
    for method, start in (("a", 0), ("b", 0), ("b", 2)):
        file = tmp_path / "run" / "counterfactuals" / method / f"batch-{start:05d}.safetensors"
        cf.save(file, names=json.dumps({start: "pics/\u00e9.png", start + 1: 88}))
    first = {0: "pics/\u00e9.png", 1: 88}
    assert read_names(tmp_path / "run") == {**first, 2: "pics/\u00e9.png", 3: 88}
    assert read_names(tmp_path / "run" / "counterfactuals" / "a") == first
    assert read_names(file.parent / "batch-00000.safetensors") == first
    for names in ("{", "[1]", '{"x": "a"}', '{"0": ["a"]}'):
        cf.save(file, names=names)
        assert read_names(file) == {}
    assert read_names(tmp_path / "absent") == {}
    assert read_names(npz(tmp_path / "a.npz")) == {}
    named = npz(tmp_path / "b.npz", names=np.array([f"{i}.png" for i in range(3)]))
    assert read_names(named) == {0: "0.png", 1: "1.png", 2: "2.png"}
    assert read_names(npz(tmp_path / "c.npz", names=np.array([object()]))) == {}
