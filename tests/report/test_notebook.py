"""What a notebook shows: pictures of the rows asked for, columns of plain values, films of strips."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from counterfoil.core.errors import UserError
from counterfoil.report.notebook import HOLD, figure


def test_html_shows_the_summary_and_a_grid(run: SimpleNamespace) -> None:
    cf = run.methods["wachter"]
    page = cf._repr_html_()
    assert page.startswith(f"<div>{cf!r}</div><img alt=")
    assert 'src="data:image/png;base64,' in page
    assert cf[:0]._repr_html_() == "<div>0 counterfactuals</div>"


def test_a_figure_has_a_column_for_each_row_and_names_its_classes(run: SimpleNamespace) -> None:
    cf = run.methods["revise"]
    drawn = cf.plot(rows=3, class_names=("$cat$", "dog"))
    assert len(drawn.axes) == 9
    titles = [axes.get_title() for axes in drawn.axes[:3]]
    assert titles[0].startswith("dog → $cat$\n0.")
    assert titles[1].startswith("$cat$ → dog\n")
    drawn.canvas.draw()
    undecided = cf[~cf.valid].plot(rows=1)
    assert undecided.axes[0].get_title().endswith("not valid")
    with pytest.raises(UserError, match="no counterfactual to draw"):
        figure(cf[:0])


def test_a_figure_shows_itself_where_pyplot_was_never_imported(run: SimpleNamespace) -> None:
    """As a notebook asks for it; a bare figure of matplotlib would be a line of text there."""
    shown: Any = run.methods["wachter"].plot(1)
    assert shown._repr_png_().startswith(b"\x89PNG")


def test_columns_are_plain_values(run: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    cf = replace(run.methods["revise"], changes={"Smiling": torch.ones(12)})
    table = cf.to_dict()
    assert {len(values) for values in table.values()} == {12}
    assert table["query"][0] == 100
    assert table["valid"] == cf.valid.tolist()
    assert table["l1"] == pytest.approx(cf.delta.abs().flatten(1).mean(1).tolist())
    assert table["change_Smiling"] == [1.0] * 12
    pandas: Any = ModuleType("pandas")
    pandas.DataFrame = lambda columns: ("frame", columns["query"])
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    assert cf.to_frame() == ("frame", table["query"])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="pip install pandas"):
        cf.to_frame()


def test_a_film_shows_each_step_and_stands_at_its_end(run: SimpleNamespace, tmp_path: Path) -> None:
    cf = run.methods["revise"]
    written = cf.animate(tmp_path / "made" / "strip.gif", rows=2)
    with Image.open(written) as film:
        assert film.is_animated
        assert film.size == (2 * 64 + 8, 64)
        assert 2 <= film.n_frames <= 1 + HOLD
    assert [path.name for path in written.parent.iterdir()] == ["strip.gif"]
    with pytest.raises(UserError, match=r"expected a name that ends in \.gif"):
        cf.animate(tmp_path / "strip.png")
    with pytest.raises(UserError, match="images on the way"):
        run.methods["wachter"].animate(tmp_path / "strip.gif")
