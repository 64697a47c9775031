import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.report.html import write_report

VOID = {"meta", "img", "br", "link", "input", "hr", "use", "path"}


class Outline(HTMLParser):
    """Checks that tags nest, and collects ids, attributes that load, and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.loads, self.words = [], [], [], []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.ids += [named["id"]] if "id" in named else []
        self.loads += [
            value for name, value in attrs if name in ("src", "href", "data", "action", "srcset", "poster")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def page(run, tmp_path):
    return write_report(tmp_path / "new" / "report.html", **vars(run))


def _outline(text):
    outline = Outline()
    outline.feed(text)
    outline.close()
    return outline


def test_is_whole_valid_and_self_contained(page):
    text = page.read_text(encoding="utf-8")
    outline = _outline(text)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert all(load.startswith(("data:", "#")) for load in outline.loads)
    assert {load[1:] for load in outline.loads if load.startswith("#")} <= set(outline.ids)
    assert not re.search(r"https?://|@import|url\((?!data:|#)", text)
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]
    assert page.stat().st_size < 300_000


def test_every_method_and_metric_is_there(page, run):
    text = page.read_text(encoding="utf-8")
    words = " ".join(_outline(text).words)
    for name, row in run.summary["methods"].items():
        assert name in words
        assert all(f'data-metric="{metric}"' in text and f'id="measure-{metric}"' in text for metric in row)
    for said in (run.title, run.command, "mean |x' - x|", "runner_up", "2.13.0", "avatars"):
        assert said in words


def test_names_are_escaped(page):
    text = page.read_text(encoding="utf-8")
    assert "<b>own</b>" not in text
    assert "<Smiling>" not in text
    assert "<smiling>" not in text
    assert "&lt;b&gt;own&lt;/b&gt;" in text
    assert "{{ x }}" in text


def test_missing_figures_are_dashes(page):
    board = page.read_text(encoding="utf-8").split('id="board"')[1].split("</table>")[0]
    assert not re.search(r">\s*(nan|None|inf)", board, re.IGNORECASE)
    assert board.count('<span class="value">–</span>') == 4
    assert 'data-value="nan"' not in board


def test_best_is_marked_with_regard_to_intervals(page):
    board = page.read_text(encoding="utf-8").split("<tbody>")[1].split("</tbody>")[0]
    first = {
        name: row.split("<td")[1]
        for name, row in zip(("revise", "wachter", "own"), board.split("<tr>")[1:], strict=True)
    }
    assert 'class="tied"' in first["revise"]
    assert 'class="best"' in first["wachter"]
    assert 'class=""' in first["own"]


def test_bare_run(run, tmp_path):
    counterfactuals = run.methods["wachter"][torch.tensor([0])]
    page = write_report(
        tmp_path / "r.html",
        {"methods": {"wachter": {}}, "standing": {}},
        {"wachter": counterfactuals},
        {},
        (),
        {},
        "t",
        "c",
    )
    assert "judge agrees" not in page.read_text(encoding="utf-8")
    assert _outline(page.read_text(encoding="utf-8")).open == []


def test_same_run_same_page(run, tmp_path):
    pages = [write_report(tmp_path / name, **vars(run)).read_bytes() for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]


def test_nothing_to_show(run, tmp_path):
    with pytest.raises(UserError, match="found none"):
        write_report(tmp_path / "r.html", **{**vars(run), "methods": {}})
    assert list(tmp_path.iterdir()) == []


HOOK = """(() => {
const names = () =>
  [...document.querySelectorAll("#board tbody th")].map((cell) => cell.dataset.value.slice(0, 6));
const click = (metric) => document.querySelector(`#board th[data-metric="${metric}"] button`).click();
const seen = {};
click("validity"); seen.best = names();
click("validity"); seen.worst = names();
click("l1_valid"); seen.missing_last = names();
click("l1_valid"); seen.missing_still_last = names();
seen.sorted = [...document.querySelectorAll("[aria-sort]")]
  .map((cell) => cell.dataset.metric + " " + cell.ariaSort);
const groups = () => [...document.querySelectorAll("section.method .ranked:not([hidden])")]
  .map((group) => group.dataset.metric);
const select = document.querySelector("select.by");
select.value = "im1"; select.dispatchEvent(new Event("change")); seen.ranked = groups();
document.getElementById("more").click();
seen.extra = getComputedStyle(document.querySelector(".extra")).display;
document.getElementById("theme").click(); document.getElementById("theme").click();
seen.theme = document.documentElement.dataset.theme;
seen.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
return seen;
})()"""


def test_the_page_works_in_a_browser(page, tab):
    tab.open(page.as_uri(), 500)
    seen = tab.run(HOOK)
    assert seen == {
        "best": ["wachte", "revise", "<b>own"],
        "worst": ["<b>own", "revise", "wachte"],
        "missing_last": ["revise", "wachte", "<b>own"],
        "missing_still_last": ["wachte", "revise", "<b>own"],
        "sorted": ["l1_valid descending"],
        "ranked": ["im1", "l1", "l1"],
        "extra": "table-cell",
        "theme": "dark",
        "overflow": 0,
    }


def test_failures_are_counted(run, tmp_path):
    bare = write_report(tmp_path / "bare.html", **vars(run)).read_text()
    assert "not finite" not in bare[: bare.index("<script")].lower()
    run.methods["revise"] = replace(run.methods["revise"], failed=torch.arange(12) >= 10)
    text = write_report(tmp_path / "a.html", **vars(run)).read_text()
    row = text[text.index('<table class="counts">') :].split("</tr>")
    assert "of these not finite" in row[0]
    assert "<td>12</td><td>9</td><td>3</td><td>2</td>" in row[1]
    assert "✗ not finite" in text


def test_what_is_in_doubt_is_grey_and_says_why(run, tmp_path):
    doubt = "judge: accuracy 0.10 is no better than chance <0.12>"
    for row in run.summary["methods"].values():
        row["l1"] = replace(row["l1"], doubt=doubt)
    run.summary["standing"].pop("l1", None)
    text = write_report(tmp_path / "a.html", **vars(run)).read_text()
    cells = re.findall(r'<td class="doubted[^"]*"[^>]*>', text)
    assert len(cells) == 3
    assert all("not ranked: judge: accuracy 0.10" in html.unescape(cell) for cell in cells)
    assert html.unescape(text).count(f"Grey, not ranked: {doubt}.") == 1


def test_images_are_called_by_their_names(run, tmp_path):
    hostile = "<script>a</script>.png"
    queries = {int(query) for cf in run.methods.values() for query in cf.query}
    names = {query: f"pics/{query}.png" for query in queries} | {min(queries): hostile}
    text = write_report(tmp_path / "a.html", **vars(run), names=names).read_text()
    assert hostile not in text
    assert html.escape(hostile) in text
    shown = [f"pics/{query}.png" for query in queries if f"pics/{query}.png" in text]
    assert shown
    assert not re.search(r"query \d", text)
