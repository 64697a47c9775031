"""Views of an image, and embeddings that find them."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from counterfoil.generative.style.network import Style, retrieved, view


def test_a_view_moves_and_cuts_and_nothing_else() -> None:
    x = torch.zeros(50, 1, 16, 16)
    x[:, :, 7:9, 7:9] = 0.5
    assert torch.equal(view(x, 0, 0, 0.0), x)
    moved = view(x, 3, 4, 0.0, torch.Generator().manual_seed(0))
    assert torch.equal(moved.sum((1, 2, 3)), x.sum((1, 2, 3))), "what is far from the edges is kept"
    assert len({image.numpy().tobytes() for image in moved}) > 20
    full = view(torch.ones(50, 1, 16, 16), 0, 4, 0.0, torch.Generator().manual_seed(0))
    assert set(full.unique().tolist()) == {0.0, 1.0}
    assert full[:, :, 4:12, 4:12].min() == 1.0
    noisy = view(x, 0, 0, 0.05, torch.Generator().manual_seed(0))
    assert 0.0 <= float(noisy.min()) < float(noisy.max()) <= 1.0


def test_an_embedding_has_length_one() -> None:
    e = Style(width=4, embedding=8)(torch.rand(3, 1, 16, 16))
    torch.testing.assert_close(e.norm(dim=1), torch.ones(3))


def test_retrieval_counts_own_views_alone() -> None:
    e = F.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    assert retrieved(e, e).all()
    assert not retrieved(e, e.roll(1, 0)).any()
