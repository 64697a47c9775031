"""Networks as ONNX files: `classifier=onnx classifier.path=FILE.onnx`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from counterfoil.classifier.adapted import Adapted, Mean, Std
from counterfoil.core.bounds import Count
from counterfoil.core.errors import UserError, first_line
from counterfoil.util.extra import optional
from counterfoil.util.finite import refuse_broken

INSTALL = "counterfoil[onnx]"
INSTALL_GRADIENTS = "counterfoil[onnx2torch]"
TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
"""Numbers that an input may be of."""
AGAIN = "export it again with torch.onnx.export(..., dynamo=False, opset_version=13)"
Backend = Literal["auto", "onnx2torch", "onnxruntime"]
"""What runs the graph."""
FAR = 1e-3
"""How far the outputs of the two may be apart, of the largest."""


class Onnx(Adapted):
    """The graph of an ONNX file, in torch where onnx2torch is installed, else a black box of onnxruntime.

    Args:
        path: the file, with one input of images (B, C, H, W) and one or several outputs.
        channels, size: of the images to explain.
        mean, std: normalisation of images in [0, 1] before the graph.
        resize: scale images of another size inside the network.
        backend: "onnx2torch", which has gradients; "onnxruntime", which has none; or "auto", the first that
            is there.

    Raises:
        UserError: no such file, other inputs, a graph that is not read, images of another shape.
    """

    def __init__(
        self,
        path: Path | str,
        channels: Count,
        size: Count,
        mean: Mean | None = None,
        std: Std | None = None,
        resize: bool = False,
        backend: Backend = "auto",
    ) -> None:
        what = f"classifier.path={path}"
        box = BlackBox(Path(path), what)
        rows, wanted, height, width = box.shape
        net: nn.Module = box
        if backend != "onnxruntime":
            shape = (rows or 2, wanted or channels, height or size, width or size)
            try:
                net = in_torch(Path(path), box, shape, what)
            except UserError as error:
                if backend == "onnx2torch":
                    raise
                box.why = str(error)
        super().__init__(
            Graph(net, rows, box.outputs),
            (channels, size),
            what,
            channels=wanted,
            size=(height, width) if height and width else None,
            mean=0.0 if mean is None else mean,
            std=1.0 if std is None else std,
            resize=resize,
        )

    @staticmethod
    def find(path: str) -> Path:
        """The file."""
        return Path(path).expanduser()


class Graph(nn.Module):
    """A graph with its outputs by name, shown as many images at a time as it takes.

    Args:
        net: maps (B', C, H, W) to a tensor or several.
        rows: B', where the file fixes it; the last part is filled up. None: any number.
        names: of the outputs.
    """

    def __init__(self, net: nn.Module, rows: int | None, names: Sequence[str]) -> None:
        super().__init__()
        self.net, self.rows, self.names = net, rows, tuple(names)

    def forward(self, x: Tensor) -> Any:
        """Outputs (B, ...) of images (B, C, H, W); several by name."""
        rows = self.rows or len(x)
        lacking = -len(x) % rows
        parts = torch.cat((x, x[-1:].expand(lacking, *x.shape[1:]))).split(rows) if lacking else x.split(rows)
        found = [_several(self.net(part)) for part in parts]
        whole = [torch.cat(each)[: len(x)] for each in zip(*found, strict=True)]
        return whole[0] if len(whole) == 1 else dict(zip(self.names, whole, strict=True))


class BlackBox(nn.Module):
    """A graph that onnxruntime runs on the CPU, without gradients.

    Args:
        path: the file.
        what: it is called in messages.

    Attributes:
        shape: (B, C, H, W) of the input, None where any will do.
        outputs: their names.
        why: there are no gradients, where that could be otherwise.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__()
        self.path, self.what, self.why = path, what, ""
        self.outputs = [each.name for each in self.session.get_outputs()]
        self.input, kind, self.shape = _input(self.session.get_inputs(), what)
        self.numbers = TYPES[kind]

    @property
    def session(self) -> Any:
        """The graph as it runs, made once in each process and copy."""
        if "_session" not in vars(self):
            vars(self)["_session"] = _session(self.path, self.what)
        return vars(self)["_session"]

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_session"}

    def forward(self, x: Tensor) -> list[Tensor]:
        """All outputs for normalised images.

        Raises:
            UserError: gradients are asked for, or the graph fails.
        """
        if x.requires_grad and torch.is_grad_enabled():
            why = f" ({self.why})" if self.why else ""
            raise UserError(
                f"{self.what} is run by onnxruntime, which has no gradients{why}; choose methods that need "
                "none, explainer=[growing_spheres,nearest]"
            )
        given = x.detach().cpu().numpy().astype(self.numbers)
        try:
            found = self.session.run(None, {self.input: given})
        except Exception as error:
            raise UserError(f"{self.what} cannot be run ({first_line(error)[:200]}); {AGAIN}") from error
        return [torch.from_numpy(np.asarray(each)).to(x) for each in found]


def in_torch(path: Path, box: BlackBox, shape: Sequence[int], what: str) -> nn.Module:
    """The graph as a torch module, held against what onnxruntime makes of random images.

    Args:
        path: the file.
        box: the same, run by onnxruntime.
        shape: of images that it takes.
        what: it is called in messages.

    Raises:
        UserError: no onnx2torch, or a graph that it cannot translate.
    """
    library = optional("onnx2torch", "net.backend=onnx2torch", INSTALL_GRADIENTS)
    try:
        net: nn.Module = library.convert(without_identities(optional("onnx", what, INSTALL).load(str(path))))
        x = torch.rand(*shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            pairs = list(zip(_several(net.eval()(x)), box(x), strict=True))
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{what}: onnx2torch does not translate it ({first_line(error)[:200]}); {AGAIN}"
        ) from error
    for one, other in pairs:
        if one.shape != other.shape or float((one - other).abs().max()) > FAR * float(other.abs().max()):
            raise UserError(f"{what}: onnx2torch translates it to another network; {AGAIN}")
    refuse_broken(net, what, "its training diverged: export another one")
    return net


def without_identities(model: Any) -> Any:
    """The model without nodes that put out what they are given, which newer exporters leave behind."""
    kept = {each.name for each in model.graph.output}
    nodes = [node for node in model.graph.node if node.op_type == "Identity" and node.output[0] not in kept]
    stands_for = {node.output[0]: node.input[0] for node in nodes}
    for node in nodes:
        model.graph.node.remove(node)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            while name in stands_for:
                name = stands_for[name]
            node.input[place] = name
    return model


def _several(found: Any) -> list[Tensor]:
    return [found] if isinstance(found, Tensor) else list(found)


def _session(path: Path, what: str) -> Any:
    if not path.is_file():
        raise UserError(f"{what} does not exist; give an ONNX file")
    runtime = optional("onnxruntime", what, INSTALL)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(f"{what} is not read as an ONNX file ({first_line(error)[:200]}); {AGAIN}") from error


def _input(inputs: Sequence[Any], what: str) -> tuple[str, str, tuple[int | None, ...]]:
    """Name, type and shape (B, C, H, W) of the only input; None for what the file leaves open."""
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs)
        raise UserError(f"{what} has {len(inputs)} inputs ({names}); expected one, of images (B, C, H, W)")
    (only,) = inputs
    if only.type not in TYPES:
        raise UserError(f"{what}: its input is a {only.type}; expected one of {', '.join(TYPES)}")
    shape = tuple(each if isinstance(each, int) and each > 0 else None for each in only.shape or ())
    if len(shape) != 4:
        raise UserError(f"{what}: its input has the shape {only.shape}; expected four axes (B, C, H, W)")
    if shape[1] is None:
        raise UserError(
            f"{what}: its input has the shape {only.shape}, which leaves the channels open; of the axes "
            "(B, C, H, W) only B, H and W may be dynamic: export it again with dynamic_axes of these alone"
        )
    return only.name, only.type, shape
