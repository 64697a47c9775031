from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query, probability_of
from counterfoil.explainer.progressive import Progressive
from counterfoil.generative.exaggeration.network import Exaggerator
from counterfoil.util.fingerprint import fingerprint


class Brightness(nn.Module):
    """Logits (0, s), s linear in the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(8.0))

    def forward(self, x: Tensor) -> Tensor:
        s = self.scale * (x.mean((1, 2, 3)) - 0.5)
        return torch.stack((torch.zeros_like(s), s), dim=1)


class Perfect(Exaggerator):
    """Draws a flat image whose posterior is exactly the one requested; counts its passes."""

    def __init__(self, bins: int = 10) -> None:
        super().__init__(1, 8, 2, bins=bins, width=4)
        self.passes = [0, 0]

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        self.passes[0] += 1
        return x

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        assert condition is not None
        self.passes[1] += 1
        s = self.knob.centres[0, condition % self.knob.bins]
        return (0.5 + s / 8)[:, None, None, None].expand_as(z)


@pytest.fixture
def model() -> Classifier:
    return Classifier(Brightness())


DARK = torch.full((3, 1, 8, 8), 0.2)


def returned(found: Counterfactuals) -> list[int]:
    """Which image of its strip each counterfactual is."""
    assert found.strip is not None
    return (found.strip.images == found.counterfactual[:, None]).flatten(2).all(2).int().argmax(1).tolist()


def drawn(found: Counterfactuals) -> list[int]:
    """The bin of ten in which each counterfactual of `Perfect` lies, by its posterior."""
    return (10 * found.target_probability).long().tolist()


def test_the_counterfactual_is_the_first_image_that_reaches_the_confidence(model: Classifier) -> None:
    for confidence, bin in ((0.5, 5), (0.7, 7), (0.93, 9)):
        found = Progressive(model, Perfect(), confidence=confidence)(DARK, 1)
        assert returned(found) == [bin] * 3
        assert bool(found.valid.all())


def test_the_strip_runs_towards_the_target_from_either_side(model: Classifier) -> None:
    found = Progressive(model, Perfect())(torch.cat((DARK, 1 - DARK)), torch.tensor([1, 1, 1, 0, 0, 0]))
    assert found.strip is not None
    assert found.strip.logits is not None
    posterior = probability_of(found.strip.logits, found.target)
    torch.testing.assert_close(posterior, found.strip.requested, atol=1e-5, rtol=0)
    read = found.strip.posteriors(found.target, found.factual_logits)
    assert read is not None
    torch.testing.assert_close(read.obtained, posterior, atol=1e-6, rtol=0)
    assert read.inside.all()
    assert read.source.tolist() == [0] * 6
    torch.testing.assert_close(posterior[0], torch.linspace(0.05, 0.95, 10), atol=1e-5, rtol=0)
    torch.testing.assert_close(posterior[0], posterior[3], atol=1e-5, rtol=0)


def test_one_encoder_pass_and_one_decoder_pass_a_bin(model: Classifier) -> None:
    generator = Perfect()
    whole = Progressive(model, generator)(DARK, 1)
    assert generator.passes == [1, 10]
    assert whole.classifier_calls.tolist() == [12.0] * 3
    generator.passes = [0, 0]
    single = Progressive(model, generator, strip=False, confidence=0.62)(DARK, 1)
    assert generator.passes == [1, 1]
    assert single.strip is None
    assert single.classifier_calls.tolist() == [2.0] * 3
    assert drawn(single) == [7] * 3


@pytest.mark.parametrize(
    ("confidence", "bin"), [(0.5, 5), (0.55, 6), (0.6, 6), (0.61, 7), (0.9, 9), (0.99, 9)]
)
def test_confidence_alone_picks_the_lowest_bin_wholly_above_it(
    model: Classifier, confidence: float, bin: int
) -> None:
    for x, target in ((DARK, 1), (1 - DARK, 0)):
        found = Progressive(model, Perfect().double(), strip=False, confidence=confidence)(x.double(), target)
        assert drawn(found) == [bin] * 3
        if confidence <= 0.9:
            assert bool((found.target_probability >= confidence).all())


def test_last_is_the_end_of_the_strip_and_count_asks_for_later_images(model: Classifier) -> None:
    assert returned(Progressive(model, Perfect(), returned="last")(DARK, 1)) == [9] * 3
    assert returned(Progressive(model, Perfect(), count=3)(DARK[:1], 1)) == [5, 6, 7]


def test_where_nothing_is_reached_the_likeliest_image_is_returned(model: Classifier) -> None:
    found = Progressive(model, Perfect(), confidence=0.99)(DARK, 1)
    assert returned(found) == [9] * 3


def test_a_query_that_needs_no_change_has_no_request(model: Classifier) -> None:
    found = Progressive(model, Perfect())(torch.cat((DARK, 1 - DARK)), 1)
    assert found.strip is not None
    assert found.strip.requested is not None
    assert found.strip.requested.isnan().all(1).tolist() == [False] * 3 + [True] * 3
    assert found.walked.tolist() == [True] * 3 + [False] * 3
    assert torch.equal(found.counterfactual[3:], found.factual[3:])


def test_a_mask_holds_along_the_strip(model: Classifier) -> None:
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., :2, :] = True
    found = Progressive(model, Perfect())(DARK, 1, mask=mask)
    assert found.strip is not None
    assert torch.equal(found.strip.images[..., :2, :], DARK[:, None, :, :2].expand(-1, 10, -1, -1, -1))


def test_rows_do_not_depend_on_their_batch() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    explainer = Progressive(Classifier(net), Exaggerator(1, 8, 3, width=4)).double()
    x = torch.rand(4, 1, 8, 8, dtype=torch.float64)
    whole, alone = explainer(x), explainer(x[2:3])
    assert whole.strip is not None
    assert alone.strip is not None
    for name, value in alone.strip.tensors().items():
        torch.testing.assert_close(whole.strip.tensors()[name][2:3], value, atol=1e-12, rtol=0)
    torch.testing.assert_close(whole.counterfactual[2:3], alone.counterfactual, atol=1e-12, rtol=0)


@pytest.mark.parametrize("generator", [None, nn.Identity()])
def test_refuses_other_generators(model: Classifier, generator: Any) -> None:
    with pytest.raises(UserError, match="needs a trained Exaggerator"):
        Progressive(model, generator)


def test_refuses_a_generator_of_another_classifier(model: Classifier) -> None:
    generator = Perfect()
    generator.knob.classifier.copy_(fingerprint(model))
    Progressive(model, generator)
    other = Classifier(Brightness())
    with torch.no_grad():
        other.net.scale.add_(1)
    with pytest.raises(UserError, match="trained against another classifier"):
        Progressive(other, generator)


def test_the_strip_alone_asks_the_classifier_nothing(model: Classifier) -> None:
    query = Query(DARK, torch.ones(3, dtype=torch.int64), model, 0.9)
    assert query.logits.shape == (3, 2)
    calls: list[int] = []
    hook = model.register_forward_hook(lambda *_: calls.append(1))
    explainer = Progressive(model, Perfect().eval())
    frames = explainer.frames(query)
    hook.remove()
    assert calls == []
    strip = explainer.explain(query).strip
    assert strip is not None
    torch.testing.assert_close(frames, strip.images)
