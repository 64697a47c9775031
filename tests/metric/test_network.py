"""Borrowed networks: chunks, dtype, errors."""

from __future__ import annotations

import weakref

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.metric.agreement import JudgeAgreement
from counterfoil.metric.cout import COUT
from counterfoil.metric.manifold import IM1
from counterfoil.metric.network import CHUNK, Borrowed, evaluated_once, forget
from counterfoil.metric.realism import JudgeFID


def test_large_batches_come_in_chunks(parts, make):
    x = make(600).factual
    parts.judge.largest = 0
    out = Borrowed(parts.judge, "m", "judge")(x)
    assert parts.judge.largest == CHUNK
    torch.testing.assert_close(out, parts.judge(x))


def test_inputs_take_the_dtype_of_the_network(parts, make):
    x = make(3).factual
    assert Borrowed(parts.judge.double(), "m", "judge")(x).dtype == torch.float64


def test_no_gradient_is_kept(parts, make):
    x = make(3).factual.requires_grad_()
    assert not Borrowed(parts.judge.requires_grad_(True), "m", "judge")(x).requires_grad


@pytest.mark.parametrize(
    ("build", "option"),
    [
        (lambda: JudgeAgreement(judge=None), "judge="),
        (lambda: COUT(classifier=None), "classifier="),
        (lambda: IM1(autoencoders=None), "autoencoder="),
        (lambda: JudgeFID(judge=None, reference=object()), "judge="),
        (lambda: JudgeFID(judge=object(), reference=None), "data="),
    ],
)
def test_missing_network_is_named(build, option):
    with pytest.raises(UserError, match=option):
        build()


def test_within_evaluated_once_a_network_sees_a_tensor_once(parts, make):
    x, calls = make(3).factual, []
    parts.judge.register_forward_hook(lambda *_: calls.append(1))
    first, second = Borrowed(parts.judge, "m", "judge"), Borrowed(parts.judge, "n", "judge")
    with evaluated_once():
        said = first(x)
        with evaluated_once():
            assert torch.equal(second(x), said)
        assert len(calls) == 1
        assert torch.equal(second(x.clone()), said)
        assert first(x, method="embed").shape != said.shape
        assert len(calls) == 2
    first(x)
    assert len(calls) == 3


def test_outputs_do_not_outlive_their_inputs(parts, make):
    judge = Borrowed(parts.judge, "m", "judge")
    with evaluated_once():
        x = make(3).factual.clone()
        output = weakref.ref(judge(x))
        assert output() is not None
        del x
        assert output() is None


def test_nothing_is_kept_of_a_batch_that_is_done(parts, make):
    judge = Borrowed(parts.judge, "m", "judge")
    x = make(3).factual.clone()
    with evaluated_once():
        output = weakref.ref(judge(x))
        forget()
        assert output() is None
    forget()
