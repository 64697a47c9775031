"""The mixer keeps what every network promises, and cuts images into whole patches."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
import yaml

from counterfoil.classifier.mixer import Mixer
from counterfoil.core.errors import UserError
from tests.classifier.conftest import takes, treats_rows_apart


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 64)])
def test_takes_images_of_its_size(channels: int, size: int) -> None:
    takes(partial(Mixer, size=size), channels, size)


def test_a_row_is_the_same_in_any_batch() -> None:
    treats_rows_apart(Mixer)


def test_names_what_the_config_relies_on() -> None:
    layers = yaml.safe_load((Path(__file__).parents[2] / "conf/classifier/mixer.yaml").read_text())["layers"]
    assert set(layers) <= set(dict(Mixer().named_modules()))


def test_a_patch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(UserError, match=r"classifier\.net\.patch=5 does not divide images of 28 px"):
        Mixer(size=28, patch=5)


def test_every_token_reaches_the_outputs() -> None:
    torch.manual_seed(0)
    net = Mixer(size=8, patch=4, width=8, depth=2)
    x = torch.rand(1, 1, 8, 8, requires_grad=True)
    net(x)[0, 0].backward()
    assert x.grad is not None
    assert bool((x.grad.unfold(2, 4, 4).unfold(3, 4, 4).abs().sum((4, 5)) > 0).all())
