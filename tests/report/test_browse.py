import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from counterfoil.report import browse
from counterfoil.report.html import write_report

READABLE = (Path(__file__).parent / "readable.js").read_text()
ROWS = "[...document.querySelectorAll('#rows tbody tr')]"


@pytest.fixture
def run(run, walked):
    """The small run with a method that walks, a metric of one's own, and names of images."""
    run.methods["revise"] = walked
    run.tables["wachter"]["my_own"] = torch.arange(12).float()
    run.summary["methods"]["wachter"]["my_own"] = replace(
        run.summary["methods"]["wachter"]["l1_valid"], label="My own", higher_is_better=True
    )
    return run


@pytest.fixture
def page(run, tmp_path):
    return write_report(tmp_path / "report.html", **vars(run), names={105: "faces/<b>105.png"})


def records(text):
    return json.loads(re.search(r'id="records">(.*?)</script>', text, re.DOTALL).group(1))


def pick(tab, name, value):
    tab.run(
        f"(() => {{ const f = document.getElementById('filters').elements['{name}']; f.value = '{value}';"
        " f.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def shown(tab, column=1):
    return tab.run(f"{ROWS}.map((row) => row.cells[{column}].textContent)")


def test_records_hold_every_counterfactual(page, run):
    told = records(page.read_text())
    assert [method["name"] for method in told["methods"]] == list(run.methods)
    assert told["query"] == list(range(100, 112))
    assert told["name"][:2] == ["query 100", "query 101"]
    for method, (name, cf) in zip(told["methods"], run.methods.items(), strict=True):
        assert method["query"] == list(range(12))
        assert method["target"] == cf.target.tolist()
        assert method["valid"] == cf.valid.int().tolist()
        assert method["after"] == pytest.approx(cf.target_probability.tolist(), abs=1e-3)
        values = dict(zip([c["key"] for c in told["columns"]], method["values"], strict=True))
        assert values["l1"] == pytest.approx(run.tables[name]["l1"].tolist(), rel=1e-3)
    own = next(column for column in told["columns"] if column["key"] == "my_own")
    assert own == {"key": "my_own", "label": "My own", "unit": "", "higher": True, "shown": True}
    assert told["methods"][0]["values"][told["columns"].index(own)] is None
    walk = told["methods"][0]["walk"]
    assert walk["place"][:5] == [0, 1, 2, -1, 3]
    assert walk["frames"][0][2] == [0.6, 0.7, 0.7, 1, 1]
    assert all(method["walk"] is None for method in told["methods"][1:])


def test_thumbnails_of_many_lie_beside_the_page(run, tmp_path, monkeypatch):
    monkeypatch.setattr(browse, "WITHIN", 11)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "old.webp").touch()
    text = write_report(tmp_path / "report.html", **vars(run)).read_text()
    files = {f"report/{path.name}" for path in (tmp_path / "report").iterdir()}
    assert files == set(re.findall(r"url\((report/[^)]*)\)", text))
    assert files == {f"report/{name}-0.webp" for name in ("f", "0", "1", "2", "w0")}
    assert "img-src data: 'self'" in text


def test_few_queries_are_one_file(page):
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]
    assert "img-src data:;" in page.read_text()


def test_the_first_of_very_many_can_be_looked_at(run, tmp_path, monkeypatch):
    monkeypatch.setattr(browse, "MOST", 5)
    text = write_report(tmp_path / "report.html", **vars(run)).read_text()
    assert records(text)["query"] == [100, 101, 102, 103, 104]
    assert [len(method["after"]) for method in records(text)["methods"]] == [5, 5, 5]
    assert "the first 5 queries of 12" in text


def test_filters_and_their_address(page, tab):
    tab.open(page.as_uri())
    assert len(shown(tab)) == 36
    pick(tab, "method", 0)
    pick(tab, "valid", 0)
    assert shown(tab) == ["revise"] * 3
    assert tab.run("document.getElementById('found').textContent") == "3 of 36 counterfactuals, of 3 queries."
    pick(tab, "source", 0)
    assert len(shown(tab)) == 2
    assert tab.run("location.hash") == "#source=0&method=revise&valid=0"
    assert tab.run("document.querySelectorAll('#means tbody tr').length") == 1
    tab.open(page.as_uri() + "#method=wachter&judge=1&image=FACES")
    assert shown(tab) == ["wachter"]
    assert shown(tab, 0) == ["faces/<b>105.png"]
    pick(tab, "image", "none")
    assert shown(tab) == []
    assert "clear a filter" in tab.run("document.getElementById('found').textContent")
    tab.run("document.querySelector('#filters [type=reset]').click()")
    tab.run("new Promise((done) => setTimeout(done, 20))")
    assert len(shown(tab)) == 36


def test_an_own_metric_is_a_column_that_sorts(page, tab):
    tab.open(page.as_uri())
    heads = "[...document.querySelectorAll('#rows thead button')].map((button) => button.dataset.sort)"
    assert tab.run(heads)[-3:] == ["m.l1", "m.im1", "m.my_own"]
    press = "document.querySelector('#rows [data-sort=\"m.my_own\"]').click()"
    tab.run(press)
    assert [shown(tab, 9)[place] for place in (0, 1, 11, 12)] == ["11.0", "10.0", "0", "–"]
    tab.run(press)
    assert [shown(tab, 9)[place] for place in (0, 1, 11, 12)] == ["0", "1.00", "11.0", "–"]
    assert tab.run("document.querySelector('#rows [aria-sort]').ariaSort") == "ascending"
    assert tab.run("location.hash") == "#sort=m.my_own"
    tab.run("document.querySelectorAll('#columns input').forEach((box) => { if (box.checked) box.click(); })")
    assert len(tab.run(f"[...{ROWS}[0].cells].map((cell) => cell.textContent)")) == 7


def test_a_query_by_its_address_with_all_methods(page, tab):
    title = "document.getElementById('query-title').textContent"
    tab.open(page.as_uri() + "#query=105")
    assert tab.run("document.activeElement.id") == "query"
    assert tab.run(title) == "faces/<b>105.png, read as not <Smiling>"
    assert tab.run("document.querySelectorAll('.by-method').length") == 3
    assert tab.run("Math.abs(document.getElementById('query').getBoundingClientRect().top) < 40")
    tab.run("document.getElementById('next').click()")
    assert tab.run("location.hash") == "#query=106"
    tab.run("location.hash = '#query=111'")
    tab.run("new Promise((done) => setTimeout(done, 50))")
    assert tab.run(
        "[document.getElementById('next').disabled, document.getElementById('previous').disabled]"
    ) == [True, False]
    tab.open(page.as_uri())
    tab.run("document.querySelector('#rows tbody a').click()")
    assert tab.run("location.hash") == "#query=100"
    tab.run("history.back(); new Promise((done) => setTimeout(done, 200))")
    assert tab.run("[location.hash, document.getElementById('query').hidden]") == ["", True]
    tab.open(page.as_uri() + "#query=99")
    assert tab.run("document.getElementById('query').hidden")


def test_by_the_keyboard_alone(page, tab):
    tab.open(page.as_uri())
    tab.run("document.querySelector('#rows tbody a').focus()")
    tab.press("Enter")
    assert tab.run("document.activeElement.id") == "query"
    for _ in range(20):
        tab.press("Tab")
        if tab.run("document.activeElement.ariaLabel") == "step of revise":
            break
    step = "document.querySelector('.step output').textContent"
    frame = "document.querySelector('.by-method .shown .px:nth-child(2)').getAttribute('style')"
    assert tab.run(step) == "step 3 of 4: requested 0.60, p = 0.70 ✓"
    before = tab.run(frame)
    tab.press("ArrowRight")
    assert tab.run(step) == "step 4 of 4: requested 0.90, p = 0.99 ✓"
    assert tab.run(frame) != before
    tab.press("Escape")
    assert tab.run("document.getElementById('query').hidden")
    assert tab.run("document.activeElement.dataset.query") == "100"


def test_wipe_difference_and_zoom(page, tab):
    tab.open(page.as_uri() + "#query=105")
    width = "document.querySelector('.by-method .px').getBoundingClientRect().width"
    small = tab.run(width)
    tab.run("document.querySelector('[name=look][value=wipe]').click()")
    assert tab.run("document.getElementById('wiping').hidden") is False
    tab.run("document.getElementById('wipe').focus()")
    tab.press("ArrowRight")
    assert (
        tab.run("getComputedStyle(document.querySelector('.stack .over')).clipPath")
        == "inset(0px 0px 0px 51%)"
    )
    tab.run("document.getElementById('zoom').focus()")
    tab.press("ArrowRight")
    assert tab.run(width) == 2 * small
    tab.run("document.querySelector('[name=look][value=difference]').click()")
    assert tab.run("document.querySelectorAll('.stack .change').length") == 3
    assert tab.run("document.getElementById('wiping').hidden")


def test_thumbnails_are_read_when_they_are_shown(run, tmp_path, tab, monkeypatch):
    monkeypatch.setattr(browse, "WITHIN", 11)
    page = write_report(tmp_path / "report.html", **vars(run))
    tab.open(page.as_uri() + "#method=wachter")
    tab.run("new Promise((done) => setTimeout(done, 100))")
    files = sorted(address.rpartition("/")[2] for address in tab.asked if address.endswith("webp"))
    assert files == ["1-0.webp", "f-0.webp"]
    assert all(address.startswith(("file:", "data:")) for address in tab.asked)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (400, False), (400, True)])
def test_reads_well_narrow_and_dark(page, tab, width, dark):
    tab.open(page.as_uri() + "#query=105", width, dark=dark)
    assert tab.run(READABLE) == {"faint": [], "nameless": []}
    assert tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_prints_what_is_chosen(page, tab):
    tab.open(page.as_uri() + "#method=wachter")
    tab.media(medium="print")
    parts = "['#queries', '#rows', '#filters', '#theme', '.pages'].map((one) => document.querySelector(one))"
    seen = tab.run(f"{parts}.map((one) => one.checkVisibility())")
    assert seen == [True, True, False, False, False]
    tab.run("document.documentElement.dataset.theme = 'dark'")
    tab.media(dark=True, medium="print")
    assert tab.run("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
    tab.size(720)
    assert tab.run("document.getElementById('rows').scrollWidth") <= 720
