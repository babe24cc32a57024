"""Figures of a generative adversarial network: its players, objective, training and evaluation."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor, nn

from convzoo.data.arrays import evenly_spaced
from convzoo.families.dcgan.augmentation import diff_augment, draw_augmentation
from convzoo.families.dcgan.latents import choosing, latents, walk
from convzoo.families.dcgan.network import Discriminator, Generator, samples, to_pixels, to_signed
from convzoo.families.dcgan.settings import AugmentSettings
from convzoo.metrics.distances import frechet_distance
from convzoo.metrics.features import FeatureNetwork
from convzoo.metrics.kid import kid
from convzoo.plots import BLUE, BLUES, COLOURS, GREEN, GREY, INK, ORANGE, picture
from convzoo.shipping.model import Model
from figures.drawing import (
    PALE,
    WIDTH,
    labelled,
    ring,
    show_image,
    show_map,
    show_mosaic,
    strongest,
    write_numbers,
)
from figures.trained import Data

SEED = 1
SHOWN = 8
COUNTS = (25, 50, 100, 200, 360)  # images on each side of a distance
REPEATS = 5
EPOCHS_SHOWN = 6
ROWS = 3  # of images by class
PROBED = 64  # images in a batch of the discriminator


@torch.no_grad()
def draw_players(path: Path, generator: Generator, discriminator: Discriminator, data: Data, early: Tensor) -> None:
    """Draw real and generated digits with the discriminator's probabilities; those in `early` are of epoch 1."""
    rows = evenly_spaced(len(data.val.images), PROBED)
    count = len(rows)
    noise = latents(count, generator.layers[0].in_channels, SEED)
    parts = [
        ("real", torch.from_numpy(np.asarray(data.val.images[rows])), GREEN),
        ("generated,\nepoch 1", early[:count], GREY),
        ("generated,\nepoch kept", torch.from_numpy(samples(generator, noise)), BLUE),
    ]
    with picture(path, WIDTH, 2.5) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=[2.1, 1])
        grid = left.subplots(len(parts), SHOWN)
        axes = right.subplots()
        for line, (name, images, colour) in zip(grid, parts, strict=True):
            discriminator.train()  # as in training: BatchNorm on a batch of one kind
            probabilities = discriminator(to_signed(images)).sigmoid().numpy()
            chosen = evenly_spaced(len(images), SHOWN)
            for place, row in zip(line, chosen, strict=True):
                show_image(place, images[row].numpy(), "", f"{probabilities[row]:.2f}")
            line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
            axes.hist(probabilities, np.linspace(0, 1, 21), color=colour, alpha=0.6, label=name.replace("\n", " "))
        labelled(axes, "What D says", "probability of being real", "images")
        axes.legend(fontsize=7.5)
    discriminator.eval()


@torch.no_grad()
def draw_transposed(path: Path) -> None:
    """Draw a transposed convolution with stride 2 in numbers: each input adds its multiple of the filter."""
    x = torch.tensor([[[[1.0, 2.0], [3.0, -1.0]]]])
    layer = nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)
    layer.weight.data = torch.tensor([1.0, 2.0, 2.0, 1.0]).outer(torch.tensor([1.0, 2.0, 2.0, 1.0]))[None, None] / 4
    whole = F.conv_transpose2d(x, layer.weight, stride=2)[0, 0].numpy()
    alone = torch.zeros_like(x)
    alone[0, 0, 0, 0] = x[0, 0, 0, 0]
    stamp = F.conv_transpose2d(alone, layer.weight, stride=2)[0, 0].numpy()
    limit = float(np.abs(whole).max())
    with picture(path, WIDTH, 2.35) as figure:
        axes = figure.subplots(1, 4, width_ratios=[0.55, 0.8, 1.2, 1.2])
        panels = [
            (x[0, 0].numpy(), "a small map", ""),
            (layer.weight[0, 0].numpy(), "the filter", ""),
            (stamp, "one stamp", "1 × the filter"),
            (whole, "all four, added up", "framed: what padding leaves, 4 × 4"),
        ]
        for place, (values, title, caption) in zip(axes, panels, strict=True):
            show_map(place, values, title, caption, limit)
            write_numbers(place, values, 6.5, "{:.4g}", limit)
        ring(axes[0], 0, 0, colour=ORANGE)
        ring(axes[2], 0, 0, 4, 4, ORANGE)
        ring(axes[3], 1, 1, 4, 4, INK)
        assert np.allclose(layer(x)[0, 0].numpy(), whole[1:5, 1:5])


@torch.no_grad()
def draw_way(path: Path, generator: Generator) -> None:
    """Draw the feature maps of the generator, from a latent to an image."""
    z = torch.from_numpy(latents(1, generator.layers[0].in_channels, SEED + 1))
    stages, x = [], z[:, :, None, None]
    for layer in generator.layers:
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            stages.append(x[0])
    with picture(path, WIDTH, 2.4) as figure:
        axes = figure.subplots(1, len(stages) + 2, width_ratios=[0.5, *[1] * len(stages), 1])
        show_map(axes[0], z.numpy().reshape(-1, 5), "z", f"{z.shape[1]} numbers")
        for place, maps in zip(axes[1:-1], stages, strict=True):
            show_mosaic(place, strongest(maps, 9), 3, "{} maps of {} × {}".format(*maps.shape), BLUES)
        show_image(axes[-1], to_pixels(x)[0].numpy(), "G(z)")


def draw_objective(path: Path) -> None:
    """Draw the generator's saturating and non-saturating losses, their gradients, and the hinge losses."""
    a = torch.linspace(-6, 6, 400, requires_grad=True)
    curves = [
        ("ln(1 − D)", torch.log(1 - a.sigmoid()), ORANGE),
        ("−ln D", F.softplus(-a), BLUE),
        ("hinge: −a", -a, GREEN),
    ]
    with picture(path, WIDTH, 2.5) as figure:
        values, slopes, hinge = figure.subplots(1, 3)
        for name, value, colour in curves:
            [slope] = torch.autograd.grad(value.sum(), a, retain_graph=True)
            values.plot(a.detach(), value.detach(), color=colour, label=name)
            slopes.plot(a.detach(), slope.abs(), color=colour, label=name)
        labelled(values, "What G lowers", "D's logit a on a generated image", "loss")
        labelled(slopes, "How hard it is pulled", "D's logit a", "size of the gradient")
        values.legend(fontsize=7.5)
        with torch.no_grad():
            hinge.plot(a, F.softplus(-a), color=PALE, label="bce, real")
            hinge.plot(a, F.softplus(a), "--", color=PALE, label="bce, generated")
            hinge.plot(a, F.relu(1 - a), color=BLUE, label="hinge, real")
            hinge.plot(a, F.relu(1 + a), "--", color=BLUE, label="hinge, generated")
        labelled(hinge, "What D lowers", "D's logit a", "loss")
        hinge.legend(fontsize=7)
        for axes in (values, slopes, hinge):
            axes.axvline(0, color=INK, linewidth=0.6)
            axes.set(ylim=None if axes is values else (0, None))


def draw_history(path: Path, history: list[dict[str, Any]], kept: int) -> None:
    """Draw losses, the discriminator's mean probabilities, and KID on val, by epoch."""
    epochs = [row["epoch"] for row in history]
    panels = [
        ("Losses", [("train_discriminator_loss", "D"), ("train_generator_loss", "G")]),
        ("The discriminator's outputs", [("train_real_probability", "D(x)"), ("train_fake_probability", "D(G(z))")]),
        ("KID to val", [("val_kid", "")]),
    ]
    with picture(path, WIDTH, 2.4) as figure:
        for axes, (title, columns) in zip(figure.subplots(1, len(panels)), panels, strict=True):
            for (column, name), colour in zip(columns, COLOURS, strict=False):
                axes.plot(epochs, [row[column] for row in history], color=colour, label=name)
            labelled(axes, title, "epoch")
            if len(columns) > 1:
                axes.legend(fontsize=8)
            else:
                axes.set_yscale("log")
                axes.axvline(kept, color=ORANGE, linestyle="--", linewidth=1.2)
                axes.text(kept, axes.get_ylim()[1], " kept ", color=ORANGE, fontsize=8, va="top", ha="right")
        figure.axes[1].set_ylim(0, 1)
        figure.axes[1].axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")


def draw_epochs(path: Path, frames: dict[int, Tensor]) -> None:
    """Draw images of the same latents over the epochs."""
    epochs = list(frames)
    last = len(epochs) - 1
    chosen = sorted({round(last ** (step / (EPOCHS_SHOWN - 1))) if step else 0 for step in range(EPOCHS_SHOWN)})
    with picture(path, WIDTH, 0.66 * len(chosen)) as figure:
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01)
        grid = np.atleast_2d(figure.subplots(len(chosen), 2 * SHOWN - 4))
        for line, number in zip(grid, chosen, strict=True):
            for axes, image in zip(line, frames[epochs[number]].numpy(), strict=False):
                show_image(axes, image)
            line[0].set_ylabel(f"epoch {epochs[number]}", rotation=0, ha="right", va="center", fontsize=8)


def draw_walk(path: Path, generator: Generator, steps: int = 11) -> None:
    """Draw spherical interpolations between latents, and the lengths on arcs and on straight lines."""
    size = generator.layers[0].in_channels
    ends = latents(4, size, SEED + 3)
    ways = walk(ends, steps)
    share = np.linspace(0, 1, steps)[:, None]
    straight = (1 - share) * ends[0] + share * ends[1]
    norms = np.linalg.norm(latents(2000, size, SEED + 4), axis=1)
    with picture(path, WIDTH, 2.2) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=[2.6, 1])
        left.get_layout_engine().set(w_pad=0.01, h_pad=0.01)
        for line, way in zip(left.subplots(len(ways), steps), ways, strict=True):
            for axes, image in zip(line, samples(generator, way), strict=True):
                show_image(axes, image)
        axes = right.subplots()
        axes.axhspan(*np.quantile(norms, (0.01, 0.99)), color=PALE, alpha=0.6, label="98 % of all latents")
        axes.plot(share, np.linalg.norm(ways[0], axis=1), color=BLUE, label="arc")
        axes.plot(share, np.linalg.norm(straight, axis=1), color=ORANGE, label="straight")
        labelled(axes, "Length of z", "of the way")
        axes.set(ylim=(0, norms.max() * 1.1))
        axes.legend(fontsize=7.5, loc="lower left")


def draw_classes(path: Path, generator: Model) -> None:
    """Draw images of a conditional generator: each row with the same latents but those that choose the class."""
    names = generator.described["classes"]
    noise = latents(ROWS, generator.input.shape[1], SEED + 5)
    columns = [generator(choosing(noise, len(names), index)) for index in range(len(names))]
    with picture(path, WIDTH, 2.4) as figure:
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01)
        for row, line in enumerate(figure.subplots(ROWS, len(names))):
            for axes, images, name in zip(line, columns, names, strict=True):
                show_image(axes, images[row], name if row == 0 else "")


def draw_changes(path: Path, images: np.ndarray) -> None:
    """Draw images under each change of differentiable augmentation."""
    x = to_signed(torch.from_numpy(images))
    side = images.shape[1]
    none = {"flip": False, "shift": 0, "brightness": 0.0, "saturation": 0.0, "contrast": 0.0, "cutout": 0}
    rows = [
        ("as they are", {}),
        ("flip", {"flip": True}),
        (f"shift: {side // 8}", {"shift": side // 8}),
        ("colour", {"brightness": 0.5, "saturation": 1.0, "contrast": 0.5}),
        (f"cutout: {side // 2}", {"cutout": side // 2}),
    ]
    with picture(path, WIDTH, 1.35 * len(rows) * 0.78) as figure:
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
        for line, (name, change) in zip(figure.subplots(len(rows), len(images)), rows, strict=True):
            settings = AugmentSettings.model_validate(none | change)
            draws = draw_augmentation(len(x), side, side, settings, torch.Generator().manual_seed(SEED))
            augmented = to_pixels(diff_augment(x, settings, draws).clamp(-1, 1)).numpy()
            for axes, image in zip(line, augmented, strict=True):
                show_image(axes, image)
            line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)


def draw_distances(path: Path, features: FeatureNetwork, data: Data, generator: Generator) -> None:
    """Draw Frechet distance and KID by the number of images, of real and of generated digits against real ones."""
    real = features(np.asarray(data.train.images))
    generated = features(samples(generator, latents(2 * max(COUNTS), generator.layers[0].in_channels, SEED)))
    counts = [count for count in COUNTS if 2 * count <= len(real)]
    rng = np.random.default_rng(SEED)
    values_of: dict[str, list[list[tuple[float, float]]]] = {"real": [], "generated": []}
    for count in counts:
        for name, other in (("real", real), ("generated", generated)):
            values = []
            for _ in range(REPEATS):
                order = rng.permutation(len(real))
                left = real[order[:count]]
                right = real[order[count : 2 * count]] if name == "real" else other[rng.permutation(len(other))[:count]]
                values.append((frechet_distance(left, right), kid(left, right)))
            values_of[name].append(values)
    with picture(path, WIDTH, 2.6) as figure:
        for number, (axes, title) in enumerate(zip(figure.subplots(1, 2), ("Frechet distance", "KID"), strict=True)):
            for (name, rows), colour in zip(values_of.items(), (GREEN, BLUE), strict=True):
                values = np.array(rows)[:, :, number]
                axes.errorbar(
                    counts,
                    values.mean(1),
                    values.std(1),
                    fmt="o-",
                    color=colour,
                    capsize=3,
                    label=f"{name} digits against real ones",
                )
            axes.set_xscale("log")
            axes.set_xticks(counts, [str(count) for count in counts])
            axes.minorticks_off()
            axes.axhline(0, color=INK, linewidth=0.6)
            labelled(axes, title, "images on each side")
        figure.axes[0].legend(fontsize=8)
