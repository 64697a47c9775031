"""Weights kept in half the room, and read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from counterfoil.core.errors import UserError
from counterfoil.generative.vae import VAE
from counterfoil.run.halve import halve
from counterfoil.util.checkpoint import read_manifest
from counterfoil.util.digest import file_digest
from counterfoil.util.record import write_json


def test_halves_are_read_back_as_floats_and_the_manifest_follows(tmp_path: Path) -> None:
    net = VAE(channels=1, size=16, latent=4, width=4)
    path = tmp_path / "a.safetensors"
    save_file(net.state_dict(), path)
    write_json(path.with_suffix(".json"), {"sha256": file_digest(path), "seconds": 3})
    before = path.stat().st_size
    assert halve(path)
    assert path.stat().st_size < 0.7 * before
    noted = read_manifest(path)
    assert noted == {"sha256": file_digest(path), "seconds": 3, "kept": "float16"}
    other = VAE(channels=1, size=16, latent=4, width=4)
    other.load_state_dict(load_file(path))
    for name, value in net.state_dict().items():
        again = other.state_dict()[name]
        assert again.dtype == value.dtype
        assert torch.allclose(again.double(), value.double(), rtol=1e-3, atol=1e-6)
    assert not halve(path)


def test_what_cannot_be_halved_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"w": torch.tensor([1e6])}, path)
    content = path.read_bytes()
    with pytest.raises(UserError, match="w holds 1e\\+06, float16 holds at most 65504"):
        halve(path)
    assert path.read_bytes() == content
    (tmp_path / "b.json").write_text(json.dumps({}))
    with pytest.raises(UserError, match=r"b.json is no file of weights"):
        halve(tmp_path / "b.json")
    (tmp_path / "c.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"c.safetensors cannot be read"):
        halve(tmp_path / "c.safetensors")
