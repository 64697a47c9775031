"""Copies a torch.export archive without anything that torch's loader would run.

That loader unpickles what an archive says is pickled, evaluates expressions and guards, imports what a tree
of inputs names, loads compiled libraries, and calls whatever function of torch a graph names. The copy holds
tensors as bytes and a graph whose every word is known to be harmless; an archive with more is refused.
"""

from __future__ import annotations

import ast
import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from counterfoil.util.archive import open_zip

NAME = re.compile(r"[\w.\-]*")
"""Names of nodes, weights and symbols: nothing that generated Python code could take for a call."""
OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|quantized|quantized_decomposed|torchvision)\.(?!save\b|load\b|from_file)\w+\.\w+"
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|map_impl|associative_scan"
    r"|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|getitem|eq|ne|lt|le|gt|ge|and_|or_|not_|xor"
    r"|lshift|rshift)"
    r"|math\.(ceil|floor|trunc|sqrt)|torch\._?sym_\w+"
)
"""Functions that a graph may call: those of tensors, and arithmetic of shapes."""
FUNCTION = re.compile(
    r"Abs|Add|And|Ceil(Div|ToInt)|ceiling|CleanDiv|Eq|Equality|Float|Float(Pow|TrueDiv)|floor|Floor(Div|ToInt)"
    r"|Ge|GreaterThan|Gt|Identity|Int(eger|TrueDiv)|IsNonOverlappingAndDenseIndicator|Le|LessThan|LShift|Lt|Max"
    r"|Min|Mod|ModularIndexing|Mul|Ne|Not|Or|Pow|PowByNatural|PythonMod|Rational|Round(Decimal|ToInt)|RShift"
    r"|Strict(Greater|Less)Than|Symbol|ToFloat|Trunc(ToFloat|ToInt)|Unequality|Where"
)
"""Functions in the expressions of symbolic shapes."""
POWERS = frozenset(("FloatPow", "LShift", "Pow", "PowByNatural"))
"""Those whose result may be too long a number to be worked out."""
SYNTAX = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.Name,
    ast.Load,
    ast.keyword,
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
)
TREES = ("builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")
"""Containers of inputs and outputs."""
DROPPED: dict[str, Any] = {"metadata": {}, "guards_code": [], "treespec_namedtuple_fields": {}}
"""Parts of a graph that are not needed to run it, by what stands for them."""
NATIVE = ("data/aotinductor/", "data/executorch/", "data/mtia/")
_INPUTS = re.compile(r"data/sample_inputs/\w+\.pt|serialized_example_inputs\.pt")


def copy_exported(path: Path) -> io.BytesIO:
    """The archive anew, in memory, for torch.export.load.

    Raises:
        ValueError: an archive that asks for more than tensors and operations on them.
        zipfile.BadZipFile: no archive.
    """
    copy = io.BytesIO()
    with open_zip(path) as archive, zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as written:
        root = _root(archive)
        for entry in archive.infolist():
            content = _harmless(entry.filename.removeprefix(root), archive, root)
            if content is not None:
                written.writestr(entry.filename, content)
    copy.seek(0)
    return copy


def _root(archive: zipfile.ZipFile) -> str:
    """The folder in which all entries lie; none in archives of torch before 2.8."""
    names = archive.namelist()
    folder = names[0].partition("/")[0] + "/" if names else ""
    return folder if all(name.startswith(folder) for name in names) else ""


def _harmless(name: str, archive: zipfile.ZipFile, root: str) -> bytes | None:
    """What stands for an entry in the copy; None leaves it out."""
    if name.startswith(NATIVE):
        raise ValueError(f"it holds machine code ({name})")
    if _INPUTS.fullmatch(name):
        return b""
    for kind, checked in _CHECKED.items():
        if kind.fullmatch(name):
            return checked(name, archive, root)
    return None


def _as_it_is(name: str, archive: zipfile.ZipFile, root: str) -> bytes:
    return archive.read(root + name)


def _graph(name: str, archive: zipfile.ZipFile, root: str) -> bytes:
    return json.dumps(_checked(json.loads(archive.read(root + name)), "")).encode()


def _payloads(name: str, archive: zipfile.ZipFile, root: str) -> bytes:
    """The table of weights or constants; each must be a tensor that lies in the archive as bytes."""
    table = json.loads(archive.read(root + name))
    folder = root + name.rpartition("/")[0]
    for key, entry in table["config"].items():
        if entry["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", entry["path_name"]):
            raise ValueError(f"its {key} is pickled, and nothing is unpickled")
        count = math.prod(size.get("as_int", 0) for size in entry["tensor_meta"]["sizes"])
        there = archive.getinfo(f"{folder}/{entry['path_name']}").file_size
        if count > max(there, 1 << 20):
            raise ValueError(f"its {key} makes {count:,} numbers of {there:,} bytes")
    return json.dumps(_checked(table, "")).encode()


def _tensors_anew(name: str, archive: zipfile.ZipFile, root: str) -> bytes:
    """Pickled tensors of torch before 2.9, read as weights alone and written again."""
    anew = io.BytesIO()
    try:
        tensors = torch.load(io.BytesIO(archive.read(root + name)), map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"its {name} holds more than tensors, and nothing is unpickled") from error
    torch.save(tensors, anew)
    return anew.getvalue()


_CHECKED: dict[re.Pattern[str], Callable[[str, zipfile.ZipFile, str], bytes]] = {
    re.compile(r"archive_format|archive_version|byteorder|version|\.data/version"): _as_it_is,
    re.compile(r"data/(weights/weight|constants/tensor)_\d+"): _as_it_is,
    re.compile(r"data/(weights|constants)/\w+_config\.json"): _payloads,
    re.compile(r"models/\w+\.json|serialized_exported_program\.json"): _graph,
    re.compile(
        r"data/(weights|constants)/\w+\.pt|serialized_(state_dict|constants)\.(pt|json)"
    ): _tensors_anew,
}
"""Entries that are copied, by how; all others stay behind."""


def _checked(value: Any, key: str) -> Any:
    """A part of the graph that is called `key`, as it is but for what `DROPPED` names."""
    if key in DROPPED:
        return DROPPED[key]
    if isinstance(value, Mapping):
        for name in value:
            _check_text(name, "name")
        return {name: _checked(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [_checked(part, key) for part in value]
    if isinstance(value, str):
        _check_text(value, key)
    return value


def _check_text(text: str, key: str) -> None:
    if not _HARMLESS.get(key, NAME.fullmatch)(text):
        raise ValueError(f"its {key or 'graph'} {text[:60]!r} is not one of a network's")


def _is_expression(text: str) -> bool:
    """Whether a symbolic shape is arithmetic of numbers and symbols: sympy evaluates it as Python code."""
    if len(text) > 1000:
        return False
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    exponents = [node for node in nodes if _name(node) in POWERS]
    return all(map(_is_arithmetic, nodes)) and len(exponents) <= 4 and all(map(_is_short, exponents))


def _is_arithmetic(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return bool(FUNCTION.fullmatch(_name(node)))
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return bool(NAME.fullmatch(node.value))
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and abs(node.value) < 1e20
    return isinstance(node, SYNTAX)


def _name(node: ast.AST) -> str:
    """The function or operator of a call, as far as it has a name."""
    if isinstance(node, ast.BinOp):
        return type(node.op).__name__
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def _is_short(power: Any) -> bool:
    """Whether an exponent is a small number, as it is or in Integer(...)."""
    exponent = power.right if isinstance(power, ast.BinOp) else power.args[-1] if power.args else power
    while isinstance(exponent, ast.Call) and _name(exponent) == "Integer" and exponent.args:
        exponent = exponent.args[0]
    return isinstance(exponent, ast.Constant) and exponent.value in range(9)


def _is_tree(text: str) -> bool:
    """Whether a tree of inputs or outputs is made of plain containers: torch imports what others name."""
    protocol, root = json.loads(text)
    return protocol == 1 and all(
        node["type"] is None or (node["type"] in TREES and _is_plain(node["context"]))
        for node in _nodes(root)
    )


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node["children_spec"]:
        yield from _nodes(child)


def _is_plain(context: Any) -> bool:
    """Nothing, or the keys of a dict."""
    keys = json.loads(context) if isinstance(context, str) else context
    return keys is None or (
        isinstance(keys, list) and all(isinstance(key, str) and NAME.fullmatch(key) for key in keys)
    )


_HARMLESS: dict[str, Callable[[str], Any]] = {
    "target": OPERATOR.fullmatch,
    "as_operator": OPERATOR.fullmatch,
    "expr_str": _is_expression,
    "in_spec": _is_tree,
    "out_spec": _is_tree,
    "as_string": str.isprintable,
    "as_strings": str.isprintable,
    "torch_version": str.isprintable,
}
"""What a text must be by what it is called; any other must be a name."""
