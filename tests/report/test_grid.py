import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from counterfoil.report.grid import (
    BLUE,
    RED,
    data_uri,
    difference_layer,
    enlarge,
    grid,
    overview,
    pixels,
    save_png,
    signed_difference,
    strongest,
    symmetric_scale,
)  # fmt: skip


def test_grid_places_tiles_by_row():
    images = torch.tensor([0.0, 0.2, 0.4]).view(3, 1, 1, 1).expand(3, 1, 2, 2)
    picture = grid(images, columns=2, pad=1)
    assert picture.shape == (5, 5, 3)
    expected = np.full((5, 5), 255)
    expected[:2, :2], expected[:2, 3:], expected[3:, :2] = 0, 51, 102
    assert (picture == expected[..., None]).all()


def test_pixels_clamp_round_and_repeat_grey():
    assert pixels(torch.tensor([-1.0, 0.5, 2.0]).view(1, 1, 1, 3)).tolist() == [
        [[[0] * 3, [128] * 3, [255] * 3]]
    ]


def test_signed_difference_by_hand():
    delta = torch.tensor([0.0, 0.5, -0.5, 1.0, 0.25]).view(1, 1, 1, 5)
    none, more, less, beyond, half = signed_difference(delta, scale=0.5)[0, 0].tolist()
    assert none == [255, 255, 255]
    assert more == beyond == list(RED)
    assert less == list(BLUE)
    opacity = 128 / 255
    assert half == [round(c * opacity + 255 * (1 - opacity)) for c in RED]
    assert signed_difference(delta, background=0)[0, 0, 0].tolist() == [0, 0, 0]
    assert difference_layer(delta, 0.5)[0, 0, :, 3].tolist() == [0, 255, 255, 255, 128]


def test_strongest_never_cancels():
    delta = torch.tensor([0.3, -0.4, 0.1]).view(1, 3, 1, 1)
    assert strongest(delta).tolist() == [[[pytest.approx(-0.4)]]]


def test_symmetric_scale():
    assert symmetric_scale(torch.full((3,), 0.347)) == 0.35
    assert symmetric_scale(torch.zeros(2)) == 0.01


def test_enlarge_repeats_pixels():
    assert enlarge(np.array([[[1], [2]]], np.uint8), 2)[..., 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]


def test_overview_has_three_rows(run):
    picture = overview(run.methods["revise"], limit=5, side=16)
    assert picture.shape == ((3 * 8 + 2) * 2, (5 * 8 + 4) * 2, 3)
    assert (picture[:16, :16:2][::2] == pixels(run.methods["revise"].factual[:1])[0]).all()


def test_data_uri_and_png_round_trip(tmp_path):
    picture = grid(torch.rand(4, 3, 7, 7), columns=2)
    head, content = data_uri(picture).split(",")
    assert head == "data:image/png;base64"
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))) == picture).all()
    assert data_uri(picture, side=128).startswith("data:image/webp;")
    assert (np.asarray(Image.open(save_png(tmp_path / "new" / "a.png", picture))) == picture).all()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]
