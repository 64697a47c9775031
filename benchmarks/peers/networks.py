"""Our classifier, rebuilt in Keras and in bare PyTorch from its weights; runs in the peers' environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

TOLERANCE = 1e-4
"""Largest difference of a logit that a transplant may show."""
Arrays = Mapping[str, np.ndarray]


def layers(weights: Arrays) -> list[str]:
    """Names of the classifier's layers in order, with the weights at hand: convolutions and norms."""
    names = {name.rsplit(".", 1)[0] for name in weights if name.startswith("blocks.")}
    return sorted(names, key=lambda name: [int(part) for part in name.split(".")[1:]])


def in_keras(keras: Any, weights: Arrays, shift: float) -> tuple[Any, Any]:
    """The logits and the probabilities, of images (B, 28, 28, 1) that are ours minus `shift`.

    Torch pads both sides of an image, Keras' `same` only one where the stride is 2: zeros are padded by hand.
    """
    kept = keras.layers
    inputs = x = keras.Input((28, 28, 1))
    scale, offset = 1 / float(weights["std"]), (shift - float(weights["mean"])) / float(weights["std"])
    x = kept.Rescaling(scale, offset)(x)
    values = []
    for name in layers(weights):
        if weights[f"{name}.weight"].ndim == 4:
            kernel = weights[f"{name}.weight"].transpose(2, 3, 1, 0)
            stride = 1 + (name.split(".")[2] == "3")
            layer = kept.Conv2D(kernel.shape[-1], 3, strides=stride, use_bias=False)
            x = layer(kept.ZeroPadding2D(1)(x))
            values.append((layer, [kernel]))
        else:
            layer = kept.BatchNormalization(epsilon=1e-5, trainable=False)
            x = kept.ReLU()(layer(x))
            parts = ("weight", "bias", "running_mean", "running_var")
            values.append((layer, [weights[f"{name}.{part}"] for part in parts]))
    head = kept.Dense(len(weights["head.1.bias"]))
    logits = head(kept.GlobalAveragePooling2D()(x))
    values.append((head, [weights["head.1.weight"].T, weights["head.1.bias"]]))
    for layer, given in values:
        layer.set_weights(given)
    return keras.Model(inputs, logits), keras.Model(inputs, kept.Softmax()(logits))


def in_torch(weights: Arrays) -> Any:
    """The logits of images (B, 1, 28, 28) in [0, 1], as a frozen module without a line of ours."""
    import torch
    from torch import nn

    parts: list[nn.Module] = []
    for name in layers(weights):
        shape = weights[f"{name}.weight"].shape
        if len(shape) == 4:
            stride = 1 + (name.split(".")[2] == "3")
            part = nn.Conv2d(shape[1], shape[0], 3, stride, padding=1, bias=False)
            parts.append(part)
        else:
            part = nn.BatchNorm2d(shape[0])
            parts += [part, nn.ReLU()]
        own = {key: torch.from_numpy(weights[f"{name}.{key}"]) for key in part.state_dict()}
        part.load_state_dict(own)
    head = nn.Linear(*weights["head.1.weight"].shape[::-1])
    head.load_state_dict({key: torch.from_numpy(weights[f"head.1.{key}"]) for key in ("weight", "bias")})
    # As it stands at rest: (x - mean) / std. Torch 2.10 refuses an eps of 0; 1e-12 is lost in float32.
    scaled = nn.BatchNorm2d(1, eps=1e-12, affine=False)
    scaled.running_mean.fill_(float(weights["mean"]))
    scaled.running_var.fill_(float(weights["std"]) ** 2)
    net = nn.Sequential(scaled, *parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    return net.eval().requires_grad_(False)


def check_equal(ours: np.ndarray, theirs: np.ndarray, where: str) -> float:
    """The largest difference of the logits (B, K) of the same images; AssertionError above the tolerance."""
    found = float(np.abs(ours - theirs).max())
    assert found <= TOLERANCE, f"{where}: logits differ by {found:.2g}, expected at most {TOLERANCE:g}"
    return found
