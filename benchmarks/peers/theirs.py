"""Asks one method of alibi or foolbox for counterfactuals; runs in the peers' environment:

    .venv-peers/bin/python benchmarks/peers/theirs.py cfproto FOLDER --budget 120

FOLDER holds questions.npz; FOLDER/cfproto.npz is written: the queries that were done before the CPU seconds
of the budget were over, in order, with what each has cost in CPU seconds. A method that finds nothing returns
the factual. Settings are those of alibi's MNIST examples and foolbox' defaults, where nothing else is said.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from networks import check_equal, in_keras, in_torch

SHIFT = 0.5
"""alibi's examples take images in [-0.5, 0.5]."""
RANGE = (-SHIFT, 1 - SHIFT)
Questions = dict[str, np.ndarray]
Explain = Callable[[np.ndarray, int], "np.ndarray | None"]
"""From an image (1, 28, 28, 1) less SHIFT and a target to a counterfactual of that shape, or None."""


class Alibi:
    """alibi's methods on one graph of TensorFlow 1."""

    def __init__(self, questions: Questions, folder: Path) -> None:
        import tensorflow as tf

        tf.compat.v1.disable_v2_behavior()
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self.keras, self.questions, self.folder = tf.keras, questions, folder
        logits, self.classifier = in_keras(tf.keras, questions, SHIFT)
        found = logits.predict(self.images("check"), verbose=0)
        self.difference = check_equal(questions["check_logits"], found, "Keras")

    def images(self, name: str) -> np.ndarray:
        """Images (B, 28, 28, 1) less SHIFT."""
        images = self.questions[name]
        images = images.astype(np.float32) / 255 if images.dtype == np.uint8 else images
        return images.reshape(-1, 28, 28, 1) - np.float32(SHIFT)

    def autoencoder(self) -> tuple[Any, Any]:
        """That of the examples with its encoder, trained once: 4 epochs on the training images."""
        kept, path = self.keras.layers, self.folder / "autoencoder.h5"
        inputs = self.keras.Input((28, 28, 1))
        x = inputs
        for width in (16, 16):
            x = kept.Conv2D(width, 3, activation="relu", padding="same")(x)
        code = kept.Conv2D(1, 3, padding="same")(kept.MaxPooling2D(2, padding="same")(x))
        x = kept.UpSampling2D(2)(kept.Conv2D(16, 3, activation="relu", padding="same")(code))
        x = kept.Conv2D(16, 3, activation="relu", padding="same")(x)
        whole = self.keras.Model(inputs, kept.Conv2D(1, 3, padding="same")(x))
        if path.is_file():
            whole.load_weights(path)
        else:
            self.keras.utils.set_random_seed(0)
            whole.compile("adam", "mse")
            images = self.images("train")
            whole.fit(images, images, batch_size=128, epochs=4, verbose=2)
            whole.save_weights(path)
        return whole, self.keras.Model(inputs, code)

    def cfproto_500(self) -> Explain:
        """With half of the example's iterations."""
        return self.cfproto(500)

    def cfproto(self, iterations: int = 1000) -> Explain:
        """Prototypes of all training images; the target is given."""
        from alibi.explainers import CounterfactualProto

        whole, encoder = self.autoencoder()
        method = CounterfactualProto(
            self.classifier,
            (1, 28, 28, 1),
            gamma=100.0,
            theta=100.0,
            ae_model=whole,
            enc_model=encoder,
            max_iterations=iterations,
            feature_range=RANGE,
            c_init=1.0,
            c_steps=2,
        )
        method.fit(self.images("train"))
        return lambda x, target: _image(method.explain(x, target_class=[target]).cf)

    def counterfactual(self) -> Explain:
        """The target is a part of the graph, so there is one for each class; making them is not timed."""
        from alibi.explainers import Counterfactual

        methods = {
            int(target): Counterfactual(
                self.classifier,
                shape=(1, 28, 28, 1),
                target_proba=1.0,
                tol=0.01,
                target_class=int(target),
                max_iter=1000,
                lam_init=1e-1,
                max_lam_steps=10,
                learning_rate_init=0.1,
                feature_range=RANGE,
            )
            for target in np.unique(self.questions["target"])
        }
        return lambda x, target: _image(methods[target].explain(x).cf)

    def cem(self) -> Explain:
        """Pertinent negatives, which cannot be told a target."""
        from alibi.explainers import CEM

        method = CEM(
            self.classifier,
            mode="PN",
            shape=(1, 28, 28, 1),
            kappa=0.0,
            beta=0.1,
            gamma=100.0,
            ae_model=self.autoencoder()[0],
            learning_rate_init=1e-2,
            max_iterations=1000,
            c_init=1.0,
            c_steps=10,
            feature_range=RANGE,
            clip=(-1000.0, 1000.0),
            no_info_val=-1.0,
        )
        return lambda x, target: _pertinent(method.explain(x, verbose=False).PN)

    def ask(self, name: str, budget: float) -> dict[str, np.ndarray]:
        """Explain one query after another until the CPU seconds are spent; all but CEM do one before."""
        explain: Explain = getattr(self, name)()
        x, targets = self.images("factual"), self.questions["target"]
        if name != "cem":  # a query of which takes a minute
            explain(x[:1], int(targets[0]))
        images, seconds = [], []
        for i, target in enumerate(targets):
            since = time.process_time()
            found = explain(x[i : i + 1], int(target))
            seconds.append(time.process_time() - since)
            images.append((x[i : i + 1] if found is None else found).reshape(1, 28, 28) + SHIFT)
            print(f"{name} {i}: {seconds[-1]:.2f} s", file=sys.stderr, flush=True)
            if sum(seconds) >= budget:
                break
        return {"counterfactual": np.stack(images), "seconds": np.array(seconds)}


def _image(found: Any) -> np.ndarray | None:
    return None if found is None else found["X"]


def _pertinent(found: Any) -> np.ndarray | None:
    return found if isinstance(found, np.ndarray) and found.size else None


class Foolbox:
    """foolbox' attacks on a bare PyTorch network, all queries in batches of 128."""

    def __init__(self, questions: Questions, folder: Path) -> None:
        import torch

        torch.set_num_threads(1)
        self.torch, self.questions, self.net = torch, questions, in_torch(questions)
        images = torch.from_numpy(questions["check"]).float() / 255
        self.difference = check_equal(questions["check_logits"], self.net(images).numpy(), "PyTorch")

    def attacks(self) -> dict[str, Any]:
        """By name; Carlini and Wagner's with 300 steps, not 90,000, from a constant that finds something."""
        import foolbox.attacks as fa

        return {
            "ddn": fa.DDNAttack(),
            "fmn": fa.L2FMNAttack(),
            "cw": fa.L2CarliniWagnerAttack(binary_search_steps=3, steps=100, initial_const=1.0),
        }

    def ask(self, name: str, budget: float) -> dict[str, np.ndarray]:
        """Explain batch after batch until the CPU seconds are spent; a small one is done before."""
        import foolbox as fb

        attack, spent = self.attacks()[name], 0.0
        model = fb.PyTorchModel(self.net, bounds=(0, 1), device="cpu")
        x = self.torch.from_numpy(self.questions["factual"])
        target = self.torch.from_numpy(self.questions["target"])

        def explain(rows: slice) -> Any:
            wanted = fb.criteria.TargetedMisclassification(target[rows])
            _, found, done = attack(model, x[rows], wanted, epsilons=None)
            return self.torch.where(done[:, None, None, None], found, x[rows])

        explain(slice(0, 8))
        images, seconds = [], []
        for start in range(0, len(x), 128):
            since = time.process_time()
            found = explain(slice(start, start + 128))
            used = time.process_time() - since
            spent += used
            images.append(found.numpy())
            seconds.append(np.full(len(found), used / len(found)))
            if spent >= budget:
                break
        return {"counterfactual": np.concatenate(images), "seconds": np.concatenate(seconds)}


METHODS: dict[str, type[Alibi | Foolbox]] = {
    "cfproto": Alibi,
    "cfproto_500": Alibi,
    "counterfactual": Alibi,
    "cem": Alibi,
    "ddn": Foolbox,
    "fmn": Foolbox,
    "cw": Foolbox,
}


def versions() -> Iterator[tuple[str, str]]:
    """Of what was measured."""
    from importlib.metadata import version

    for name in ("alibi", "foolbox", "tensorflow-cpu", "torch", "numpy"):
        yield name, version(name)


def main(arguments: Sequence[str]) -> None:
    """Ask, and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", type=float, default=120.0, help="CPU seconds to spend")
    given = parser.parse_args(arguments)
    with np.load(given.folder / "questions.npz", allow_pickle=False) as file:
        questions = dict(file)
    tool = METHODS[given.method](questions, given.folder)
    found = tool.ask(given.method, given.budget)
    rows = len(found["counterfactual"])
    whole = {
        **found,
        "counterfactual": found["counterfactual"].clip(0, 1).astype(np.float32),
        "factual": questions["factual"][:rows],
        "target": questions["target"][:rows],
    }
    np.savez(given.folder / f"{given.method}.npz", **whole)
    told = {"versions": dict(versions()), "logits differ by at most": tool.difference}
    (given.folder / f"{given.method}.json").write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
