"""Networks that put out something else than logits (B, K): the confidences they mean, or what cures it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from counterfoil.run.config import RunConfig
from counterfoil.run.evaluate import refuse_other_labels
from counterfoil.run.models import Models
from tests.inputs.case import At, Case, cases
from tests.inputs.read import Form, Grey, Shades, agreement, checked, classifier

TWO, THREE = ("dark", "bright"), ("dark", "middle", "bright")
RIGHT = ("60 of 60", True)


def put_out(
    names: tuple[str, ...], form: Callable[[Tensor], Any], *overrides: str, meant: Any = None
) -> Callable[[At], tuple[str, bool]]:
    """How often the decision is the label, and whether the confidences are those that the network means.

    Args:
        names: of the classes.
        form: what the network makes of its logits (B, K).
        overrides: of the config.
        meant: the probabilities (B, K) that logits (B, K) mean; None: their softmax.
    """

    def act(at: At) -> tuple[str, bool]:
        data = Shades(*names, each=60 // len(names))
        net = Grey(list(range(len(names))), len(names))
        made = classifier(at, Form(net, form), data, *overrides)
        checked(made, data)
        means = (meant or (lambda y: y.softmax(1)))(net(data.test[:].x))
        return agreement(made, data), torch.allclose(made(data.test[:].x).softmax(1), means, atol=1e-5)

    return act


def one(y: Tensor) -> Tensor:
    """The one logit of two classes."""
    return y[:, 1] - y[:, 0]


def alone(form: Callable[[Tensor], Any], *overrides: str) -> Callable[[At], tuple[str, bool]]:
    """The same with one number per image for two classes, which are called as the data call them."""
    return put_out(TWO, lambda y: form(one(y)), *overrides)


class Vit(Form):
    """Stands for a HuggingFace image classifier: made from a folder, returns an object with `.logits`."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(Grey(config["order"], len(config["order"])), lambda y: SimpleNamespace(logits=y))
        self.config = SimpleNamespace(id2label={int(k): name for k, name in config["id2label"].items()})

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str, **_options: Any) -> Vit:
        folder = Path(pretrained_model_name_or_path)
        net = cls(json.loads((folder / "config.json").read_text()))
        net.load_state_dict(load_file(str(folder / "model.safetensors")))
        return net


def hugging_face(at: At) -> str:
    """By config alone: a folder of images, a folder of the model, whose id2label has another order."""
    hub = at.folder / "vit"
    hub.mkdir()
    order = {"order": [2, 0, 1], "id2label": {"0": "bright", "1": "dark", "2": "middle"}}
    (hub / "config.json").write_text(json.dumps(order))
    save_file(Vit(order).state_dict(), str(hub / "model.safetensors"))
    shades = Shades(*THREE, each=20).test
    for part, rows in (("train", range(3)), ("test", range(60))):
        for i in rows:
            folder = at.folder / "birds" / part / THREE[int(shades.labels[i])]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.asarray(shades.images[i, 0])).save(folder / f"{i:02}.png")
    config, _ = at.request.getfixturevalue("compose")(
        "evaluate", "data=folder", f"data.root={at.folder / 'birds'}", "judge=null", "classifier=custom",
        f"classifier.net._target_={Vit.__module__}.Vit.from_pretrained",
        f"+classifier.net.pretrained_model_name_or_path={hub}",
        f"classifier.checkpoint={hub / 'model.safetensors'}", f"store={at.folder}", "device=cpu",
    )  # fmt: skip
    run = RunConfig.of(config)
    models = Models.of(run)
    made = models.share(run.explained)
    assert models.data.class_names == ("bright", "dark", "middle")
    assert checked(made, models.data).accuracy == 1
    return agreement(made, models.data)


def labels_of(*columns: str, known: tuple[str, ...] = ("old", "bright"), given: str = "") -> Any:
    """A network with a logit per attribute, in its own order, asked for the attribute `bright`."""

    def act(at: At) -> str:
        data = Shades("not bright", "bright", each=30, attributes=known)

        def logits(y: Tensor) -> Tensor:
            return torch.stack([one(y) if name == "bright" else 9 + one(y) / 100 for name in columns], 1)

        net = Form(Grey([0, 1], 2), logits)
        names = [f"classifier.class_names={given}"] if given else []
        made = classifier(at, net, data, "decision=attribute", "classifier.decision.name=bright", *names)
        refuse_other_labels(made, data)
        checked(made, data)
        return agreement(made, data)

    return act


def other_labels(at: At) -> None:
    """An attribute of the data is explained whose labels tell another."""
    data = Shades("not bright", "bright", each=30, attributes=("old", "bright"))
    options = ("decision=attribute", "classifier.decision.name=old")
    refuse_other_labels(classifier(at, Form(Grey([0, 1], 2), lambda y: y), data, *options), data)


def unlabelled(names: str | None) -> Callable[[At], tuple[str, ...]]:
    """Names of the classes of a network with one output where the data have no labels."""

    def act(at: At) -> tuple[str, ...]:
        data = Shades(*(names.split(",") if names else ()), each=2)
        data.labelled = False
        data._splits = Shades(*TWO, each=2).load()
        object.__setattr__(data._splits, "class_names", data.names)
        made = classifier(at, Form(Grey([0, 1], 2), one), data)
        return made.class_names or ()

    return act


@cases(
    Case("logits", put_out(THREE, lambda y: y), right=RIGHT),
    Case("log-probabilities", put_out(THREE, lambda y: y.log_softmax(1)), right=RIGHT),
    Case("(B, K, 1, 1)", put_out(THREE, lambda y: y[:, :, None, None]), right=RIGHT),
    Case("(B, 1, K)", put_out(THREE, lambda y: y[:, None]), right=RIGHT),
    Case(
        "(B, K, 2, 2)",
        put_out(THREE, lambda y: y[:, :, None, None].repeat(1, 1, 2, 2)),
        says=("puts out (3, 2, 2) per image", "one number per class", "average over the positions"),
    ),
    Case("a dict", put_out(THREE, lambda y: {"logits": y, "features": y[:, :1]}), right=RIGHT),
    Case("a dict of one", put_out(THREE, lambda y: {"scores": y}), right=RIGHT),
    Case("a tuple of one", put_out(THREE, lambda y: (y,)), right=RIGHT),
    Case(
        "an object with logits", put_out(THREE, lambda y: SimpleNamespace(logits=y, loss=None)), right=RIGHT
    ),
    Case(
        "a tuple of two",
        put_out(THREE, lambda y: (y, y[:, :1])),
        says=("puts out a tuple of 0 (60, 3), 1 (60, 1)", "set classifier.output="),
    ),
    Case("its place", put_out(THREE, lambda y: (y[:, :1], y), "classifier.output=1"), right=RIGHT),
    Case("its key", put_out(THREE, lambda y: {"a": y[:, :1], "b": y}, "classifier.output=b"), right=RIGHT),
    Case(
        "a key in a dict in a tuple",
        put_out(THREE, lambda y: (y[:, :1], {"cls": y, "box": y}), "classifier.output=1.cls"),
        right=RIGHT,
    ),
    Case(
        "an attribute",
        put_out(THREE, lambda y: SimpleNamespace(boxes=y, scores=y), "classifier.output=scores"),
        right=RIGHT,
    ),
    Case(
        "a key that is not there",
        put_out(THREE, lambda y: {"a": y, "b": y}, "classifier.output=c"),
        says=("classifier.output=c", "a dict without it", "choose of a (60, 3), b (60, 3)"),
    ),
    Case(
        "a key of a tensor",
        put_out(THREE, lambda y: y, "classifier.output=0"),
        says=("classifier.output=0", "one tensor alone", "classifier.output=null"),
    ),
    Case("decisions", put_out(THREE, lambda y: y.argmax(1)), says=("torch.int64", "return its logits")),
    Case("nothing", put_out(THREE, lambda y: None), says=("puts out a NoneType", "expected logits (B, K)")),
    Case(
        "an array",
        put_out(THREE, lambda y: y.detach().numpy()),
        says=("puts out a ndarray", "expected logits"),
    ),
    Case(
        "probabilities",
        put_out(THREE, lambda y: y.softmax(1)),
        says=("returns probabilities", "sum to 1", "set decision=probabilities"),
    ),
    Case("their rule", put_out(THREE, lambda y: y.softmax(1), "decision=probabilities"), right=RIGHT),
    Case(
        "their rule by its class",
        put_out(
            THREE,
            lambda y: y.softmax(1),
            "classifier.decision._target_=counterfoil.core.decision.Probabilities",
        ),
        right=RIGHT,
    ),
    Case(
        "their rule as a value",
        put_out(THREE, lambda y: y.softmax(1), "classifier.decision=probabilities"),
        right=RIGHT,
    ),
    Case(
        "their rule in a dict",
        put_out(
            THREE, lambda y: {"p": y.softmax(1), "y": y}, "decision=probabilities", "classifier.output=p"
        ),
        right=RIGHT,
    ),
    Case(
        "a rule that is none",
        put_out(THREE, lambda y: y, "classifier.decision=softmax"),
        says=(
            "classifier.decision=softmax is no rule",
            "logits, probabilities, sigmoid, attribute, threshold",
        ),
    ),
    Case(
        "logits called probabilities",
        put_out(THREE, lambda y: y, "decision=probabilities"),
        says=("decision=probabilities expects rows", "set decision=logits"),
    ),
    Case(
        "log-probabilities called probabilities",
        put_out(THREE, lambda y: y.log_softmax(1), "decision=probabilities"),
        says=("decision=probabilities expects rows", "decision=logits, which takes log-probabilities"),
    ),
    Case(
        "a sigmoid per class",
        put_out(THREE, lambda y: (y + 2).sigmoid()),
        says=("probabilities out of a sigmoid", "set decision=sigmoid"),
    ),
    Case("its rule", put_out(THREE, lambda y: (y + 2).sigmoid(), "decision=sigmoid"), right=RIGHT),
    Case(
        "logits called a sigmoid",
        put_out(THREE, lambda y: y, "decision=sigmoid"),
        says=("decision=sigmoid expects probabilities in [0, 1]", "set decision=logits"),
    ),
    Case(
        "a softmax called a sigmoid",
        put_out(THREE, lambda y: y.softmax(1), "decision=sigmoid"),
        says=("sum to 1", "set decision=probabilities"),
    ),
    Case("one logit (B, 1)", alone(lambda s: s[:, None]), right=RIGHT),
    Case("one logit (B,)", alone(lambda s: s), right=RIGHT),
    Case("one logit (B, 1, 1, 1)", alone(lambda s: s[:, None, None, None]), right=RIGHT),
    Case("one logit in an object", alone(lambda s: SimpleNamespace(logits=s[:, None])), right=RIGHT),
    Case("one logit as an attribute", alone(lambda s: s, "decision=attribute"), right=RIGHT),
    Case(
        "one logit of the first class",
        put_out(TWO, lambda y: -one(y), meant=lambda y: y.flip(1).softmax(1)),
        right=("0 of 60", True),
        warns=("1.000 in the order that fits", """'classifier.class_names=["bright","dark"]'"""),
    ),
    Case(
        "one logit of the first class, said",
        put_out(TWO, lambda y: -one(y), "classifier.class_names=[bright,dark]"),
        right=RIGHT,
    ),
    Case(
        "one probability",
        alone(lambda s: s.sigmoid()),
        says=("probabilities out of a sigmoid", "set decision=sigmoid"),
    ),
    Case("one probability (B,)", alone(lambda s: s.sigmoid(), "decision=sigmoid"), right=RIGHT),
    Case("one probability (B, 1)", alone(lambda s: s.sigmoid()[:, None], "decision=sigmoid"), right=RIGHT),
    Case(
        "one probability called an attribute",
        alone(lambda s: s.sigmoid(), "decision=attribute"),
        says=("probabilities out of a sigmoid", "set decision=sigmoid"),
    ),
    Case(
        "one probability called probabilities",
        alone(lambda s: s.sigmoid()[:, None], "decision=probabilities"),
        says=("expects shape (B, K)", "decision=sigmoid"),
    ),
    Case(
        "one logit for three classes",
        put_out(THREE, lambda y: y[:, 0]),
        says=("puts out (1,) per image, the data have 3 classes", "decision=attribute or threshold"),
    ),
    Case(
        "a column by its number",
        put_out(
            TWO,
            lambda y: torch.stack([y[:, 0], one(y)], 1),
            "decision=attribute",
            "classifier.decision.index=1",
            "classifier.class_names=[dark,bright]",
        ),
        right=RIGHT,
    ),
    Case(
        "a column of probabilities by its number",
        put_out(
            TWO,
            lambda y: torch.stack([0.3 + 0 * one(y), one(y).sigmoid()], 1),
            "decision=sigmoid",
            "classifier.decision.index=1",
            "classifier.class_names=[dark,bright]",
        ),
        right=RIGHT,
    ),
    Case(
        "a number against a value",
        put_out(
            TWO,
            lambda y: 65 + one(y),
            "decision=threshold",
            "classifier.decision.value=65",
            "classifier.class_names=[dark,bright]",
        ),
        right=RIGHT,
    ),
    Case("an attribute, in the data's order", labels_of("old", "bright"), right="60 of 60"),
    Case(
        "an attribute, in another order",
        labels_of("bright", "old"),
        right="30 of 60",
        warns=("accuracy 0.500 on 60 images is no better than chance",),
    ),
    Case(
        "an attribute that the labels do not tell",
        other_labels,
        says=("classifier.decision.name=old", "tell not bright, bright", "set attribute=old"),
    ),
    Case("the outputs named", labels_of("bright", "old", given="[bright,old]"), right="60 of 60"),
    Case(
        "more attributes than the data know",
        labels_of("hat", "old", "bright"),
        says=("has 3 outputs, the attributes known are 2", "classifier.class_names=[...]"),
    ),
    Case("they are named", labels_of("hat", "old", "bright", given="[hat,old,bright]"), right="60 of 60"),
    Case(
        "an attribute that the data do not know, named",
        labels_of("hat", "bright", "old", known=("old",), given="[hat,bright,old]"),
        right="60 of 60",
    ),
    Case("HuggingFace by config", hugging_face, right="60 of 60"),
    Case(
        "one number for unlabelled images",
        unlabelled(None),
        says=("puts out one number per image", "data.class_names=[A,B]", "decision=threshold"),
    ),
    Case("one logit for unlabelled images, named", unlabelled("no,yes"), right=("no", "yes")),
)
def test_outputs(case: Case, at: At) -> None:
    case.settle(at)
