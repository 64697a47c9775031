import base64
import io

import numpy as np
import pytest
from PIL import Image

from counterfoil.report.sheets import COLUMNS, TILES, Sheets


def _tiles(count, side=4, depth=3):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, depth), np.uint8)


def test_tiles_are_found_where_the_page_looks_for_them():
    sheets, tiles = Sheets("a"), _tiles(TILES + 13)
    sheets.add(tiles[:30])
    sheets.add(tiles[30:])
    addresses = sheets.close()
    assert len(addresses) == 2
    for place in (0, 57, TILES - 1, TILES, TILES + 12):
        content = base64.b64decode(addresses[place // TILES].split(",")[1])
        picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        row, column = divmod(place % TILES, COLUMNS)
        assert (picture[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] == tiles[place]).all()


@pytest.mark.parametrize("count", [0, 5, TILES])
def test_a_folder_holds_whole_files_alone(tmp_path, count):
    sheets = Sheets("a", tmp_path / "report")
    sheets.add(_tiles(count))
    names = [f"a-{place}.webp" for place in range(-(-count // TILES))]
    assert sheets.close() == [f"report/{name}" for name in names]
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == names


def test_wide_tiles_lose_a_little():
    smooth = np.linspace(0, 255, 64).astype(np.uint8)[None, :, None, None].repeat(64, 2).repeat(4, 3)
    sheets = Sheets("a")
    sheets.add(smooth)
    content = base64.b64decode(sheets.close()[0].split(",")[1])
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))
    assert np.abs(picture[:64, :64, 0].astype(int) - smooth[0, ..., 0]).mean() < 4
