"""Do single-attribute edits show what they should?  python benchmarks/attribute_edits.py [overrides of evaluate.py]

Each attribute of each test image is moved alone to its farther end; what no training image shows beside it, such as sunglasses beside
eyeglasses, is taken off when it is put on. The judge of all attributes, trained apart from the generator, says whether it is there now, and
whether the others are as they were. Writes runs/attribute_edits/edits.json and edits.png.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import hydra
import torch
from torch import Tensor

from counterfoil.generative.attgan.training import single_edits
from counterfoil.run.config import typed
from counterfoil.run.models import Models, resolve_device
from counterfoil.run.store import Store
from counterfoil.util import cli  # noqa: F401 (registers the resolvers of the configs)
from counterfoil.util.build import plain
from counterfoil.util.pictures import to_grid
from counterfoil.util.record import write_json

ROOT = Path(__file__).resolve().parents[1]


def compose(*overrides: str) -> dict[str, Any]:
    """The config of evaluate.py with the attributes experiment."""
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        node: dict[str, Any] = typed(
            plain(hydra.compose("evaluate", overrides=["experiment=attributes", "logger=none", *overrides]))
        )
    return node


def never_together(a: Tensor) -> Tensor:
    """Pairs (A, A) of attributes (N, A) that no image shows at once."""
    together = a.T @ a
    return (together == 0) & (together.diagonal() > 0) & (together.diagonal()[:, None] > 0)


def measure(
    models: Models, node: dict[str, Any], x: Tensor, a: Tensor, apart: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Reconstruction error, share of edits that the judge sees, share of other attributes that it sees unchanged, and the images."""
    generator, judge = models.share(node["generative"]), models.share(node["judge"])
    columns = [models.data.attribute_names.index(name) for name in generator.attribute_names]
    a = a[:, columns]
    with torch.no_grad():
        apart = apart[columns][:, columns]
        shown = single_edits(generator, x, a, apart=apart)
        said = (judge.outputs(shown.flatten(0, 1))[:, columns] > 0).unflatten(0, shown.shape[:2])
    before, after = said[:, :1], said[:, 1:]
    own = torch.eye(a.shape[1], dtype=torch.bool, device=x.device)
    seen = after[:, own] == (a < 0.5)
    others = ~own & ~apart
    kept = ((after == before) & others).float().sum(2) / others.sum(1).clamp(min=1)
    return (shown[:, 0] - x).abs().flatten(1).mean(1), seen.float(), kept, shown


def main(overrides: list[str]) -> None:
    """Print a line an attribute, and write the figures and a picture."""
    node = compose(*overrides)
    models = Models(Store(Path(node["store"])), node["data"], resolve_device(node["device"]))
    test = models.data.test
    assert models.data.train.attributes is not None
    apart = never_together(torch.as_tensor(models.data.train.attributes).float()).to(models.device)
    parts = []
    for start in range(0, min(node["n"], len(test)), 64):
        batch = test[range(start, min(start + 64, node["n"], len(test)))]
        assert batch.a is not None
        error, seen, kept, shown = measure(
            models, node, batch.x.to(models.device), batch.a.to(models.device), apart
        )
        parts.append((error.cpu(), seen.cpu(), kept.cpu()))
        if start == 0:
            picture = torch.cat((batch.x[:10, None], shown[:10].cpu()), dim=1)
    error, seen, kept = (torch.cat(columns) for columns in zip(*parts, strict=True))
    names = models.share(node["generative"]).attribute_names
    found = {
        name: {"seen": float(seen[:, j].mean()), "others_kept": float(kept[:, j].mean())}
        for j, name in enumerate(names)
    }
    print(f"{len(error)} test images, reconstruction L1 {float(error.mean()):.4f}")
    for name, entry in found.items():
        print(
            f"{name:16} seen by the judge {100 * entry['seen']:5.1f} %   other attributes kept {100 * entry['others_kept']:5.1f} %"
        )
    folder = Path("runs/attribute_edits")
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "n": len(error),
        "reconstruction_l1": float(error.mean()),
        "attributes": found,
        "overrides": overrides,
    }
    write_json(folder / "edits.json", figures)
    write_picture(folder / "edits.png", picture)
    print(f"columns of {folder / 'edits.png'}: image, reconstruction, {', '.join(names)}")


def write_picture(path: Path, images: Tensor) -> None:
    """A row an image: (B, columns, C, H, W)."""
    from PIL import Image

    pixels = to_grid(images.flatten(0, 1), images.shape[1])
    Image.fromarray(pixels).resize((pixels.shape[1] * 2, pixels.shape[0] * 2), 0).save(path)


if __name__ == "__main__":
    main(sys.argv[1:])
