"""Keeps weights in float16, in half the room, for a store that is shipped.

    python -m counterfoil.run.halve FILE.safetensors ...

Weights are read back in float32: a search computes as before, on numbers rounded to 11 bits.
Figures that were made with the full weights are not those of the halves. The manifest notes `kept: float16`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.core.whole import whole
from counterfoil.util.checkpoint import read_manifest
from counterfoil.util.digest import file_digest
from counterfoil.util.record import write_json

KEPT = "float16"


def halve(path: Path) -> bool:
    """Round the floats of a file of weights to float16, and note it in the manifest; False where they were.

    A call that was cut off is finished by the next one.

    Raises:
        UserError: no safetensors file, one that is damaged, or a weight that float16 cannot hold.
    """
    if path.suffix != ".safetensors" or not path.is_file():
        raise UserError(f"{path} is no file of weights; give files FILE.safetensors of a store")
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path} cannot be read ({error}); get it anew") from error
    halves = {name: _half(value, f"{path}: {name}") for name, value in weights.items()}
    manifest = read_manifest(path)
    if all(value.dtype == weights[name].dtype for name, value in halves.items()):
        return False
    with whole(path) as partial:
        save_file(halves, partial)
        if manifest:
            write_json(path.with_suffix(".json"), {**manifest, "kept": KEPT, "sha256": file_digest(partial)})
    return True


def _half(value: Tensor, what: str) -> Tensor:
    if not value.is_floating_point() or value.dtype == torch.float16:
        return value
    half = value.half()
    if not bool(half.isfinite().all()):
        raise UserError(
            f"{what} holds {float(value.abs().max()):g}, float16 holds at most 65504; keep this file as it is"
        )
    return half


def main() -> None:
    """Halve each file, and say how many bytes are left."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="+", help="weights, FILE.safetensors")
    for path in parser.parse_args().file:
        done = halve(path)
        print(f"{path}: {path.stat().st_size:,} bytes" + ("" if done else ", halves already"))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
