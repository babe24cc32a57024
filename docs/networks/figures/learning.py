"""Figures of training: losses, optimizers, schedules, and the moving average of the weights."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor, nn

from convzoo.families.classifier.network import Fast
from convzoo.plots import BLUE, COLOURS, GREEN, GREY, INK, ORANGE, picture
from convzoo.training import optimizers
from convzoo.training.averaging import MovingAverage
from convzoo.training.optimizers import NEWTON_SCHULZ, orthogonal
from convzoo.training.schedules import factor
from figures.drawing import PALE, WIDTH, labelled, show_image
from figures.trained import Data

SMOOTHINGS = (0.0, 0.1, 0.3)
PATH_STEPS = 40
# Learning rates close to the best after PATH_STEPS in a grid of doublings.
PATHS = {
    "sgd": {"optimizer": "sgd", "learning_rate": 6.0, "momentum": 0.0},
    "sgd, momentum 0.9": {"optimizer": "sgd", "learning_rate": 1.0, "momentum": 0.9},
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 0.3, "momentum": 0.0},
    "adam": {"optimizer": "adam", "learning_rate": 1.0, "momentum": 0.9},
}
COMMON = {"beta2": 0.99, "weight_decay": 0.0, "muon_learning_rate": 0.1}
RACE = {
    "sgd, momentum 0.9": {"optimizer": "sgd", "learning_rate": 0.8, "momentum": 0.9},
    "adam": {"optimizer": "adam", "learning_rate": 0.1, "momentum": 0.9},
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 0.025, "momentum": 0.0},
    "muon": {"optimizer": "muon", "learning_rate": 0.8, "momentum": 0.9, "muon_learning_rate": 0.2},
}
RACE_BATCH, RACE_WIDTHS = 100, [8, 16]
AVERAGED = {"optimizer": "sgd", "learning_rate": 0.5, "momentum": 0.9}
SCHEDULES = ("constant", "linear", "cosine", "one_cycle", "step")


def draw_losses(path: Path, losses: np.ndarray, classes: int) -> None:
    """Draw cross-entropy by the true class's probability with label smoothing, and the losses (N,) of real images."""
    p = torch.linspace(0.001, 0.9999, 600)
    logits = torch.zeros(len(p), classes)
    logits[:, 0] = torch.log(p / (1 - p) * (classes - 1))  # the rest is spread evenly
    right = torch.zeros(len(p), dtype=torch.long)
    with picture(path, WIDTH, 2.75) as figure:
        left, other = figure.subplots(1, 2)
        for smoothing, colour in zip(SMOOTHINGS, COLOURS, strict=False):
            curve = F.cross_entropy(logits, right, label_smoothing=smoothing, reduction="none").numpy()
            least = curve.argmin()
            left.plot(p.numpy(), curve, color=colour, label=f"smoothing {smoothing:g}")
            left.plot(p[least], curve[least], "o", color=colour, markersize=5, clip_on=False)
        labelled(left, "Loss of an image", "probability of the right class", "cross-entropy, nats")
        left.set(xlim=(0, 1), ylim=(0, 6))
        left.legend(fontsize=8)
        edges = np.geomspace(max(losses.min(), 1e-4), losses.max() * 1.001, 40)
        other.hist(losses, edges, color=BLUE)
        other.axvline(losses.mean(), color=ORANGE, linewidth=1.4)
        other.text(
            losses.mean() * 1.1, other.get_ylim()[1] * 0.93, f"mean {losses.mean():.2f}", color=ORANGE, fontsize=8.5
        )
        other.axvline(np.log(classes), color=GREY, linewidth=1.2, linestyle="--")
        other.text(
            np.log(classes) * 0.9,
            other.get_ylim()[1] * 0.8,
            f"guessing: ln {classes}\n= {np.log(classes):.2f}",
            color=GREY,
            fontsize=8,
            va="top",
            ha="right",
        )
        other.set_xscale("log")
        labelled(other, "The val images of the trained network", "loss, nats", "images")


def halves(data: Data, no: int, yes: int) -> tuple[Tensor, Tensor]:
    """Return the ink on the left and right half of each image (N, 2), and whether it is a `yes` (N,)."""
    chosen = np.isin(data.train.labels, (no, yes))
    images = torch.from_numpy(np.asarray(data.train.images[chosen])).float().mean(dim=3) / 255
    middle = images.shape[2] // 2
    ink = torch.stack([images[:, :, :middle].mean(dim=(1, 2)), images[:, :, middle:].mean(dim=(1, 2))], dim=1)
    ink = (ink - ink.mean(0)) / ink.std()
    return ink, torch.from_numpy(data.train.labels[chosen] == yes).float()


def walk(x: Tensor, y: Tensor, start: tuple[float, float], steps: int, settings: dict) -> np.ndarray:
    """Return the path (steps + 1, 2) of two weights under an optimizer of training/optimizers.py."""
    model = nn.Linear(2, 1, bias=False)
    model.weight.data = torch.tensor([start])
    built = optimizers.build(model, **COMMON | settings)
    places = [model.weight.detach()[0].clone()]
    for _ in range(steps):
        F.binary_cross_entropy_with_logits(model(x)[:, 0], y).backward()
        for optimizer in built:
            optimizer.step()
            optimizer.zero_grad()
        places.append(model.weight.detach()[0].clone())
    return torch.stack(places).numpy()


def draw_paths(path: Path, data: Data, no: int, yes: int) -> None:
    """Draw paths of optimizers on a real loss surface: two weights that separate `yes` from `no` by its ink."""
    x, y = halves(data, no, yes)
    examples = [
        np.asarray(data.train.images[int(np.flatnonzero(data.train.labels == digit)[0])]) for digit in (no, yes)
    ]
    across, up = np.linspace(-5, 7, 121), np.linspace(-7, 3, 101)
    grid = torch.tensor(np.stack(np.meshgrid(across, up), axis=-1), dtype=torch.float32).reshape(-1, 2)
    z = grid @ x.T
    surface = F.binary_cross_entropy_with_logits(z, y.expand(len(z), -1), reduction="none").mean(1)
    surface = surface.reshape(len(up), len(across)).numpy()
    levels = surface.min() + np.geomspace(0.004, surface.max() - surface.min(), 14)
    best = np.unravel_index(surface.argmin(), surface.shape)
    with picture(path, WIDTH, 4.6) as figure:
        grids = figure.subplots(2, 2, sharex=True, sharey=True)
        for axes, (name, settings) in zip(grids.flat, PATHS.items(), strict=True):
            axes.contour(across, up, surface, levels, colors=PALE, linewidths=0.9)
            axes.plot(across[best[1]], up[best[0]], "*", color=GREEN, markersize=11, zorder=4)
            places = walk(x, y, (-4.0, -1.5), PATH_STEPS, settings)
            axes.plot(places[:, 0], places[:, 1], "o-", color=BLUE, linewidth=1.1, markersize=2.6)
            axes.plot(*places[0], "o", color=ORANGE, markersize=6)
            axes.grid(False)
            axes.set(xlim=(across[0], across[-1]), ylim=(up[0], up[-1]))
            labelled(axes, f"{name}, rate {settings['learning_rate']:g}")
        for axes in grids[1]:
            axes.set_xlabel("weight of the ink on the left", fontsize=8.5)
        for axes in grids[:, 0]:
            axes.set_ylabel("on the right", fontsize=8.5)
        for place, image in zip((0.03, 0.2), examples, strict=True):
            inset = grids[0, 0].inset_axes((place, 0.03, 0.16, 0.24))
            show_image(inset, image)
            inset.axvline(image.shape[1] / 2 - 0.5, color=ORANGE, linewidth=0.8)


def draw_muon(path: Path, gradient: Tensor) -> None:
    """Draw the effect of the Newton-Schulz iteration on singular values, also of a real `gradient` (out, in, h, w)."""
    a, b, c = NEWTON_SCHULZ
    x = np.linspace(0, 1, 400)
    matrix = gradient.flatten(1)
    with picture(path, WIDTH, 2.75) as figure:
        left, right = figure.subplots(1, 2)
        values = x
        left.plot(x, x, color=PALE, label="before")
        for times, colour in zip((1, 2, 3), (GREEN, ORANGE, BLUE), strict=True):
            values = a * values + b * values**3 + c * values**5
            left.plot(x, values, color=colour, label=f"{times} time{'s' * (times > 1)}")
        labelled(left, "The iteration on one singular value", "before, as a share of the norm", "after")
        left.legend(fontsize=8, loc="lower right")
        for times, colour in zip((0, 1, 2, 3), (PALE, GREEN, ORANGE, BLUE), strict=True):
            singular = torch.linalg.svdvals(orthogonal(matrix, times).double()).numpy()
            right.plot(range(1, len(singular) + 1), singular, color=colour)
        labelled(right, "All of a real gradient's", f"singular value (of {min(matrix.shape)}), the largest first", "")
        for axes in (left, right):
            axes.set(ylim=(0, 1.35))


def race(data: Data, settings: dict, steps: int, batch: int, widths: list[int]) -> tuple[list[float], nn.Module]:
    """Train a small network for a few steps, from fixed initial weights and batches, and return losses and network."""
    torch.manual_seed(0)
    channels = data.train.images.shape[3]
    network = Fast(channels, len(data.classes), "relu", widths, 2, "max", True, True, 0.125)
    network.whiten(data.sample(1000)[0])
    built = optimizers.build(network, **COMMON | settings)
    rng = np.random.default_rng(0)
    losses = []
    for step in range(steps):
        optimizers.set_rates(built, factor("one_cycle", step, steps, 0.2))
        x, labels = data.sample(batch, rng)
        loss = F.cross_entropy(network(x), labels)
        loss.backward()
        for optimizer in built:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    return losses, network


def draw_race(path: Path, data: Data, steps: int) -> None:
    """Draw the losses of a small network on the same batches of real images under four optimizers."""
    with picture(path, WIDTH, 2.7) as figure:
        axes = figure.subplots()
        for (name, settings), colour in zip(RACE.items(), COLOURS, strict=False):
            losses, _ = race(data, settings, steps, RACE_BATCH, RACE_WIDTHS)
            smooth = np.array([np.mean(losses[max(0, end - 5) : end]) for end in range(1, len(losses) + 1)])
            axes.plot(range(1, steps + 1), smooth, color=colour, label=name)
        labelled(axes, "The first steps of a small network", "step (a batch of 100)", "loss, mean of five steps")
        axes.set_yscale("log")
        axes.legend(fontsize=8)


def draw_schedules(path: Path, warmup: float, steps: int = 400) -> None:
    """Draw the learning rate over a training, as training/schedules.py computes it."""
    done = (np.arange(steps) + 0.5) / steps
    with picture(path, WIDTH, 2.2) as figure:
        for axes, name in zip(figure.subplots(1, len(SCHEDULES), sharey=True), SCHEDULES, strict=True):
            without = [factor(name, step, steps, 0.0) for step in range(steps)]
            axes.plot(done, without, "--", color=PALE, linewidth=1.4)
            axes.plot(done, [factor(name, step, steps, warmup) for step in range(steps)], color=BLUE)
            labelled(axes, name, "of training")
            axes.set(xlim=(0, 1), ylim=(0, 1.06), xticks=(0, 0.5, 1))
        figure.axes[0].set_ylabel("× learning_rate", fontsize=8.5)


def draw_average(path: Path, data: Data, decays: tuple[float, ...] = (0.9, 0.97), steps: int = 200) -> None:
    """Draw a real weight during training at a constant rate, and its exponential moving averages."""
    torch.manual_seed(0)
    network = Fast(data.train.images.shape[3], len(data.classes), "relu", [8, 16], 2, "max", True, True, 0.125)
    network.whiten(data.sample(1000)[0])
    averages = [MovingAverage(network, decay) for decay in decays]
    built = optimizers.build(network, **COMMON | AVERAGED)
    rng = np.random.default_rng(0)
    weights_by_step = []
    for _ in range(steps):
        x, labels = data.sample(16, rng)
        F.cross_entropy(network(x), labels).backward()
        for optimizer in built:
            optimizer.step()
            optimizer.zero_grad()
        for average in averages:
            average.update(network)
        models = [network, *(average.module for average in averages)]
        weights_by_step.append([model.head.weight.detach().flatten().numpy().copy() for model in models])
    paths = np.array(weights_by_step)[steps // 2 :]  # (steps / 2, 1 + decays, weights)
    length, distance = np.abs(np.diff(paths[:, 0], axis=0)).sum(axis=0), np.abs(paths[-1, 0] - paths[0, 0])
    restless = int((length / (distance + length.mean())).argmax())
    with picture(path, WIDTH, 2.3) as figure:
        axes = figure.subplots()
        step = range(steps // 2 + 1, steps + 1)
        axes.plot(step, paths[:, 0, restless], color=GREY, linewidth=1, label="a weight after each step")
        for number, (decay, colour) in enumerate(zip(decays, (BLUE, ORANGE), strict=False), 1):
            axes.plot(step, paths[:, number, restless], color=colour, label=f"its average, ema_decay {decay:g}")
        labelled(axes, "One weight of the last layer", "step", "its value")
        axes.legend(fontsize=8, labelcolor=INK)
