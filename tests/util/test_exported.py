"""A copied torch.export archive computes what the archive did."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.util.exported import copy_exported


class Net(nn.Module):
    """Convolution, batch norm, a constant, an output that is a shape, and a branch on the input's size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)
        self.register_buffer("offset", torch.arange(3.0))

    def forward(self, x: Tensor) -> dict[str, Any]:
        h = torch.relu(self.norm(self.conv(x)))
        h = nn.functional.interpolate(h, scale_factor=2.0).mean((2, 3)).reshape(-1, 4)
        return {"logits": self.head(h) * torch.tensor(2.0) + self.offset, "rows": x.shape[0] * 2 + 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Net, Tensor]:
    path = tmp_path_factory.mktemp("exported") / "net.pt2"
    torch.manual_seed(0)
    net, x = Net().eval(), torch.rand(4, 1, 8, 8)
    batch = torch.export.Dim("batch", min=1, max=64)
    torch.export.save(torch.export.export(net, (x,), dynamic_shapes=({0: batch},)), path)
    return path, net, x


def test_it_computes_the_same(made: tuple[Path, Net, Tensor]) -> None:
    path, net, x = made
    loaded = torch.export.load(copy_exported(path)).module()
    for part in (x, x[:3]):
        assert torch.equal(loaded(part)["logits"], net(part)["logits"])
        assert loaded(part)["rows"] == 2 * len(part) + 1


def test_it_still_refuses_inputs_of_another_shape(made: tuple[Path, Net, Tensor]) -> None:
    loaded = torch.export.load(copy_exported(made[0])).module()
    with pytest.raises(RuntimeError, match="equal to 1"):
        loaded(torch.rand(2, 3, 8, 8))
    with pytest.raises(RuntimeError, match="64"):
        loaded(torch.rand(70, 1, 8, 8))


def test_traces_and_inputs_stay_behind(made: tuple[Path, Net, Tensor]) -> None:
    with zipfile.ZipFile(copy_exported(made[0])) as copy:
        names = {name.partition("/")[2]: name for name in copy.namelist()}
        assert copy.read(names["data/sample_inputs/model.pt"]) == b""
        graph = json.loads(copy.read(names["models/model.json"]))
    assert "extra" not in names
    assert all(node["metadata"] == {} for node in graph["graph_module"]["graph"]["nodes"])


def test_archives_of_torch_2_7(made: tuple[Path, Net, Tensor], tmp_path: Path) -> None:
    """Their weights are pickled state dicts, which are read as weights alone."""
    from torch._export.serde.serialize import serialize

    path, net, x = made
    parts = serialize(torch.export.load(path))
    with zipfile.ZipFile(tmp_path / "old.pt2", "w") as archive:
        archive.writestr("version", "8.5")
        archive.writestr("serialized_exported_program.json", parts.exported_program)
        archive.writestr("serialized_state_dict.pt", parts.state_dict)
        archive.writestr("serialized_constants.pt", parts.constants)
        archive.writestr("serialized_example_inputs.pt", parts.example_inputs)
    loaded = torch.export.load(copy_exported(tmp_path / "old.pt2")).module()
    assert torch.equal(loaded(x)["logits"], net(x)["logits"])
