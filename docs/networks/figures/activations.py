"""Figures of activation functions, from the binary step to the softmax, and of their effect on gradients."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor, nn

from convzoo.families.classifier.network import ACTIVATIONS, Reference
from convzoo.plots import BLUE, COLOURS, INK, ORANGE, picture
from figures.drawing import PALE, WIDTH, bare, labelled, show_image
from figures.trained import Data

LIMIT = 3.5  # of the axis
DEPTH, CHANNELS = 12, 16  # of the network whose gradients are measured
COMPARED = ("sigmoid", "tanh", "relu", "gelu")
TEMPERATURES = (0.3, 1.0, 4.0)


class Step(nn.Module):
    """Return 1 for positive values, else 0."""

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)


def slopes(function: nn.Module, x: Tensor) -> Tensor:
    """Return the derivative of an activation function at `x` (N,); 0 if it has no gradient."""
    x = x.clone().requires_grad_()
    y = function(x)
    if not y.requires_grad:
        return torch.zeros_like(x)
    return torch.autograd.grad(y.sum(), x)[0]


def draw_activations(path: Path) -> None:
    """Draw the binary step and every activation function that params.yaml can select, with their derivatives."""
    order = ["sigmoid", "tanh", "softplus", "relu", "leaky_relu", "prelu", "elu", "gelu", "silu"]
    order += sorted(set(ACTIVATIONS) - set(order))
    functions = [("binary step", Step()), *((name, ACTIVATIONS[name]()) for name in order)]
    x = torch.linspace(-LIMIT, LIMIT, 701)
    with picture(path, WIDTH, 3.7) as figure:
        grid = figure.subplots(2, -(-len(functions) // 2), sharex=True, sharey=True)
        for axes in grid.flat[len(functions) :]:
            axes.remove()
        for axes, (name, function) in zip(grid.flat, functions, strict=False):
            with torch.no_grad():
                y = function(x)
            (derivative,) = axes.plot(x.numpy(), slopes(function, x).numpy(), "--", color=ORANGE, linewidth=1.2)
            (value,) = axes.plot(x.numpy(), y.numpy(), color=BLUE)
            axes.axhline(0, color=INK, linewidth=0.6)
            axes.axvline(0, color=INK, linewidth=0.6)
            labelled(axes, name)
            axes.set(xlim=(-LIMIT, LIMIT), ylim=(-1.35, 3.2), xticks=(-3, 0, 3), yticks=(-1, 0, 1, 2, 3))
        figure.legend(
            [value, derivative], ["the function", "its derivative"], loc="outside lower center", ncols=2, fontsize=8.5
        )


def gradient_norms(activation: str, x: Tensor, labels: Tensor, depth: int, channels: int, seed: int) -> list[float]:
    """Return the norm of the loss's gradient for the weights of each convolution of an untrained textbook network."""
    torch.manual_seed(seed)
    _, inputs, height, width = x.shape
    network = Reference(height, width, inputs, int(labels.max()) + 1, activation, [[channels] * depth], "same", 32, 0.0)
    F.cross_entropy(network(x), labels).backward()
    return [layer.weight.grad.norm().item() for layer in network.layers if isinstance(layer, nn.Conv2d)]


def draw_gradients(path: Path, data: Data, images: int = 100, depth: int = DEPTH, channels: int = CHANNELS) -> None:
    """Draw the size of the gradient in each layer of a deep network, by activation function."""
    x, labels = data.sample(images)
    with picture(path, WIDTH, 2.7) as figure:
        axes = figure.subplots()
        for activation, colour in zip(COMPARED, COLOURS, strict=False):
            norms = gradient_norms(activation, x, labels, depth, channels, seed=0)
            axes.plot(range(1, depth + 1), norms, "o-", color=colour, label=activation)
        axes.set_yscale("log")
        axes.set(xticks=range(1, depth + 1))
        labelled(axes, "The gradient that reaches each layer", "convolution, from the image to the loss", "its norm")
        axes.legend(fontsize=8.5, loc="lower right", ncols=len(COMPARED))


def draw_softmax(path: Path, image: np.ndarray, logits: np.ndarray, classes: list[str], fitted: float) -> None:
    """Draw an image, its logits (K,) and the probabilities that a softmax returns at several temperatures."""
    best = int(logits.argmax())
    colours = [BLUE if number == best else PALE for number in range(len(classes))]
    steps = [(value, f"T = {value:g}") for value in TEMPERATURES]
    steps = sorted([*steps, (fitted, f"T = {fitted:.2g}\n(fitted on val)")])
    with picture(path, WIDTH, 2.35) as figure:
        axes = figure.subplots(1, 2 + len(steps), width_ratios=[0.9, 1, *[1] * len(steps)])
        show_image(axes[0], image, "an image")
        axes[1].barh(classes, logits, color=colours)
        axes[1].axvline(0, color=INK, linewidth=0.6)
        panels = [(axes[1], "logits z")]
        for place, (temperature, title) in zip(axes[2:], steps, strict=True):
            shares = np.exp((logits - logits.max()) / temperature)
            shares /= shares.sum()
            place.barh(classes, shares, color=colours)
            place.set(xlim=(0, 1.32))
            for number in np.argsort(-shares, kind="stable")[:2]:
                place.text(shares[number] + 0.04, classes[number], f"{shares[number]:.0%}", fontsize=7, va="center")
            panels.append((place, title))
        for place, title in panels:
            bare(place, title).title.set_fontsize(8)
            place.set_yticks(range(len(classes)), classes, fontsize=7)
            place.tick_params(length=0, pad=2)
            place.invert_yaxis()
