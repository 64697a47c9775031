from dataclasses import replace

import torch

from counterfoil.report.gallery import Gallery, common_queries, extremes, shrink


def test_extremes_by_hand():
    values = torch.tensor([0.3, float("nan"), 0.1, 0.9, 0.5])
    everything = torch.arange(5)
    assert extremes(values, everything, higher_is_better=True) == [3, 4, 2]
    assert extremes(values, everything, higher_is_better=False) == [2, 0, 3]
    assert extremes(values, torch.tensor([0, 2, 4]), higher_is_better=True) == [4, 0, 2]
    assert extremes(torch.tensor([0.0, 1.0, 1.0]), torch.arange(3), higher_is_better=True) == []


def test_common_queries_alternate_between_classes(run):
    assert common_queries(run.methods, 4) == [101, 100, 103, 102]
    part = {**run.methods, "wachter": run.methods["wachter"][torch.tensor([3, 5, 8])]}
    assert common_queries(part) == [103, 108, 105]


def test_common_queries_show_each_query_once(run):
    twice = run.methods["revise"][torch.tensor([0, 0, 1, 1, 2])]
    assert common_queries({"a": twice}) == [101, 100, 102]


def test_counts_failures_and_doubts(run):
    views = {
        name: Gallery(name, run.methods[name], run.tables[name], run.class_names, None).view(
            run.summary["methods"], [100]
        )
        for name in run.methods
    }
    assert [(view.total, view.valid) for view in views.values()] == [(12, 9), (12, 12), (12, 0)]
    assert [card.query for card in views["revise"].failures] == [109, 110, 111]
    assert (views["wachter"].confirmed, views["wachter"].unconfirmed_count) == (8, 4)
    assert [card.query for card in views["wachter"].unconfirmed] == [100, 103, 106, 109]
    assert views["revise"].confirmed is None


def test_best_is_chosen_among_valid_counterfactuals(run):
    counterfactuals = run.methods["revise"]
    table = {"l1": torch.tensor([5.0, 3, 4, 2, 6, 7, 8, 9, 5, 0, 1, 0])}
    view = Gallery("revise", counterfactuals, table, run.class_names, None).view(
        run.summary["methods"], [100]
    )
    assert [card.query for card in view.ranked["l1"]] == [103, 108, 107]
    assert view.ranked["l1"][0].note == "Best · L1 2.00"


def test_card_says_what_the_classifier_says(run):
    view = Gallery("revise", run.methods["revise"], {}, run.class_names, torch.linspace(0, 1, 12)).view(
        {}, [100, 109]
    )
    good, bad = view.cards
    assert (good.valid, good.source, good.target, good.verdict) == (
        True,
        "Smiling",
        "not <Smiling>",
        "not <Smiling>",
    )
    assert (bad.valid, bad.verdict, bad.judge) == (False, "not <Smiling>", True)
    expected = torch.tensor([2.0, -2.0]).softmax(0)
    torch.testing.assert_close(
        torch.tensor([(bar.before, bar.after) for bar in bad.bars]), expected[:, None].expand(2, 2)
    )


def test_shrink_only_what_is_too_large():
    assert shrink(torch.rand(1, 3, 64, 48)).shape == (1, 3, 64, 48)
    assert shrink(torch.rand(1, 3, 256, 192)).shape == (1, 3, 128, 96)


def test_a_failure_says_what_it_is(run):
    counterfactuals = run.methods["revise"]
    lost = torch.arange(len(counterfactuals)) == 11
    shown = replace(counterfactuals, failed=lost, counterfactual_logits=counterfactuals.counterfactual_logits)
    judged = torch.ones(len(counterfactuals))
    view = Gallery("revise", shown, {}, run.class_names, judged).view(run.summary["methods"], [])
    assert (view.failed, view.total - view.valid) == (1, 3)
    assert [(card.valid, card.failed, card.judge) for card in view.failures] == [
        (False, False, True),
        (False, False, True),
        (False, True, False),
    ]
