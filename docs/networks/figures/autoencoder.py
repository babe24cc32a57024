"""The figures of docs/networks/autoencoder.md."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from convzoo.data.arrays import evenly_spaced
from convzoo.data.batches import ImageSet
from convzoo.data.pixels import to_floats
from convzoo.families.autoencoder.network import Fast, build, scale, to_pixels
from convzoo.families.autoencoder.train import principal_components
from convzoo.metrics.images import fidelity
from convzoo.metrics.latents import latent_map, probe_accuracy
from convzoo.plots import BLUE, INK, ORANGE, picture
from figures.drawing import PALE, WIDTH, bare, labelled, ring, show_image, show_map
from figures.trained import Data, load_data, load_weights, read_output

SHOWN = 6  # images
SIZES = (4, 16, 64, 256)  # principal components, besides as many as the network has latents
TEXTURED = 4  # index of the image to damage
DAMAGE = 20.0  # grey levels: the root mean square error of every damaged image
AMPLIFIED = 8  # factor by which differences are shown larger
PROBED = 360  # train images
PROBE_ITERATIONS = 100
RATIO, THUMB = 1.45, 0.022  # of the map: width to height, and half the side of an image on it
MAPS = 8  # feature maps of the encoder to show


def draw(folder: Path, network: str = "cifar10-autoencoder") -> None:
    """Write the figures to `folder`, from the trained network and its data.

    Raises ConvzooError if the pipeline has not written them.
    """
    architecture = read_output(Path("models", network, "architecture.json"), f"export@{network}")
    model = build(architecture["architecture"], architecture["arguments"])
    load_weights(model, Path("models", network, "weights.safetensors"), network)
    data = load_data(architecture["dataset"])
    val = np.asarray(data.val.images)
    images = val[evenly_spaced(len(val), SHOWN)]
    train = ImageSet([data.train], torch.device("cpu"))
    components = Components(*principal_components(train, model.linear["encoder"].out_features), images[0].shape)

    draw_way(folder / "autoencoder-way.png", model, images[1])
    draw_down(folder / "autoencoder-down.png", model, images[1])
    draw_components(folder / "autoencoder-components.png", components)
    baseline = draw_sizes(folder / "autoencoder-sizes.png", model, components, images, val)
    draw_damage(folder / "autoencoder-damage.png", images[TEXTURED])
    draw_history(folder / "autoencoder-history.png", Path("models", network, "history.csv"), baseline)
    draw_latents(folder / "autoencoder-latents.png", model, data)


@torch.no_grad()
def reconstructed(model: Fast, images: np.ndarray) -> np.ndarray:
    """Reconstruct images, as uint8 (N, H, W, C)."""
    return to_pixels(model(floats(images))).numpy()


def floats(images: np.ndarray) -> Tensor:
    """Convert images uint8 (N, H, W, C) to inputs of the network."""
    return to_floats(torch.from_numpy(images.copy()), *scale(torch.device("cpu")))


class Components(NamedTuple):
    """The mean (D,) and the first principal components (K, D) of images."""

    mean: Tensor
    vectors: Tensor
    shape: tuple[int, ...]  # (H, W, C)

    def network(self, latent: int) -> Fast:
        """Build an untrained network with `latent` numbers: principal components, and corrections of zero."""
        model = Fast(*self.shape, "relu", latent, 4, [1], 0, 0)
        model.start_at(self.mean, self.vectors[:latent])
        return model.eval()


@torch.no_grad()
def draw_way(path: Path, model: Fast, image: np.ndarray) -> None:
    """Draw an image, its latent, its reconstruction and the error."""
    latents = model.encode(floats(image[None]))
    reconstruction = to_pixels(model.decode(latents))[0].numpy()
    error = (reconstruction.astype(np.float64) - image).mean(axis=2)
    count = latents.shape[1]
    columns = max(1, round(count**0.5 / 1.4))
    padded = np.full(-(-count // columns) * columns, np.nan)
    padded[:count] = latents[0].numpy()
    with picture(path, WIDTH, 2.25) as figure:
        axes = figure.subplots(1, 4)
        show_image(axes[0], image, "an image", f"{image.size} values")
        limit = float(np.percentile(np.abs(latents.numpy()), 98))
        show_map(axes[1], padded.reshape(-1, columns), "its latent", f"{count} numbers", limit)
        psnr = fidelity(image[None], reconstruction[None]).psnr[0]
        show_image(axes[2], reconstruction, "its reconstruction", f"PSNR {psnr:.1f} dB")
        show_map(axes[3], error, "what was lost", f"{np.abs(error).mean():.1f} grey levels on average", 255 / AMPLIFIED)


@torch.no_grad()
def draw_down(path: Path, model: Fast, image: np.ndarray) -> None:
    """Draw a strided convolution, which maps a tile of the image to one number on each feature map."""
    x = floats(image[None]) - model.mean
    maps = model.encoder.down(x)[0]
    step = image.shape[0] // maps.shape[1]
    order = maps.flatten(1).std(1).argsort(descending=True)[:MAPS].sort().values
    filters = model.encoder.down[0].weight[order]
    with picture(path, WIDTH, 1.9) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=[1, 3.2])
        axes = left.subplots()
        show_image(axes, image, "an image", f"in tiles of {step} × {step}")
        for line in range(step, image.shape[0], step):
            axes.axhline(line - 0.5, color="white", linewidth=0.5)
            axes.axvline(line - 0.5, color="white", linewidth=0.5)
        ring(axes, step * 3, step * 2, step, step, ORANGE)
        grid = right.subplots(2, len(order), height_ratios=[0.6, 1])
        for column, (weights, values) in enumerate(zip(filters, maps[order], strict=True)):
            colours = weights.permute(1, 2, 0).numpy() / float(weights.abs().max()) * 127 + 128
            show_image(grid[0, column], colours.round().clip(0, 255).astype(np.uint8))
            show_map(grid[1, column], values.numpy())
            ring(grid[1, column], 3, 2, colour=ORANGE)
        shape = " × ".join(map(str, maps.shape[1:]))
        right.suptitle(f"filters, and their maps of {shape} ({len(order)} of {len(maps)})", fontsize=9, color=INK)


def draw_components(path: Path, components: Components, count: int = 16) -> None:
    """Draw the mean and the first principal components as images."""
    mean, vectors = components.mean, components.vectors[:count]
    height, width, channels = components.shape
    shape = (channels, height, width)
    with picture(path, WIDTH, 2.1) as figure:
        grid = figure.subplots(2, count // 2 + 1)
        for axes in grid[:, 0]:
            bare(axes)
        show_image(grid[0, 0], to_pixels(mean.view(1, *shape))[0].numpy(), "mean")
        for number, component in enumerate(vectors):
            axes = grid[number // (count // 2), 1 + number % (count // 2)]
            pixels = component.view(1, *shape) / component.abs().max()
            show_image(axes, to_pixels(pixels)[0].numpy(), str(number + 1))


def draw_sizes(path: Path, model: Fast, components: Components, images: np.ndarray, val: np.ndarray) -> float:
    """Draw reconstructions from latents of several sizes, and PSNR on val by size.

    Returns the PSNR (dB) on val of as many principal components as the network has latents.
    """
    latent = model.linear["encoder"].out_features
    sizes = [size for size in SIZES if size < latent]
    rows = [("image", images, None)]
    curve = []
    for size in sizes:
        small = components.network(size)
        curve.append((size, fidelity(val, reconstructed(small, val)).summary()["psnr"]))
        rows.append((f"{size} numbers", reconstructed(small, images), curve[-1][1]))
    curve.append((latent, fidelity(val, reconstructed(components.network(latent), val)).summary()["psnr"]))
    trained = fidelity(val, reconstructed(model, val)).summary()["psnr"]
    rows.append((f"{latent}, trained", reconstructed(model, images), trained))
    with picture(path, WIDTH, 0.78 * len(rows)) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=[1.9, 1])
        grid = left.subplots(len(rows), len(images))
        for line, (name, outputs, _) in zip(grid, rows, strict=True):
            for axes, image in zip(line, outputs, strict=True):
                show_image(axes, image)
            line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        axes = right.subplots()
        axes.plot(*zip(*curve, strict=True), "o-", color=BLUE, label="principal components")
        axes.plot([latent], [trained], "D", color=ORANGE, markersize=6, label="the trained network")
        axes.set_xscale("log", base=2)
        axes.set_xticks([size for size, _ in curve], [str(size) for size, _ in curve])
        labelled(axes, "PSNR on val, dB", "numbers in the latent")
        axes.legend(fontsize=7.5, loc="upper left")
    return curve[-1][1]


def damaged(image: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Damage an image uint8 (H, W, C) in several ways, all with a root mean square error of DAMAGE grey levels."""
    rng = np.random.default_rng(0)
    x = image.astype(np.float64)
    noise = rng.standard_normal(x.shape)
    blurred = _blurred(_blurred(x))
    blocks = np.kron(rng.choice([-1.0, 1.0], (x.shape[0] // 8 + 1, x.shape[1] // 8 + 1)), np.ones((8, 8)))
    changes = [
        ("lighter", np.ones_like(x)),
        ("less contrast", x.mean() - x),
        ("noise", noise),
        ("blurred", blurred - x),
        ("blocks", blocks[: x.shape[0], : x.shape[1], None] * np.ones_like(x)),
    ]
    return [(name, _with_error(x, change)) for name, change in changes]


def _with_error(x: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Move `x` along `change` until the rounded image is DAMAGE grey levels away, or as close as possible."""
    low, high = 0.0, 64 * DAMAGE / max(float(np.sqrt(np.square(change).mean())), 1e-9)
    for _ in range(30):
        middle = (low + high) / 2
        moved = np.clip(np.rint(x + middle * change), 0, 255)
        low, high = (middle, high) if np.sqrt(np.square(moved - x).mean()) < DAMAGE else (low, middle)
    return np.clip(np.rint(x + low * change), 0, 255).astype(np.uint8)


def _blurred(x: np.ndarray) -> np.ndarray:
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16


def draw_damage(path: Path, image: np.ndarray) -> None:
    """Draw images with the same PSNR that look different and differ in SSIM."""
    shown = [("the image", image), *damaged(image)]
    scores = fidelity(np.stack([image] * len(shown)), np.stack([changed for _, changed in shown]))
    with picture(path, WIDTH, 1.95) as figure:
        for number, (axes, (name, changed)) in enumerate(zip(figure.subplots(1, len(shown)), shown, strict=True)):
            caption = (
                f"PSNR {scores.psnr[number]:.1f} dB\nSSIM {scores.ssim[number]:.3f}" if number else "PSNR ∞\nSSIM 1"
            )
            show_image(axes, changed, name, caption)


def draw_history(path: Path, history: Path, baseline: float) -> None:
    """Draw PSNR on val by epoch, with that of as many principal components."""
    with history.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    epochs = [0, *(int(row["epoch"]) for row in rows)]
    with picture(path, WIDTH, 2.2) as figure:
        axes = figure.subplots()
        axes.plot(epochs, [baseline, *(float(row["val_psnr"]) for row in rows)], "o-", color=BLUE)
        axes.axhline(baseline, color=ORANGE, linestyle="--", linewidth=1.3)
        axes.text(epochs[-1], baseline, "principal components", color=ORANGE, ha="right", va="bottom", fontsize=8.5)
        axes.set_xticks(epochs)
        axes.margins(y=0.2)
        labelled(axes, "PSNR on val, dB", "epoch (0: before the training)")


@torch.no_grad()
def draw_latents(path: Path, model: Fast, data: Data) -> None:
    """Draw images at their projected latents, and the accuracy of a linear probe of the latents."""
    rows = evenly_spaced(len(data.train.labels), PROBED)
    images, labels = np.asarray(data.train.images[rows]), data.train.labels[rows]
    train_latents, val_latents = (model.encode(floats(part)).numpy() for part in (images, np.asarray(data.val.images)))
    accuracy = probe_accuracy(train_latents, labels, val_latents, data.val.labels, PROBE_ITERATIONS)
    places = latent_map(train_latents, "tsne").argsort(axis=0).argsort(axis=0) / (len(rows) - 1)  # spread out evenly
    with picture(path, WIDTH, 3.9) as figure:
        axes, bars = figure.subplots(1, 2, width_ratios=[3.4, 1])
        bare(axes, f"{len(rows)} train images, placed by their latents (t-SNE, spread out evenly)")
        for place, image in zip(places, images, strict=True):
            left, bottom = place[0] * RATIO, place[1]
            axes.imshow(
                image.squeeze(-1) if image.shape[-1] == 1 else image,
                "gray",
                vmin=0,
                vmax=255,
                extent=(left - THUMB, left + THUMB, bottom - THUMB, bottom + THUMB),
            )
        axes.set(xlim=(-THUMB, RATIO + THUMB), ylim=(-THUMB, 1 + THUMB), aspect="equal")
        heights = [("guessing", 1 / len(data.classes)), ("from the\nlatents", accuracy)]
        bars.bar([name for name, _ in heights], [value for _, value in heights], 0.6, color=[PALE, BLUE])
        for number, (_, value) in enumerate(heights):
            bars.text(number, value + 0.02, f"{value:.0%}", ha="center", fontsize=8.5, color=INK)
        labelled(bars, "right on val")
        bars.set(ylim=(0, 1))
