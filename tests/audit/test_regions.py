import torch

from counterfoil.audit.maps import map_changes
from counterfoil.audit.regions import Region, find_regions, kmeans, named


def test_regions_part_the_image_and_hold_the_corner_apart(corner_cases):
    cells = map_changes([corner_cases()]).cells
    regions = find_regions([cells, cells[:20]], (16, 16), 5)
    assert torch.stack([one.mask for one in regions]).int().sum(0).eq(1).all()
    corner = torch.zeros(16, 16, dtype=torch.bool)
    corner[12:, 12:] = True
    assert any(bool((one.mask == corner).all()) for one in regions)
    again = find_regions([cells, cells[:20]], (16, 16), 5)
    assert all(torch.equal(one.mask, other.mask) for one, other in zip(regions, again, strict=True))


def test_no_more_regions_than_asked_for_or_cells_that_change(corner_cases):
    cells = map_changes([corner_cases()]).cells
    assert len([one for one in find_regions([cells], (16, 16), 3) if one.name != "rest"]) == 3
    one = torch.zeros(4, 256)
    one[:, 17] = 1
    regions = find_regions([one], (16, 16), 8)
    assert [region.name for region in regions] == ["", "rest"]
    assert regions[0].box == (1, 1, 2, 2)
    assert regions[0].area == 1 / 256


def test_a_change_of_everything_is_not_one_region():
    cells = torch.full((10, 256), 0.3)
    regions = find_regions([cells], (16, 16), 8)
    assert 4 <= len(regions) <= 8
    assert max(one.area for one in regions) <= 0.3


def test_weight_draws_the_centres():
    points = torch.tensor([[0.0], [0.1], [5.0], [5.1], [9.0]]).double()
    label = kmeans(points, torch.tensor([1.0, 1, 1, 1, 1]).double(), 3)
    assert label[0] == label[1] != label[2] == label[3] != label[4]
    assert kmeans(points, torch.ones(5).double(), 9).unique().numel() == 5


def test_names_follow_the_order_and_places_are_words():
    masks = torch.zeros(3, 9, 9, dtype=torch.bool)
    masks[0, :3, :3], masks[1, 6:, 6:], masks[2, 4, 4] = True, True, True
    regions = named([Region(masks[0]), Region(masks[1]), Region(masks[2], "rest")], [1, 2, 0])
    assert [one.name for one in regions] == ["A", "rest", "B"]
    assert [one.place for one in regions] == ["bottom right", "the rest of the image", "top left"]
