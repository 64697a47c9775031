from counterfoil.audit.insertion import Interval, Ranked
from counterfoil.audit.verdict import decide


def part(name, flips, first=1.0):
    sure = Interval(flips, flips - 0.1, flips + 0.05)
    return Ranked(name, sure, sure, sure, first)


def test_most_believed_methods_decide():
    ranked = {
        "one": [part("A", 0.9), part("B", 0.1)],
        "two": [part("A", 0.8), part("C", 0.2)],
        "three": [part("rest", 1.0)],
    }
    found = decide(ranked, {"one": 0.9, "two": 0.8, "three": 0.1})
    assert (found.part, found.decides, found.agree) == ("A", True, ("one", "two"))
    assert found.first == {"one": "A", "two": "A", "three": "rest"}
    (warning,) = found.warnings
    assert "The judge does not believe the counterfactuals of three: it gives the target 0.10" in warning


def test_methods_that_disagree_are_named():
    ranked = {"one": [part("A", 0.9)], "two": [part("B", 0.2)]}
    found = decide(ranked, {})
    assert found.part == "A"  # of as many votes, the part that turns more
    assert found.warnings == ("The methods do not agree on what comes first: A by one; B by two.",)


def test_a_part_that_turns_little_decides_nothing_and_ties_are_told():
    found = decide({"one": [part("A", 0.2, first=0.6), part("B", 0.19, first=0.4)]}, {})
    assert not found.decides
    assert found.warnings == (
        "one: A is first in 60 % of resamples of the queries, so it is not told apart from B.",
    )


def test_where_nobody_is_believed_all_are_heard():
    found = decide({"one": [part("A", 0.9)]}, {"one": 0.2})
    assert found.part == "A"
    assert len(found.warnings) == 1
    assert decide({}, {}).part == ""
