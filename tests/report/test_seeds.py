import json

import pytest
from scipy import stats

from counterfoil.core.errors import UserError
from counterfoil.report.seeds import by_confidence, over_seeds, read_runs


def entry(value, half=0.0, n=10, better=True):
    low, high = (None, None) if half is None else (value - half, value + half)
    return {"value": value, "low": low, "high": high, "n": n, "higher_is_better": better}


def summary(seed, confidence, value, data="digits"):
    queries = {
        "data": data,
        "target": "runner_up",
        "classifier": "cnn",
        "judge": "resnet",
        "seed": seed,
        "confidence": confidence,
    }
    return {"methods": {"revise": {"l1": entry(value)}}, "queries": queries}


def write(folder, content):
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(content))
    return folder


def test_the_interval_over_seeds_is_students():
    values = [0.2, 0.5, 0.35, 0.4]
    found = over_seeds([{"revise": {"l1": entry(value)}} for value in values])["revise"]["l1"]
    low, high = stats.t.interval(0.95, 3, loc=sum(values) / 4, scale=stats.sem(values))
    assert (found["value"], found["low"], found["high"]) == pytest.approx((0.3625, low, high))
    assert (found["n"], found["seeds"], found["higher_is_better"]) == (40, 4, True)


def test_runs_that_agree_are_as_uncertain_as_their_queries():
    """Three runs at 0.5 +- 0.06: the mean of three independent means is 0.06 / sqrt(3) wide to each side."""
    found = over_seeds([{"revise": {"l1": entry(0.5, half=0.06)}}] * 3)["revise"]["l1"]
    assert found["high"] - 0.5 == pytest.approx(0.06 / 3**0.5)
    assert 0.5 - found["low"] == pytest.approx(0.06 / 3**0.5)


def test_shares_stay_in_range_and_other_metrics_do_not():
    runs = [{"revise": {"validity": entry(value), "cout": entry(value)}} for value in (0.9, 1.0)]
    found = over_seeds(runs)["revise"]
    assert found["validity"]["high"] == 1.0
    assert found["cout"]["high"] > 1.0


def test_one_run_keeps_its_interval_and_missing_figures_are_left_out():
    one = over_seeds(
        [{"revise": {"l1": entry(0.3, half=0.1)}}, {"revise": {"l1": entry(float("nan"), half=None)}}]
    )["revise"]["l1"]
    assert (one["value"], one["seeds"], one["n"]) == (0.3, 1, 10)
    assert (one["low"], one["high"]) == pytest.approx((0.2, 0.4))
    none = over_seeds([{"revise": {"l1": {"value": None}}}])["revise"]["l1"]
    assert (none["value"], none["low"], none["seeds"]) == (None, None, 0)


def test_a_method_of_some_runs_alone_is_kept():
    found = over_seeds([{"a": {"l1": entry(1.0)}}, {"a": {"l1": entry(3.0)}, "b": {"l1": entry(5.0)}}])
    assert (found["a"]["l1"]["seeds"], found["b"]["l1"]["seeds"]) == (2, 1)


def test_runs_are_grouped_by_confidence(tmp_path):
    runs = read_runs(
        [
            write(tmp_path / str(i), summary(i % 2, c, v))
            for i, (c, v) in enumerate([(0.9, 1), (0.9, 3), (0.5, 5), (0.5, 9)])
        ]
    )
    found = by_confidence(runs)
    assert list(found) == [0.5, 0.9]
    assert [methods["revise"]["l1"]["value"] for methods in found.values()] == [7, 2]


def test_unreadable_and_unlike_runs_are_refused(tmp_path):
    one = write(tmp_path / "one", summary(0, 0.9, 1))
    again = write(tmp_path / "again", summary(0, 0.9, 1))
    other = write(tmp_path / "other", summary(1, 0.9, 1, data="mnist"))
    strange = write(tmp_path / "strange", [1])
    for folders, words in [
        ([one, again], "both have seed=0"),
        ([one, other], "differ in data: digits, mnist"),
        ([tmp_path / "none"], "cannot be read"),
        ([strange], "is not a metrics.json"),
        ([], "no run folders"),
    ]:
        with pytest.raises(UserError, match=words):
            read_runs(folders)
