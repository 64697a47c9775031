"""Drawn faces show what their attributes say."""

from __future__ import annotations

import numpy as np
import pytest

from counterfoil.data.face import ATTRIBUTES, SIZE, draw, draw_many

pytest.importorskip("python_avatars")
pytest.importorskip("resvg_py")

PLAIN = dict.fromkeys(ATTRIBUTES, False)
# Where in the picture (rows, columns) a change of the attribute must show, and nowhere else.
REGION = {
    "Smiling": (slice(36, 54), slice(20, 44)),
    "Mouth_Open": (slice(36, 54), slice(20, 44)),
    "Eyeglasses": (slice(20, 38), slice(10, 54)),
    "Sunglasses": (slice(20, 38), slice(10, 54)),
    "Beard": (slice(22, 58), slice(10, 54)),
    "Mustache": (slice(32, 42), slice(16, 48)),
    "Dark_Clothes": (slice(48, 64), slice(0, 64)),
}


def test_size_and_type() -> None:
    face = draw(PLAIN, np.random.default_rng(0))
    assert face.shape == (3, SIZE, SIZE)
    assert face.dtype == np.uint8


def test_a_smaller_face_is_the_same_one() -> None:
    whole, small = (draw(PLAIN, np.random.default_rng(0), side).astype(float) for side in (64, 32))
    assert small.shape == (3, 32, 32)
    halved = whole.reshape(3, 32, 2, 32, 2).mean((2, 4))
    assert np.abs(halved - small).mean() < 4


@pytest.mark.parametrize("name", ATTRIBUTES)
@pytest.mark.parametrize("seed", range(3))
def test_each_attribute_shows_where_it_should(name: str, seed: int) -> None:
    off, on = (
        draw({**PLAIN, name: value}, np.random.default_rng(seed)).astype(int) for value in (False, True)
    )
    change = np.abs(on - off).max(0)
    assert (change > 30).sum() >= 20
    if name in REGION:
        change[REGION[name]] = 0
        assert change.max() == 0


def test_a_mustache_is_drawn_beside_a_beard() -> None:
    faces = [
        draw({**PLAIN, "Beard": True, "Mustache": value}, np.random.default_rng(0)).astype(int)
        for value in (False, True)
    ]
    assert (np.abs(faces[1] - faces[0]).max(0) > 30).sum() >= 20


def test_a_face_depends_on_seed_and_row_alone() -> None:
    attributes = np.random.default_rng(0).integers(0, 2, (6, len(ATTRIBUTES))).astype(np.uint8)
    attributes[:, ATTRIBUTES.index("Sunglasses")] = 0
    whole = draw_many(attributes, seed=3, start=0)
    assert np.array_equal(draw_many(attributes[4:], seed=3, start=4), whole[4:])
    assert not np.array_equal(draw_many(attributes[4:], seed=4, start=4), whole[4:])


@pytest.mark.parametrize("seed", range(4))
def test_a_beard_leaves_the_upper_lip_bare(seed: int) -> None:
    off, on = (
        draw({**PLAIN, "Beard": value}, np.random.default_rng(seed)).astype(int) for value in (False, True)
    )
    assert np.array_equal(off[:, 33:41, 21:44], on[:, 33:41, 21:44])
