"""Strips: what is read off logits by hand, and that nothing is lost on the way."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from counterfoil.core.strip import CHUNK, Posteriors, Scale, Strip

LOGITS = torch.tensor([[[0.0, 1.0, 3.0], [0.0, 2.0, 1.0]], [[1.0, 0.0, 0.0], [3.0, 0.0, 5.0]]])
"""Two strips of two images, three classes."""


def scale(**changes: Tensor) -> Scale:
    plain = Scale(torch.tensor([1, 2]), torch.tensor([-1, 0]), torch.tensor([1.0, 2.0]), torch.zeros(2, 1))
    return plain._replace(**changes)


def test_log_odds_are_against_one_class_or_all_others() -> None:
    found = scale().log_odds(LOGITS)
    others = torch.tensor([[0.0, 3.0], [0.0, 1.0]]).exp().sum(1).log()
    torch.testing.assert_close(found[0], torch.tensor([1.0, 2.0]) - others)
    assert found[1].tolist() == [-1.0, 2.0]
    torch.testing.assert_close(scale().log_odds(LOGITS[:, 0]), found[:, 0])


def test_posteriors_are_tempered_and_bins_hold_their_lower_edge() -> None:
    torch.testing.assert_close(
        scale().posterior(torch.tensor([[1.0], [1.0]])), torch.tensor([[1.0], [0.5]]).sigmoid()
    )
    edges = torch.tensor([[-1.0, 1.0], [0.0, 4.0]])
    assert scale(edges=edges).bin(torch.tensor([[-2.0, -1.0, 1.0], [-2.0, 3.9, 4.0]])).tolist() == [
        [0, 1, 2],
        [0, 1, 2],
    ]


def read(strip: Strip, target: Tensor, factual_logits: Tensor = LOGITS[:, 0]) -> Posteriors:
    found = strip.posteriors(target, factual_logits)
    assert found is not None
    return found


def test_a_target_at_the_low_end_is_counted_from_there() -> None:
    """Row 1 lies between classes 0 and 2: its images lie in bins 0 and 1 towards 2, in 1 and 0 towards 0."""
    requested = torch.tensor([[0.25, 0.75], [0.25, 0.75]])
    strip = Strip(torch.zeros(2, 2, 1, 1, 1), requested, LOGITS, scale())
    up, down = read(strip, torch.tensor([1, 2])), read(strip, torch.tensor([1, 0]))
    assert (up.inside[1].tolist(), up.source[1]) == ([1, 1], 0)
    assert (down.inside[1].tolist(), down.source[1]) == ([0, 0], 1)
    torch.testing.assert_close(down.obtained[1], 1 - up.obtained[1])
    assert torch.equal(up.obtained[0], down.obtained[0])


def test_without_a_scale_it_is_the_classifiers_own_posterior() -> None:
    """Bins reach halfway to the next request."""
    target, requested = torch.tensor([1, 0]), torch.tensor([[0.2, 0.8], [0.4, 0.44]])
    found = read(Strip(torch.zeros(2, 2, 1, 1, 1), requested, LOGITS), target)
    own = LOGITS.softmax(-1)[torch.arange(2), :, target]
    torch.testing.assert_close(found.obtained, own)
    middle = requested.mean(1, keepdim=True)
    torch.testing.assert_close(found.inside, ((own >= middle).long() == torch.arange(2)).float())
    torch.testing.assert_close(found.source, (own[:, 0] >= middle[:, 0]).float())


def test_rows_without_requests_have_no_values() -> None:
    requested = torch.tensor([[0.2, 0.8], [torch.nan, torch.nan]])
    whole = Strip(torch.zeros(2, 2, 1, 1, 1), requested, LOGITS)
    found = read(whole, torch.tensor([1, 0]))
    assert all(part[1].isnan().all() and part[0].isfinite().all() for part in found)
    assert Strip(whole.images, None, LOGITS).posteriors(torch.tensor([1, 0]), LOGITS[:, 0]) is None


def test_grading_asks_about_the_images_themselves() -> None:
    """Values beyond [0, 1] are cut off first, and no batch is larger than `CHUNK`."""
    sizes: list[int] = []

    def classifier(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return torch.stack((x.mean((1, 2, 3)), x.amax((1, 2, 3))), 1)

    images = 2 * torch.rand(60, 5, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    strip = Strip(images.requires_grad_()).graded(classifier)
    assert sizes == [CHUNK, 300 - CHUNK]
    assert strip.images.max() == 1
    assert strip.logits is not None
    torch.testing.assert_close(strip.logits[7, 3, 0], images[7, 3].clamp(0, 1).mean())
    assert not any(value.requires_grad for value in strip.tensors().values())


@pytest.mark.parametrize("scaled", [True, False])
def test_tensors_make_the_strip_again(scaled: bool) -> None:
    strip = Strip(torch.rand(2, 2, 1, 1, 1), torch.rand(2, 2), None, scale() if scaled else None)
    names = strip.tensors().keys()
    assert names == {"images", "requested", *(("scale." + name for name in Scale._fields) if scaled else ())}
    again = Strip.of(strip.tensors()).tensors()
    assert again.keys() == names
    assert all(torch.equal(again[name], value) for name, value in strip.tensors().items())
