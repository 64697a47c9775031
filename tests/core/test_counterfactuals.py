"""Counterfactuals: what is read off them, and that a file gives back what was put in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from counterfoil.core.counterfactuals import FORMAT, Counterfactuals, Found, unknown_costs
from counterfoil.core.errors import UserError
from counterfoil.core.strip import Scale, Strip

ROWS = 4


@pytest.fixture
def cf() -> Counterfactuals:
    draw = torch.Generator().manual_seed(0)
    costs = {name: torch.rand(ROWS, generator=draw, dtype=torch.float64) for name in unknown_costs(0)}
    return Counterfactuals(
        factual=torch.rand(ROWS, 1, 3, 3, generator=draw),
        counterfactual=torch.rand(ROWS, 1, 3, 3, generator=draw),
        target=torch.tensor([0, 1, 1, 0]),
        factual_logits=torch.tensor([[0.0, 1.0], [2.0, 1.0], [2.0, 1.0], [0.0, 1.0]]),
        counterfactual_logits=torch.tensor([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0], [3.0, 0.0]]),
        query=torch.tensor([7, 7, 8, 9]),
        strip=Strip(
            torch.randint(256, (ROWS, 2, 1, 3, 3), generator=draw) / 255,
            torch.rand(ROWS, 2, generator=draw),
            torch.rand(ROWS, 2, 2, generator=draw),
            Scale(
                torch.tensor([1, 1, 1, 1]), torch.tensor([0, 0, 0, 0]), torch.ones(ROWS), torch.zeros(ROWS, 1)
            ),
        ),
        changes={"Smiling": torch.randn(ROWS, generator=draw)},
        extra={"z": torch.randn(ROWS, 5, generator=draw)},
        **costs,
    )


def same(a: Counterfactuals, b: Counterfactuals) -> bool:
    left, right = a.tensors(), b.tensors()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_what_is_read_off(cf: Counterfactuals) -> None:
    assert len(cf) == ROWS
    assert cf.valid.tolist() == [True, False, True, True]
    assert cf.source.tolist() == [1, 0, 0, 1]
    assert torch.equal(cf.factual + cf.delta, cf.factual + (cf.counterfactual - cf.factual))
    one = 1 / (1 + torch.tensor(-1.0).exp())
    torch.testing.assert_close(cf.target_probability[:3], torch.stack((one, 1 - one, one)))


def test_a_failed_row_is_not_valid_and_stays_so_in_a_file(cf: Counterfactuals, tmp_path: Path) -> None:
    lost = replace(cf, failed=torch.tensor([True, False, False, True]))
    assert (cf.failures, lost.failures) == (0, 2)
    assert cf.valid.tolist() == [True, False, True, True]
    assert lost.valid.tolist() == [False, False, True, False]
    lost.save(tmp_path / "a.safetensors")
    assert same(Counterfactuals.load(tmp_path / "a.safetensors"), lost)
    joined = Counterfactuals.cat([cf[:2], lost[2:]])
    assert joined.failed is not None
    assert joined.failed.tolist() == [False, False, False, True]


def test_what_is_found_is_finite_row_by_row() -> None:
    image, steps = torch.zeros(6, 1, 2, 2), torch.zeros(6)
    image[0, 0, 0, 0] = torch.nan
    image[1, 0, 1, 1] = torch.inf
    frames, changes, z = torch.zeros(6, 2, 1, 2, 2), torch.zeros(6), torch.zeros(6, 3)
    frames[2, 1], changes[3], z[4, 1] = -torch.inf, torch.nan, torch.inf
    psnr = torch.full((6,), torch.inf)
    found = Found(image, steps, steps, Strip(frames), {"Smiling": changes}, {"z": z, "psnr": psnr})
    assert found.finite.tolist() == [False] * 5 + [True]
    assert found[found.finite].finite.tolist() == [True]


@pytest.mark.parametrize(
    "rows", [slice(1, 3), torch.tensor([1, 2]), torch.tensor([False, True, True, False])]
)
def test_rows(cf: Counterfactuals, rows: slice | torch.Tensor) -> None:
    part = cf[rows]
    assert len(part) == 2
    assert part.query.tolist() == [7, 8]
    assert part.strip is not None
    assert all(len(value) == 2 for value in part.strip.tensors().values())
    assert part.extra["z"].shape == (2, 5)
    assert torch.equal(part.changes["Smiling"], cf.changes["Smiling"][1:3])


def test_parts_join_to_the_whole(cf: Counterfactuals) -> None:
    assert same(Counterfactuals.cat([cf[:1], cf[1:3], cf[3:]]), cf)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_part_in_which_nothing_was_searched_joins_too(cf: Counterfactuals, order: list[int]) -> None:
    """Whichever comes first: nothing of the others' is lost."""
    parts = [cf[:2], replace(cf[2:], strip=None, changes={}, extra={})]
    whole = Counterfactuals.cat([parts[i] for i in order])
    bare = slice(2, 4) if order[0] == 0 else slice(0, 2)
    full = slice(0, 2) if order[0] == 0 else slice(2, 4)
    assert whole.strip is not None
    assert torch.equal(whole.strip.images[full], parts[0].strip.images)
    assert torch.equal(whole.strip.images[bare], cf.factual[2:, None].expand(-1, 2, -1, -1, -1))
    assert torch.equal(whole.strip.logits[bare], cf.factual_logits[2:, None].expand(-1, 2, -1))
    assert whole.strip.requested[bare].isnan().all()
    assert whole.strip.scale.high[bare].tolist() == [-1, -1]
    assert whole.walked[full].all()
    assert not whole.walked[bare].any()
    assert torch.equal(whole.changes["Smiling"][full], parts[0].changes["Smiling"])
    assert whole.changes["Smiling"][bare].tolist() == [0, 0]
    assert whole.extra["z"][bare].isnan().all()
    assert torch.equal(whole.extra["z"][full], parts[0].extra["z"])


def test_file_gives_back_every_field(cf: Counterfactuals, tmp_path: Path) -> None:
    for name, counterfactuals in {"full": cf, "bare": replace(cf, strip=None, changes={}, extra={})}.items():
        path = tmp_path / "new" / f"{name}.safetensors"
        counterfactuals.save(path)
        assert same(Counterfactuals.load(path), counterfactuals)
    assert not list(tmp_path.rglob("*.partial"))


def test_the_images_of_a_strip_are_kept_with_8_bits(cf: Counterfactuals, tmp_path: Path) -> None:
    """Those that are the factual or the counterfactual stay what they are, to the last bit."""
    path, step = tmp_path / "a.safetensors", torch.full((ROWS, 1, 3, 3), 0.4321)
    frames = torch.stack((cf.factual, cf.counterfactual, step), 1)
    frames[3] = cf.factual[3]
    strip = Strip(frames, logits=torch.rand(ROWS, 3, 2))
    replace(cf, strip=strip).save(path)
    with safe_open(str(path), framework="pt") as file:
        assert file.get_slice("strip.images").get_dtype() == "U8"
    read = Counterfactuals.load(path)
    assert read.strip is not None
    assert torch.equal(read.strip.images[:, :2], frames[:, :2])
    assert torch.equal(read.strip.images[:3, 2], step[:3].mul(255).round() / 255)
    assert torch.equal(read.strip.logits, strip.logits)
    assert read.walked.tolist() == [True, True, True, False]


def test_a_file_with_float_strips_is_still_read(cf: Counterfactuals, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {name: value.contiguous() for name, value in cf.tensors().items()}
    tensors["strip.images"] = torch.rand_like(tensors["strip.images"])
    save_file(tensors, str(path), {"format": "counterfoil.counterfactuals/4"})
    read = Counterfactuals.load(path)
    assert read.strip is not None
    assert torch.equal(read.strip.images, tensors["strip.images"])


def test_a_failed_write_leaves_the_old_file(
    cf: Counterfactuals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    cf.save(path)
    before = path.read_bytes()

    def full(tensors: object, name: str, **_: object) -> None:
        Path(name).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("counterfoil.core.counterfactuals.save_file", full)
    with pytest.raises(OSError, match="space"):
        cf[:1].save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("harm", ["cut", "garbage", "empty", "absent", "folder"])
def test_a_damaged_file_is_named(cf: Counterfactuals, tmp_path: Path, harm: str) -> None:
    path = tmp_path / "a.safetensors"
    cf.save(path)
    whole = path.read_bytes()
    path.unlink()
    if harm == "folder":
        path.mkdir()
    elif harm != "absent":
        path.write_bytes({"cut": whole[:-40], "garbage": b"\x00garbage" * 50, "empty": b""}[harm])
    with pytest.raises(UserError, match=r"a\.safetensors") as caught:
        Counterfactuals.load(path)
    assert "\n" not in str(caught.value)


def test_a_file_of_something_else_is_refused(cf: Counterfactuals, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(2)}, str(path))
    with pytest.raises(UserError, match="not a file of counterfactuals"):
        Counterfactuals.load(path)
    without = {name: value.contiguous() for name, value in cf.tensors().items() if name != "steps"}
    save_file(without, str(path), {"format": FORMAT})
    with pytest.raises(UserError, match="steps"):
        Counterfactuals.load(path)


def test_a_file_of_an_older_version_is_refused_in_one_line(cf: Counterfactuals, tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    save_file(
        {**cf.tensors(), "path": cf.steps.clone()},
        str(path),
        {"format": "counterfoil.counterfactuals"},
    )
    with pytest.raises(
        UserError, match=r"old\.safetensors was written by another version.*overwrite=true"
    ) as caught:
        Counterfactuals.load(path)
    assert "\n" not in str(caught.value)


def test_moving_keeps_all(cf: Counterfactuals) -> None:
    assert same(cf.to("cpu"), cf)
    assert cf.to("meta").extra["z"].device.type == "meta"


def test_unknown_costs_are_not_numbers() -> None:
    assert all(value.isnan().all() and len(value) == 3 for value in unknown_costs(3).values())


def test_a_summary_is_one_short_line(cf: Counterfactuals) -> None:
    change = float(cf.delta.abs().mean())
    assert repr(cf) == f"4 counterfactuals of 3 queries: 75 % valid, L1 {change:.3f}"
    assert repr(cf[1:2]).startswith("1 counterfactuals: 0 % valid, L1 0.")
    failed = torch.tensor([True, False, False, False])
    assert repr(replace(cf, failed=failed)).endswith(", 1 failed")
    assert repr(cf[:0]) == "0 counterfactuals"


def test_the_method_is_told_and_kept(cf: Counterfactuals, tmp_path: Path) -> None:
    own = replace(cf, method="revise")
    assert repr(own).startswith("4 counterfactuals of 3 queries by revise: 75 % valid, L1 0.")
    own.save(tmp_path / "a.safetensors")
    kept = [own[1:], own.to("cpu"), own.bare, Counterfactuals.cat([own, own]), own.holding({})]
    for part in [*kept, Counterfactuals.load(tmp_path / "a.safetensors")]:
        assert part.method == "revise"
    assert Counterfactuals.cat([own, cf]).method == ""
    assert "method" not in own.tensors()
