import json

import pytest
import torch

from counterfoil.audit.audit import Subject, audit, read_audit
from counterfoil.audit.options import AuditOptions
from counterfoil.core.errors import CounterfoilWarning, UserError


def subject(classifier, **more):
    return Subject(classifier, classifier.class_names, iter, **more)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_corner_is_named_first(corner_cases, corner, seed):
    methods = {"one": corner_cases(60, seed), "other": corner_cases(40, seed + 10), "few": corner_cases(4)}
    judged = {"one": torch.full((60,), 0.9), "other": torch.full((40,), 0.1)}
    found = audit(methods, subject(corner, judged=judged), AuditOptions(rows=30))
    assert found is not None
    assert found.verdict.part == "A"
    assert found.verdict.decides
    assert found.verdict.agree == ("one",)
    assert "does not believe the counterfactuals of other" in found.verdict.warnings[0]
    assert found.regions[0].box == (12, 12, 16, 16)
    assert found.left_out == {"few": 4}
    one = found.methods["one"]
    assert (one.valid, one.used) == (60, 30)
    assert set(one.ranked) == {None, (0, 1), (1, 0)}
    assert all(parts[0].part == "A" for parts in one.ranked.values())
    assert sum(part.size for part in one.clusters) == 30
    assert [len(cf) for cf in one.exemplars] == [len(part.rows) for part in one.clusters]


def test_colour_is_named_where_it_is_read(tinted_cases, tint):
    found = audit({"one": tinted_cases()}, subject(tint), AuditOptions())
    assert found is not None
    assert found.verdict.part == "colour"
    assert found.methods["one"].first.flipped.value == 1
    assert found.methods["one"].shape.flipped.value < 0.1


def test_the_first_region_is_frozen_and_few_queries_asked_again(corner_cases, corner):
    cf, seen = corner_cases(60), []

    def explainer(x, target, *, mask):
        seen.append((x, mask))
        return cf[: len(x)]

    found = audit({"one": cf}, subject(corner, explainers={"one": explainer}), AuditOptions(what_if=7))
    assert found is not None
    (x, mask) = seen[0]
    assert len(x) == found.methods["one"].tried == 7
    assert bool(mask[..., 12:, 12:].all())
    assert int(mask.sum()) == 16
    audit({"one": cf}, subject(corner, explainers={"one": explainer}), AuditOptions(what_if=0))
    assert len(seen) == 1


def test_a_method_that_takes_no_mask_leaves_the_audit_whole(corner_cases, corner):
    def explainer(x, target, *, mask):
        raise UserError("mask: not supported")

    with pytest.warns(CounterfoilWarning, match="one with a region frozen: mask: not supported"):
        found = audit({"one": corner_cases()}, subject(corner, explainers={"one": explainer}), AuditOptions())
    assert found is not None
    assert found.methods["one"].frozen is None


def test_what_is_written_is_read_and_the_same_each_time(corner_cases, corner, tmp_path):
    cf = corner_cases(30)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        found = audit({"one": cf}, subject(corner), AuditOptions())
        assert found is not None
        found.save(tmp_path / name)
    for name in ("audit.json", "audit.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    told, maps = read_audit(tmp_path / "a")
    assert told == json.loads(json.dumps(found.as_dict()))
    assert torch.equal(maps["region/A"], found.regions[0].mask)
    torch.testing.assert_close(maps["one/all/change"], cf.delta[:, 0].mean(0))
    assert set(told["methods"]["one"]["directions"]) == {"all", "without -> with", "with -> without"}
    with pytest.raises(UserError, match="audit of a run"):
        read_audit(tmp_path)


def test_too_few_are_not_audited(corner_cases, corner):
    assert audit({"one": corner_cases(10)}, subject(corner), AuditOptions()) is None
    assert audit({"one": corner_cases(10)}, subject(corner), AuditOptions(fewest=10)) is not None
