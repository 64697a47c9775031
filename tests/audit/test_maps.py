import torch

from counterfoil.audit.maps import CHANGED, cell_of, changes, map_changes, pooled


def test_means_and_shares_are_those_of_the_valid_counterfactuals(corner_cases):
    cf = corner_cases(12)
    found = map_changes([cf[:5], cf[5:]])
    assert set(found.maps) == {None, (0, 1), (1, 0)}
    whole, delta = found.maps[None].means, cf.delta[:, 0]
    torch.testing.assert_close(whole["change"], delta.mean(0))
    torch.testing.assert_close(whole["size"], delta.abs().mean(0))
    torch.testing.assert_close(whole["more"], (delta > CHANGED).float().mean(0))
    torch.testing.assert_close(whole["less"], (delta < -CHANGED).float().mean(0))
    painted = found.maps[(0, 1)]
    assert painted.n == int((cf.source == 0).sum())
    assert float(painted.means["more"][12:, 12:].min()) == 1
    assert float(painted.means["less"][12:, 12:].max()) == 0
    assert found.cells.shape == (12, 256)


def test_red_that_turns_green_is_a_change(tinted_cases):
    cf = tinted_cases(4)
    assert float(cf.delta.mean(1).abs().mean()) < float(changes(cf).abs().mean())


def test_cells_are_means_of_their_pixels():
    assert [cell_of(side) for side in (8, 16, 28, 64, 224)] == [1, 1, 2, 4, 14]
    change = torch.arange(28.0 * 28).view(1, 28, 28)
    assert pooled(change).shape == (1, 14 * 14)
    assert float(pooled(change)[0, 0]) == float(change[0, :2, :2].mean())
