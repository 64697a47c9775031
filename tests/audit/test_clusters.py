import torch

from counterfoil.audit.clusters import cluster, profile
from counterfoil.audit.regions import Region


def test_what_changes_alike_is_one_cluster():
    masks = torch.zeros(2, 4, 4, dtype=torch.bool)
    masks[0, :2], masks[1, 2:] = True, True
    regions = [Region(masks[0], "A"), Region(masks[1], "B")]
    change = torch.zeros(10, 4, 4)
    change[:6, :2], change[6:, 2:] = 0.5, -0.2
    change[6:, 3, 3] = 0.01
    change[9, 2:, :2] = 0.2
    found = cluster(profile(change, regions), regions, 3)
    assert [(one.size, one.words) for one in found] == [(6, "A brighter"), (3, "B darker"), (1, "B redrawn")]
    assert found[0].rows == (0, 1, 2, 3)
    told = found[1].as_dict(torch.arange(10) + 100)
    assert told == {"size": 3, "share": 0.3, "changes": "B darker", "exemplars": [106, 107, 108]}
    assert cluster(profile(change[:0], regions), regions, 3) == []
