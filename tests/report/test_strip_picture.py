"""Strips as pictures, on the page and beside it."""

from PIL import Image

from counterfoil.report.strip_picture import draw_strips, save_strips
from counterfoil.report.strips import read_strips


def test_pictures_are_kept_beside_the_page(run, walked, tmp_path):
    files = save_strips(tmp_path / "strips", {**run.methods, "revise": walked}, ("a", "b"))
    assert [file.name for file in files] == [
        "revise.png",
        "revise-compatibility.svg",
        "revise-compatibility-dark.svg",
    ]
    assert sorted(path.name for path in (tmp_path / "strips").iterdir()) == sorted(
        file.name for file in files
    )
    picture = draw_strips(walked[1:2], read_strips(walked[1:2], ("a", "b")), 1.0)
    assert picture.shape == (*Image.fromarray(picture).size[::-1], 3)
    assert (picture == (31, 95, 191)).all(-1).sum() > 4 * 88, "the counterfactual is framed"
    assert save_strips(tmp_path / "none", {"wachter": run.methods["wachter"]}, ("a", "b")) == []
    assert not (tmp_path / "none").exists()
