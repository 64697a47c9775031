"""Files and names made to run code, to write elsewhere or to fill the memory: nothing of it happens.

Each file with code in it would create a marker, were any byte of it run.
"""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import save_file
from torch import Tensor, nn

from counterfoil.core.errors import CounterfoilWarning
from counterfoil.data.base import ImageData
from counterfoil.data.counterfactuals import read_counterfactuals
from counterfoil.report.published import publish
from counterfoil.run.address import Seen, stem
from counterfoil.run.config import RunConfig
from counterfoil.util.checkpoint import read_state
from counterfoil.util.program import load_program
from counterfoil.util.resuming import LAST, resume_from
from tests.faults.conftest import Fault

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
MARK = "/tmp/counterfoil-was-here"
"""Stands for the marker in files that a test makes, of the same length as what takes its place."""
X = torch.rand(2, 3, generator=torch.Generator().manual_seed(0))


class Mischief:
    """Unpickled, it creates the marker."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def shell(marker: Path) -> str:
    return f"__import__('os').system('touch {marker}')"


Maker = Callable[[Path, Path], Any]
"""Writes a file; is told the file and the marker."""


def pickled(file: Path, marker: Path) -> None:
    file.write_bytes(pickle.dumps(Mischief(marker)))


def by_opcodes(file: Path, marker: Path) -> None:
    file.write_bytes(f"cos\nsystem\n(S'touch {marker}'\ntR.".encode())


def saved(**options: Any) -> Maker:
    return lambda file, marker: torch.save({"w": X, "more": Mischief(marker)}, file, **options)


def with_hyperparameters(file: Path, marker: Path) -> None:
    torch.save({"state_dict": {"w": X}, "hyper_parameters": {"model": Mischief(marker)}}, file)


def in_a_tar(file: Path, marker: Path) -> None:
    with tarfile.open(file, "w") as tar:
        for name in ("pickle", "storages", "tensors", "sys_info"):
            content = pickle.dumps(Mischief(marker))
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def two_pickles(file: Path, marker: Path) -> None:
    torch.save({"w": X}, file)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(f"{file.stem}/data.pkl", pickle.dumps(Mischief(marker)))


def pickle_before_zip(file: Path, marker: Path) -> None:
    torch.save({"w": X}, file)
    file.write_bytes(pickle.dumps(Mischief(marker)) + file.read_bytes())


def calling(module: str, name: str, *arguments: str) -> Maker:
    """A state dict whose pickle calls a function of some module."""

    def made(file: Path, marker: Path) -> None:
        texts = "".join(f"S{text.format(marker=marker)!r}\n" for text in arguments)
        program = f"(dS'w'\nc{module}\n{name}\n({texts}tRs.".encode()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a/data.pkl", program)
            archive.writestr("a/version", "3\n")

    return made


def in_itself(file: Path, marker: Path) -> None:
    state: dict[str, Any] = {"w": X}
    state["again"] = state
    torch.save(state, file)


def thirty_doublings(file: Path, marker: Path) -> None:
    state: dict[str, Any] = {"w": X}
    for _ in range(30):
        state = {"a": state, "b": state}
    torch.save(state, file)


def promising(size: int) -> Maker:
    """An archive whose table of contents promises this many bytes."""

    def made(file: Path, marker: Path) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/data.pkl", b"0" * 1000)
            archive.infolist()[0].file_size = size

    return made


def safetensors(header: bytes, length: int | None = None) -> Maker:
    size = len(header) if length is None else length
    return lambda file, marker: file.write_bytes(size.to_bytes(8, "little") + header + b"0" * 16)


def tensor(shape: list[int], offsets: list[int]) -> bytes:
    return json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()


WEIGHTS: dict[str, tuple[str, Maker]] = {
    "a pickle": ("a.pt", pickled),
    "a pickle called safetensors": ("a.safetensors", pickled),
    "opcodes": ("a.pth", by_opcodes),
    "an entry of a state dict": ("a.pt", saved()),
    "an entry of an old file": ("a.ckpt", saved(_use_new_zipfile_serialization=False)),
    "an entry of an old file, protocol 4": (
        "a.bin",
        saved(_use_new_zipfile_serialization=False, pickle_protocol=4),
    ),
    "hyperparameters": ("a.ckpt", with_hyperparameters),
    "a tar": ("a.tar", in_a_tar),
    "two pickles": ("a.pt", two_pickles),
    "a pickle before the archive": ("a.pt", pickle_before_zip),
    "os.system": ("a.pt", calling("os", "system", "touch {marker}")),
    "posix.system": ("a.pt", calling("posix", "system", "touch {marker}")),
    "eval": ("a.pt", calling("builtins", "eval", "__import__('os').system('touch {marker}')")),
    "an old name of eval": (
        "a.pt",
        calling("__builtin__", "eval", "__import__('os').system('touch {marker}')"),
    ),
    "open": ("a.pt", calling("io", "open", "{marker}", "w")),
    "numpy": ("a.pt", calling("numpy.testing._private.utils", "runstring", "open('{marker}','w')", "")),
    "torch's own eval": ("a.pt", calling("torch.hub", "load", "{marker}", "x")),
    "subprocess": ("a.pt", calling("subprocess", "getoutput", "touch {marker}")),
    "two to the thirty dicts": ("a.pt", thirty_doublings),
    "a dict in itself": ("a.pt", in_itself),
    "a terabyte": ("a.pt", promising(1 << 40)),
    "two gigabytes of a kilobyte": ("a.ckpt", promising(1 << 31)),
    "a header without end": ("a.safetensors", safetensors(b"{}", 1 << 60)),
    "a terabyte of safetensors": ("a.safetensors", safetensors(tensor([1 << 38], [0, 1 << 40]))),
    "more numbers than there are": ("a.safetensors", safetensors(tensor([1 << 62, 8], [0, 16]))),
    "offsets backwards": ("a.safetensors", safetensors(tensor([4], [16, 0]))),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights(kind: str, fault: Fault, tmp_path: Path) -> None:
    name, make = WEIGHTS[kind]
    file, marker = tmp_path / name, tmp_path / "marker"
    make(file, marker)
    fault("malicious", lambda: [value.tolist() for value in read_state(file).values()], [X.tolist()])
    assert not marker.exists()


CKPT = {kind: make for kind, (name, make) in WEIGHTS.items() if not name.endswith(".safetensors")}


@pytest.mark.parametrize("kind", CKPT)
def test_checkpoints_of_a_training_that_was_cut_off(kind: str, fault: Fault, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    CKPT[kind](tmp_path / LAST, marker)
    with pytest.warns(CounterfoilWarning, match="set aside"):
        fault("malicious", lambda: resume_from(tmp_path, nn.Linear(3, 2)), None)
    assert not marker.exists()


def arrays(**changed: Any) -> dict[str, Any]:
    images = np.zeros((2, 1, 4, 4), np.float32)
    return {"factual": images, "counterfactual": images, "target": np.zeros(2, np.int64), **changed}


def objects(file: Path, marker: Path) -> None:
    np.savez(file, **arrays(target=np.array([Mischief(marker)] * 2, object)))


def headed(header: str, size: int = 8) -> Maker:
    """Counterfactuals whose targets begin with this header."""

    def made(file: Path, marker: Path) -> None:
        np.savez(file, **{key: value for key, value in arrays().items() if key != "target"})
        text = header.format(shell=shell(marker)).encode()
        with zipfile.ZipFile(file, "a") as archive:
            head = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little")
            archive.writestr("target.npy", head + text + b"0" * size)

    return made


def twice(file: Path, marker: Path) -> None:
    np.savez(file, **arrays())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("target.npy", pickle.dumps(Mischief(marker)))


NPZ: dict[str, Maker] = {
    "objects": objects,
    "a pickle": pickled,
    "a pickled array alone": lambda file, marker: np.save(file.open("wb"), np.array([Mischief(marker)])),
    "a header of code": headed("{shell}\n"),
    "a header of code in a dict": headed("{{'descr': {shell}, 'fortran_order': False, 'shape': (1,)}}\n"),
    "a dtype of objects": headed("{{'descr': '|O', 'fortran_order': False, 'shape': (1,)}}\n"),
    "a petabyte": headed(
        "{{'descr': '<f8', 'fortran_order': False, 'shape': (10**15,)}}\n".replace("10**15", "1" + "0" * 15)
    ),
    "eighty gigabytes": headed("{{'descr': '<i8', 'fortran_order': False, 'shape': (10000000000,)}}\n"),
    "no number of rows": headed("{{'descr': '<i8', 'fortran_order': False, 'shape': (-1,)}}\n"),
    "one target twice": twice,
    "a terabyte": promising(1 << 40),
}


@pytest.mark.parametrize("kind", NPZ)
def test_counterfactuals(kind: str, fault: Fault, tmp_path: Path) -> None:
    file, marker = tmp_path / "theirs.npz", tmp_path / "marker"
    NPZ[kind](file, marker)
    fault("malicious", lambda: read_counterfactuals(file, nn.Flatten(), (1, 4, 4)), None)
    assert not marker.exists()


Entries = dict[str, bytes]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Entries:
    """The entries of a healthy torch.export archive, without its root folder."""
    file = tmp_path_factory.mktemp("program") / "a.pt2"
    batch = torch.export.Dim("batch")
    torch.export.save(torch.export.export(nn.Linear(3, 2), (X,), dynamic_shapes=({0: batch},)), file)
    with zipfile.ZipFile(file) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


Change = Callable[[Entries, Path], Any]
WEIGHT_TABLE = "data/weights/model_weights_config.json"
CONSTANT_TABLE = "data/constants/model_constants_config.json"


def code(marker: Path) -> bytes:
    content = io.BytesIO()
    torch.save(Mischief(marker), content)
    return content.getvalue()


def edited(name: str, edit: Callable[[Any, Path], Any]) -> Change:
    """A change of a JSON entry."""

    def change(entries: Entries, marker: Path) -> None:
        content = json.loads(entries[name])
        edit(content, marker)
        entries[name] = json.dumps(content).encode()

    return change


def in_graph(edit: Callable[[Any, Path], Any]) -> Change:
    return edited("models/model.json", lambda content, marker: edit(content["graph_module"], marker))


def spec(kind: str, context: str) -> str:
    leaf = {"type": None, "context": None, "children_spec": []}
    return json.dumps([1, {"type": kind, "context": context, "children_spec": [leaf]}])


def pickled_weight(entries: Entries, marker: Path) -> None:
    edited(WEIGHT_TABLE, lambda table, _: table["config"]["weight"].update(use_pickle=True))(entries, marker)
    entries["data/weights/weight_0"] = code(marker)


def constant(prefix: str, content: Callable[[Path], bytes]) -> Change:
    def change(entries: Entries, marker: Path) -> None:
        about = {"path_name": f"{prefix}0", "is_param": False, "use_pickle": True, "tensor_meta": None}
        edited(CONSTANT_TABLE, lambda table, _: table["config"].update(c=about))(entries, marker)
        entries[f"data/constants/{prefix}0"] = content(marker)

    return change


def called(target: str, text: str = "touch {marker}") -> Change:
    """A graph whose first node calls this function with a text."""

    def edit(graph: Any, marker: Path) -> None:
        argument = {"name": "", "arg": {"as_string": text.format(marker=marker)}, "kind": 1}
        graph["graph"]["nodes"][0].update(target=target, inputs=[argument])

    return in_graph(edit)


def named(name: str) -> Change:
    """A graph whose input has this name."""

    def change(entries: Entries, marker: Path) -> None:
        text = name.format(shell=shell(marker), marker=marker)
        entries["models/model.json"] = entries["models/model.json"].replace(
            b'"input"', json.dumps(text).encode()
        )

    return change


def sized(expression: str) -> Change:
    """A graph whose symbolic shape is this expression."""

    def change(entries: Entries, marker: Path) -> None:
        def edit(value: Any) -> Any:
            if isinstance(value, dict):
                return {
                    key: expression.format(shell=shell(marker)) if key == "expr_str" else edit(part)
                    for key, part in value.items()
                }
            return [edit(part) for part in value] if isinstance(value, list) else value

        entries["models/model.json"] = json.dumps(edit(json.loads(entries["models/model.json"]))).encode()

    return change


def shaped(where: str, text: str) -> Change:
    """A tree of inputs or outputs as this text."""
    return in_graph(
        lambda graph, _: [
            call["signature"].update({where: text})
            for call in graph["module_call_graph"]
            if call["signature"]
        ]
    )


def guarded(entries: Entries, marker: Path) -> None:
    edited("models/model.json", lambda content, m: content.update(guards_code=[shell(m)]))(entries, marker)


def of_nothing(entries: Entries, marker: Path) -> None:
    """A weight of 4 TB whose bytes are not there."""

    def edit(table: Any, _: Path) -> None:
        table["config"]["weight"]["tensor_meta"]["sizes"] = [{"as_int": 1 << 20}, {"as_int": 1 << 20}]

    edited(WEIGHT_TABLE, edit)(entries, marker)
    entries["data/weights/weight_0"] = b""


def entry(name: str, content: Callable[[Path], bytes] = code) -> Change:
    return lambda entries, marker: entries.update({name: content(marker)})


def of_torch_2_7(entries: Entries, marker: Path) -> None:
    graph = entries["models/model.json"]
    entries.clear()
    entries.update({"version": b"8.20", "serialized_exported_program.json": graph})
    entries.update({"serialized_state_dict.pt": code(marker), "serialized_constants.pt": b""})
    entries["serialized_example_inputs.pt"] = code(marker)


EXPORTED: dict[str, Change] = {
    "a pickled weight": pickled_weight,
    "a pickled constant": constant("tensor_", code),
    "an opaque constant": constant("opaque_obj_", lambda marker: pickle.dumps(Mischief(marker))),
    "a custom object": constant("custom_obj_", code),
    "pickled inputs": entry("data/sample_inputs/model.pt"),
    "pickled weights of old": entry("data/weights/model.pt"),
    "pickled constants of old": entry("data/constants/model.pt"),
    "all of torch 2.7": of_torch_2_7,
    "machine code": entry("data/aotinductor/model/a.so", lambda _: b"\x7fELF"),
    "a weight of nothing": of_nothing,
    "a guard of code": guarded,
    "a shape of code": sized("{shell}"),
    "a shape that reads attributes": sized("s0.__class__.__base__.__subclasses__()"),
    "a shape of a lambda": sized("(lambda: {shell})()"),
    "a shape of a number without end": sized("Pow(Integer(9), Pow(Integer(9), Integer(99)))"),
    "a shape of another without end": sized("9**9**9"),
    "a shape in a text": sized('Add("{shell}", 1)'),
    "a factory by name": shaped(
        "out_spec",
        spec(
            "collections.defaultdict",
            {"default_factory_module": "antigravity", "default_factory_name": "x", "dict_context": []},  # type: ignore[arg-type]
        ),
    ),
    "an enumeration by name": shaped(
        "in_spec", spec("builtins.dict", '[{"__enum__": 1, "fqn": "antigravity:a", "name": "a"}]')
    ),
    "another container": shaped("out_spec", spec("torch.Size", "null")),
    "torch.os.system": called("torch.os.system"),
    "torch.load": called("torch.load"),
    "torch.hub.load": called("torch.hub.load"),
    "torch.serialization.pickle": called("torch.serialization.pickle.loads"),
    "methodcaller": called("_operator.methodcaller"),
    "aten.save": called("torch.ops.aten.save.default", "{marker}"),
    "aten.from_file": called("torch.ops.aten.from_file.default", "{marker}"),
    "load_library": called("torch.ops.load_library", "{marker}"),
    "an extension's operator": called("#custom:evil"),
    "an input called code": named("x={shell}"),
    "an input called lines": named("x):\n  {shell}\n  return (0,)\ndef f(self"),
    "a name in quotes": named('x"), {shell}, ("'),
}


def write(file: Path, entries: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(f"a/{name}" if "version" not in entries else name, content)


@pytest.mark.parametrize("kind", EXPORTED)
def test_exported_programs(kind: str, program: Entries, fault: Fault, tmp_path: Path) -> None:
    file, marker = tmp_path / "a.pt2", tmp_path / "marker"
    entries = dict(program)
    EXPORTED[kind](entries, marker)
    write(file, entries)

    def run() -> Any:
        loaded = load_program(file)
        assert loaded is not None
        return list(loaded(X).shape)

    fault("malicious", run, [2, 2])
    assert not marker.exists()


def test_an_exported_program_of_two_graphs(program: Entries, fault: Fault, tmp_path: Path) -> None:
    file = tmp_path / "a.pt2"
    write(file, program)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("a/models/model.json", b"{}")
    fault("malicious", lambda: load_program(file), None)


class Saves(nn.Module):
    """Writes the marker when it is run."""

    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, "/tmp/counterfoil-was-here")
        return x


class Maps(nn.Module):
    """Creates the marker when it is run."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_file("/tmp/counterfoil-was-here", True, 4) + x.sum()


class Awakes(nn.Module):
    """Writes the marker when it is loaded."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[int, bool]:
        return 1, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[int, bool]) -> None:
        torch.save(state[0], "/tmp/counterfoil-was-here")
        self.training = state[1]


def changed(file: Path, name: str, content: bytes) -> None:
    """Put this in place of an entry."""
    with zipfile.ZipFile(file) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for entry, old in entries.items():
            archive.writestr(entry, content if entry.endswith(name) else old)


def scripted(net: type[nn.Module]) -> Maker:
    return lambda file, marker: torch.jit.script(net()).save(str(file))


def script_with_pickle(file: Path, marker: Path) -> None:
    torch.jit.script(nn.Linear(3, 2)).save(str(file))
    changed(file, "/data.pkl", pickle.dumps(Mischief(marker)))


def script_with_constants(file: Path, marker: Path) -> None:
    torch.jit.script(nn.Linear(3, 2)).save(str(file))
    changed(file, "/constants.pkl", pickle.dumps((Mischief(marker),), protocol=2))


def script_after_another(file: Path, marker: Path) -> None:
    torch.jit.script(nn.Linear(3, 2)).save(str(file))
    file.write_bytes(b"    PTMF" + file.read_bytes())


SCRIPTS: dict[str, Maker] = {
    "torch.save": scripted(Saves),
    "torch.from_file": scripted(Maps),
    "torch.save while it is loaded": scripted(Awakes),
    "a pickle": script_with_pickle,
    "pickled constants": script_with_constants,
    "another format before it": script_after_another,
}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_scripts(kind: str, fault: Fault, tmp_path: Path) -> None:
    file, marker, written = tmp_path / "a.pt", tmp_path / "marker", Path(MARK)
    written.unlink(missing_ok=True)
    SCRIPTS[kind](file, marker)

    def run() -> Any:
        loaded = load_program(file)
        return None if loaded is None else loaded(X)

    fault("malicious", run, None if kind == "another format before it" else X)
    assert not marker.exists()
    assert not written.exists()


OUTSIDE = ("../x", "a/b", "/etc/x", "..", "", "a\\b", "~root", "a\nb", "x" * 300)


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_of_models_and_data(name: str, fault: Fault) -> None:
    node = {"role": "classifier", "name": name, "seed": 0, "net": {}, "training": {}}
    seen = Seen("digits", {"name": "digits"}, ImageData)
    fault("malicious", lambda: stem(node, seen), None)
    fault("malicious", lambda: stem({**node, "name": "cnn"}, Seen(name, {"name": name})), None)


@pytest.fixture(scope="module")
def healthy(compose: Any) -> DictConfig:
    config: DictConfig = compose("evaluate")[0]
    OmegaConf.set_struct(config, False)
    assert RunConfig.of(config).data.options["name"] == "digits"
    return config


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("group", ["explainer", "metric", "data"])
def test_names_in_a_config(group: str, name: str, fault: Fault, healthy: DictConfig) -> None:
    config = healthy.copy()
    if group == "data":
        config.data.name = name or "."
    else:
        config[group] = {name: {"_target_": "counterfoil.explainer.wachter.Wachter"}}
    fault("malicious", lambda: RunConfig.of(config), None)


def test_a_published_study_stays_in_its_folder(fault: Fault, tmp_path: Path) -> None:
    run, results = tmp_path / "run", tmp_path / "results"
    for folder in (run, results):
        folder.mkdir()
    (run / "study.json").write_text(json.dumps({"study": "../../escaped", "jobs": []}))
    fault("malicious", lambda: publish(run, results), None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results", "run"]


def test_a_healthy_file_of_each_kind_is_read(program: Entries, tmp_path: Path) -> None:
    """What is refused above is refused for what is wrong with it."""
    write(tmp_path / "a.pt2", program)
    torch.jit.script(nn.Linear(3, 2)).save(str(tmp_path / "a.pt"))
    np.savez(tmp_path / "a.npz", **arrays())
    save_file({"w": X}, str(tmp_path / "a.safetensors"))
    for name in ("a.pt2", "a.pt"):
        loaded = load_program(tmp_path / name)
        assert loaded is not None
        assert loaded(X).shape == (2, 2)
    assert len(read_counterfactuals(tmp_path / "a.npz", nn.Flatten(), (1, 4, 4))["a"]) == 2
    assert torch.equal(read_state(tmp_path / "a.safetensors")["w"], X)
