"""Exported files, and what ONNX Runtime computes with them: one network per family, with fixed weights."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from convzoo.bits.inputs import floats, pixels
from convzoo.families.autoencoder import network as autoencoder
from convzoo.families.classifier import network as classifier
from convzoo.families.dcgan import network as dcgan
from convzoo.families.probabilities.network import PixelClassifier
from convzoo.shipping.model import Model
from convzoo.shipping.onnx import write_onnx
from convzoo.weights.backbones import SCALES, cut, whole

Operation = Callable[[], list[np.ndarray]]
MEAN, STD = [0.49, 0.48, 0.45], [0.25, 0.24, 0.26]
FAST = {"convolutions": 2, "pooling": "max", "whitening": False, "dirac": False, "logit_scale": 0.125}
CORRECTION = {"latent": 512, "features": 64, "strides": [4], "encoder_blocks": 1, "decoder_blocks": 2}


def _filled(module: nn.Module) -> nn.Module:
    """`module` in evaluation mode, with weights around zero and statistics of norms around one."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    with torch.no_grad():
        for number, (name, weight) in enumerate(tensors):
            if not weight.is_floating_point() or name in ("mean", "std"):
                continue
            fan = weight[0].numel() if weight.ndim > 1 else 1
            bound = (3 / fan) ** 0.5
            is_scale = weight.ndim == 1 and not name.endswith(("bias", "mean"))
            drawn = (
                floats(*weight.shape, low=0.5, high=1.5, seed=number)
                if is_scale
                else floats(*weight.shape, low=-bound, high=bound, seed=number)
            )
            weight.copy_(torch.from_numpy(drawn))
    return module.eval()


def _classifier(classes: int, activation: str, channels: int, side: int) -> list[np.ndarray]:
    body = classifier.build(
        "fast", {"channels": channels, "classes": classes, "activation": activation, "widths": [32, 64, 128], **FAST}
    )
    module = PixelClassifier(_filled(body), MEAN[:channels], STD[:channels], "mirror", 1.3)
    return _run(module, pixels(3, side, channels))


def _autoencoder() -> list[np.ndarray]:
    arguments = {"height": 32, "width": 32, "channels": 3, "activation": "gelu", **CORRECTION}
    return _run(autoencoder.PixelAutoencoder(_filled(autoencoder.build("fast", arguments))), pixels(3, 32, 3))


def _encoder() -> list[np.ndarray]:
    arguments = {"height": 32, "width": 32, "channels": 3, "activation": "gelu", **CORRECTION}
    return _run(autoencoder.PixelEncoder(_filled(autoencoder.build("fast", arguments))), pixels(3, 32, 3))


def _generator() -> list[np.ndarray]:
    generator = dcgan.Generator(latents=100, width=16, size=64, channels=3)
    return _run(dcgan.PixelGenerator(_filled(generator)), floats(3, 100))


def _discriminator() -> list[np.ndarray]:
    body = dcgan.Discriminator(width=32, size=28, channels=1, leak=0.2, norm="batch", spectral=False)
    return _run(dcgan.DiscriminatorFeatures(_filled(body)), pixels(3, 28, 1))


def _backbone() -> list[np.ndarray]:
    body = nn.Sequential(cut(whole("efficientnet-lite0")), nn.Linear(1280, 5))
    module = PixelClassifier(_filled(body), *SCALES["efficientnet-lite0"], "identity")
    return _run(module, pixels(2, 64, 3))


def _run(module: nn.Module, inputs: np.ndarray) -> list[np.ndarray]:
    """The bytes of the file, and what it computes."""
    with tempfile.TemporaryDirectory(prefix="convzoo-") as folder:
        file = Path(folder, "model.onnx")
        write_onnx(module, torch.from_numpy(inputs[:2]), "inputs", "outputs", file)
        return [np.frombuffer(file.read_bytes(), np.uint8), Model(file, portable=True)(inputs)]


OPERATIONS: dict[str, Operation] = {
    "ONNX Runtime, classifier of 10 classes": partial(_classifier, 10, "relu", 1, 28),
    "ONNX Runtime, classifier of 100 classes": partial(_classifier, 100, "gelu", 3, 32),
    "ONNX Runtime, autoencoder": _autoencoder,
    "ONNX Runtime, encoder": _encoder,
    "ONNX Runtime, generator": _generator,
    "ONNX Runtime, features of a discriminator": _discriminator,
    "ONNX Runtime, EfficientNet-Lite0": _backbone,
}
