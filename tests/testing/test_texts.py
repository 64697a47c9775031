"""Every promise of a method is kept on texts, by the same methods, and others say what they need."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.explainer.aip import AIP
from counterfoil.explainer.gci import GCI
from counterfoil.explainer.growing_spheres import GrowingSpheres
from counterfoil.explainer.iso import ISO
from counterfoil.explainer.latent_shift import LatentShift
from counterfoil.explainer.nearest import Nearest
from counterfoil.explainer.pgd import PGD
from counterfoil.explainer.random_attributes import RandomAttributes
from counterfoil.explainer.random_image import RandomImage
from counterfoil.explainer.revise import Revise
from counterfoil.explainer.wachter import Wachter
from counterfoil.explainer.xgem import XGEM
from counterfoil.testing.explainer import check_explainer
from counterfoil.testing.texts import Sentences, TinyEditor, TinyReader, texts

METHODS: dict[type, dict[str, Any]] = {
    AIP: {},
    Revise: {"steps": 30},
    GCI: {"steps": 20},
    RandomAttributes: {"tries": 2},
    LatentShift: {"frames": 3},
    XGEM: {"steps": 20},
    Nearest: {},
    RandomImage: {},
}


@pytest.mark.parametrize("method", METHODS, ids=lambda cls: cls.__name__)
def test_every_promise_is_kept_on_texts(method: type) -> None:
    given = {} if issubclass(method, Nearest) else {"generator": TinyEditor().double()}
    explainer = method(TinyReader().double(), confidence=0.6, **given, **METHODS[method])
    explainer.fit(Sentences())
    check_explainer(explainer, texts())
    found = explainer(texts())
    assert torch.equal(found.counterfactual.amax(-1), torch.ones(4, 1, 6).double())
    assert torch.equal(found.counterfactual.sum(-1), torch.ones(4, 1, 6).double())


@pytest.mark.parametrize("method", [Wachter, ISO, PGD, GrowingSpheres], ids=lambda cls: cls.__name__)
def test_methods_that_move_pixels_refuse_texts(method: type) -> None:
    with pytest.raises(UserError, match="needs inputs whose every value moves by itself, found texts"):
        method(TinyReader())


def test_the_toys_fit_each_other_and_never_change() -> None:
    x, net, editor = texts(6), TinyReader().double(), TinyEditor().double()
    assert x.shape == (6, 1, 6, 12)
    assert net(x).shape == (6, len(Sentences().class_names))
    a = editor.attributes(x)
    made = editor.decode(editor.encode(x, a), a)
    torch.testing.assert_close(made.sum(-1), torch.ones(6, 1, 6).double())
    assert 0.5 < (made.argmax(-1) == x.argmax(-1)).double().mean() <= 1
    assert torch.equal(net(x), TinyReader().double()(x))
