"""Files of weights as people keep them: `classifier.checkpoint=`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

from counterfoil.core.errors import CounterfoilWarning
from counterfoil.util.checkpoint import load_weights
from tests.inputs.case import At, Case, cases

State = dict[str, Tensor]


class Net(nn.Module):
    """A small network with names of two levels."""

    def __init__(self, classes: int = 3, extra: bool = False) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )
        if extra:
            self.features.append(nn.Conv2d(4, 4, 1))
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x).flatten(1))
        return logits


class Wrapped(nn.Module):
    """The network one level down."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits


def filled(seed: int, net: nn.Module | None = None) -> nn.Module:
    """A network whose weights and statistics are drawn, in eighths, which half precision holds."""
    net = (net or Net()).eval()
    draw = torch.Generator().manual_seed(seed)
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.randint(1, 9, value.shape, generator=draw) / 8)
    return net


def state(seed: int = 1, prefix: str = "", net: nn.Module | None = None) -> State:
    return {prefix + key: value for key, value in filled(seed, net).state_dict().items()}


def without(kept: State, *parts: str) -> State:
    return {key: value for key, value in kept.items() if not any(part in key for part in parts)}


def loads(
    make: Callable[[], Any],
    name: str = "a.pt",
    into: Callable[[], nn.Module] = Net,
    prefix: str | None = None,
) -> Callable[[At], int | str]:
    """Saves what is made, loads it into another network, and tells whose outputs that network has then."""

    def act(at: At) -> int | str:
        content, file = make(), at.folder / name
        if name.endswith(".safetensors"):
            save_file(content, str(file))
        else:
            torch.save(content, file)
        net = filled(9, into())
        load_weights(net, file, prefix)
        x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        return next((seed for seed in (1, 2, 9) if torch.equal(net(x), filled(seed)(x))), "of none")

    return act


def tied(at: At) -> bool:
    """A network with a shared weight, as safetensors keeps it: under one name."""
    one, other = (nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)}) for _ in range(2))
    for net in (one, other):
        net["b"].weight = net["a"].weight
    save_model(one, str(at.folder / "a.safetensors"))
    load_weights(other, at.folder / "a.safetensors")
    return torch.equal(one["b"].weight, other["b"].weight)


@cases(
    Case("a state dict", loads(state), right=1),
    Case("safetensors", loads(state, "a.safetensors"), right=1),
    Case("safetensors under a prefix", loads(lambda: state(1, "backbone."), "a.safetensors"), right=1),
    Case("Lightning", loads(lambda: {"epoch": 3, "state_dict": state(1, "net.")}, "a.ckpt"), right=1),
    Case("a prefix of one's own", loads(lambda: state(1, "backbone.")), right=1),
    Case("a prefix of three levels", loads(lambda: state(1, "model.encoder.trunk.")), right=1),
    Case("a doubled prefix", loads(lambda: state(1, "net.net.")), right=1),
    Case("a doubled prefix into a wrapper", loads(lambda: state(1, "net.net."), into=Wrapped), right=1),
    Case("bare weights into a wrapper", loads(state, into=Wrapped), right=1),
    Case("data parallel", loads(lambda: state(1, "module.")), right=1),
    Case("data parallel in Lightning", loads(lambda: {"state_dict": state(1, "model.module.")}), right=1),
    Case("compiled", loads(lambda: state(1, "_orig_mod.")), right=1),
    Case(
        "compiled in part",
        loads(lambda: {key.replace("features.", "features._orig_mod."): v for key, v in state().items()}),
        right=1,
    ),
    Case("compiled in Lightning", loads(lambda: {"state_dict": state(1, "net._orig_mod.")}), right=1),
    Case("a dict of one's own", loads(lambda: {"net_state_dict": state(), "lr": 0.1}), right=1),
    Case(
        "a dict in dicts", loads(lambda: {"run": {"best": {"weights": state(1, "m.")}}, "epoch": 1}), right=1
    ),
    Case(
        "beside an optimizer",
        loads(lambda: {"m": state(), "opt": {"state": {0: {"exp_avg": torch.ones(3)}}}}),
        right=1,
    ),
    Case(
        "beside words and None", loads(lambda: {**state(), "arch": "net", "best": None, "epoch": 3}), right=1
    ),
    Case("ema alone", loads(lambda: {"ema": state(2), "num_updates": 10}), right=2),
    Case("ema that is the same", loads(lambda: {"model": state(1), "ema": state(1)}), right=1),
    Case(
        "ema beside the weights",
        loads(lambda: {"model": state(1), "ema": state(2)}),
        says=("a.pt", "several sets of weights", "'model' and 'ema'", "+classifier.prefix='ema'"),
    ),
    Case("ema by prefix", loads(lambda: {"model": state(1), "ema": state(2)}, prefix="ema"), right=2),
    Case("weights by prefix", loads(lambda: {"model": state(1), "ema": state(2)}, prefix="model"), right=1),
    Case(
        "teacher and student",
        loads(lambda: {"state_dict": {**state(1, "teacher."), **state(2, "student.")}}),
        says=("'state_dict/teacher' and 'state_dict/student'", "+classifier.prefix='state_dict/student'"),
    ),
    Case(
        "student by prefix",
        loads(
            lambda: {"state_dict": {**state(1, "teacher."), **state(2, "student.")}},
            prefix="state_dict/student.",
        ),
        right=2,
    ),
    Case(
        "a prefix that is not there",
        loads(state, prefix="ema"),
        says=("does not fit Net", "no name agrees", "features.0.weight"),
    ),
    Case("weights of the loss", loads(lambda: {**state(), "loss.pos_weight": torch.ones(3)}), right=1),
    Case(
        "counts of a metric",
        loads(lambda: {"state_dict": {**state(1, "net."), "acc.total": torch.ones(())}}),
        right=1,
    ),
    Case("without counts of batches", loads(lambda: without(state(), "num_batches_tracked")), right=1),
    Case(
        "a layer beside the network",
        loads(lambda: {**state(), "projector.weight": torch.ones(4, 4)}),
        right=1,
        warns=("a.pt", "projector.weight", "Net has not", "class and options"),
    ),
    Case(
        "a layer within the network",
        loads(lambda: state(1, net=Net(extra=True))),
        says=("does not fit Net", "has in addition features.4.weight", "class and options of net"),
    ),
    Case(
        "a layer too few",
        loads(state, into=lambda: Net(extra=True)),
        says=("lacks features.4.weight, features.4.bias", "it begins with", "expected"),
    ),
    Case(
        "other classes",
        loads(lambda: state(1, "net.", Net(classes=10))),
        says=("under 'net'", "head.weight is (10, 4), expected (3, 4)", "class and options of net"),
    ),
    Case(
        "other names",
        loads(lambda: {"encoder.w0": torch.ones(3), "encoder.w1": torch.ones(3)}),
        says=("no name agrees", "begins with encoder.w0, encoder.w1", "expected features.0.weight", "rename"),
    ),
    Case(
        "without statistics",
        loads(lambda: without(state(), "running_")),
        says=("lacks features.1.running_mean, features.1.running_var",),
    ),
    Case(
        "half precision",
        loads(lambda: {key: value.half() for key, value in state().items()}),
        right=1,
    ),
    Case(
        "parameters that want a gradient",
        loads(lambda: dict(filled(1).named_parameters()) | state()),
        right=1,
    ),
    Case("nothing", loads(dict), says=("a.pt", "without tensors", "state dict")),
    Case("a tensor", loads(lambda: torch.ones(3)), says=("holds a Tensor", "state dict")),
    Case("a whole network", loads(Net), says=("a.pt", "nothing is unpickled", "state_dict()")),
    Case("a shared weight", tied, right=True),
)
def test_checkpoints(case: Case, at: At) -> None:
    case.settle(at)


def test_a_layer_left_out_is_the_only_warning(at: At, recwarn: Any) -> None:
    loads(lambda: {**state(), "loss.weight": torch.ones(3)})(at)
    assert not [each for each in recwarn if issubclass(each.category, CounterfoilWarning)]
