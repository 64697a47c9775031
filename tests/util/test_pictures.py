"""Grids of images."""

from __future__ import annotations

import numpy as np
import torch

from counterfoil.util.pictures import to_grid


def test_grid_is_row_by_row_and_filled_with_black() -> None:
    images = torch.stack([torch.full((1, 2, 3), value) for value in (0.2, 0.4, 0.6)])
    grid = to_grid(images, columns=2)
    assert grid.shape == (4, 6, 3)
    assert grid.dtype == np.uint8
    assert [int(grid[y, x, 0]) for y, x in ((0, 0), (0, 3), (2, 0), (2, 3))] == [51, 102, 153, 0]


def test_grid_keeps_colours_and_cuts_what_is_out_of_range() -> None:
    image = torch.tensor([-1.0, 0.5, 2.0]).view(1, 3, 1, 1)
    assert to_grid(image, 1)[0, 0].tolist() == [0, 128, 255]
