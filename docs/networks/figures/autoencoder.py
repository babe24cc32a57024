"""The pictures of docs/networks/autoencoder.md."""

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
from convzoo.metrics.images import Fidelity, fidelity
from convzoo.metrics.latents import latent_map, probe_accuracy
from convzoo.plots import BLUE, INK, ORANGE, picture
from figures.drawing import PALE, WIDTH, bare, labelled, ring, show_image, show_map
from figures.trained import Data, described, load_data, load_weights

SHOWN = 6  # images
SIZES = (4, 16, 64, 256)  # numbers that principal components keep, beside the network's own
TEXTURED = 4  # of the shown images, the one that is damaged
EVEN = 20.0  # grey levels: the root mean square error that every damage of the picture has
AMPLIFIED = 8  # times: differences
PROBED = 360  # train images
PROBE_ITERATIONS = 100
RATIO, THUMB = 1.45, 0.022  # of the map: width to height, and half the side of an image on it
TRUNK = 8  # maps of the encoder that are shown


def draw(folder: Path, network: str = "cifar10-autoencoder") -> None:
    """Write the pictures to `folder`, from the trained network and its data.

    Raises ConvzooError where the pipeline has not made them.
    """
    about = described(Path("models", network, "architecture.json"), f"export@{network}")
    body = build(about["architecture"], about["arguments"])
    load_weights(body, Path("models", network, "weights.safetensors"), network)
    data = load_data(about["dataset"])
    val = np.asarray(data.val.images)
    images = val[evenly_spaced(len(val), SHOWN)]
    train = ImageSet([data.train], torch.device("cpu"))
    components = Components(*principal_components(train, body.linear["encoder"].out_features), images[0].shape)

    draw_way(folder / "autoencoder-way.png", body, images[1])
    draw_down(folder / "autoencoder-down.png", body, images[1])
    draw_components(folder / "autoencoder-components.png", components)
    baseline = draw_sizes(folder / "autoencoder-sizes.png", body, components, images, val)
    draw_damage(folder / "autoencoder-damage.png", images[TEXTURED])
    draw_history(folder / "autoencoder-history.png", Path("models", network, "history.csv"), baseline)
    draw_latents(folder / "autoencoder-latents.png", body, data)


@torch.no_grad()
def rebuilt(body: Fast, images: np.ndarray) -> np.ndarray:
    """The reconstructions uint8 (N, H, W, C) of images."""
    return to_pixels(body(floats(images))).numpy()


def floats(images: np.ndarray) -> Tensor:
    """Images uint8 (N, H, W, C) as the network meets them."""
    return to_floats(torch.from_numpy(images.copy()), *scale(torch.device("cpu")))


class Components(NamedTuple):
    """The mean picture (D,) and the first principal components (K, D) of images."""

    mean: Tensor
    found: Tensor
    shape: tuple[int, ...]  # (H, W, C)

    def network(self, latent: int) -> Fast:
        """A network with `latent` numbers as it starts: principal components, and corrections that are zero."""
        body = Fast(*self.shape, "relu", latent, 4, [1], 0, 0)
        body.start_at(self.mean, self.found[:latent])
        return body.eval()


@torch.no_grad()
def draw_way(path: Path, body: Fast, image: np.ndarray) -> None:
    """An image's way: the numbers that are left of it, what they become again, and what was lost."""
    latents = body.encode(floats(image[None]))
    made = to_pixels(body.decode(latents))[0].numpy()
    lost = (made.astype(np.float64) - image).mean(axis=2)
    count = latents.shape[1]
    columns = max(1, round(count**0.5 / 1.4))
    padded = np.full(-(-count // columns) * columns, np.nan)
    padded[:count] = latents[0].numpy()
    with picture(path, WIDTH, 2.25) as figure:
        axes = figure.subplots(1, 4)
        show_image(axes[0], image, "an image", f"{image.size} values")
        limit = float(np.percentile(np.abs(latents.numpy()), 98))
        show_map(axes[1], padded.reshape(-1, columns), "its latent", f"{count} numbers", limit)
        show_image(axes[2], made, "its reconstruction", f"PSNR {fidelity(image[None], made[None]).psnr[0]:.1f} dB")
        show_map(axes[3], lost, "what was lost", f"{np.abs(lost).mean():.1f} grey levels on average", 255 / AMPLIFIED)


@torch.no_grad()
def draw_down(path: Path, body: Fast, image: np.ndarray) -> None:
    """A strided convolution: a tile of the image becomes one number on each map."""
    x = floats(image[None]) - body.mean
    maps = body.encoder.down(x)[0]
    step = image.shape[0] // maps.shape[1]
    order = maps.flatten(1).std(1).argsort(descending=True)[:TRUNK].sort().values
    filters = body.encoder.down[0].weight[order]
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
    """The mean picture, and the first principal components as pictures."""
    mean, found = components.mean, components.found[:count]
    height, width, channels = components.shape
    shape = (channels, height, width)
    with picture(path, WIDTH, 2.1) as figure:
        grid = figure.subplots(2, count // 2 + 1)
        for axes in grid[:, 0]:
            bare(axes)
        show_image(grid[0, 0], to_pixels(mean.view(1, *shape))[0].numpy(), "mean")
        for number, component in enumerate(found):
            axes = grid[number // (count // 2), 1 + number % (count // 2)]
            pixels = component.view(1, *shape) / component.abs().max()
            show_image(axes, to_pixels(pixels)[0].numpy(), str(number + 1))


def draw_sizes(path: Path, body: Fast, components: Components, images: np.ndarray, val: np.ndarray) -> float:
    """Images from fewer and more numbers, and what the size of the latent costs; the PSNR (dB) on val of as many
    principal components as the network has numbers is returned.
    """
    own = body.linear["encoder"].out_features
    sizes = [size for size in SIZES if size < own]
    rows = [("image", images, None)]
    curve = []
    for size in sizes:
        small = components.network(size)
        curve.append((size, fidelity(val, rebuilt(small, val)).summary()["psnr"]))
        rows.append((f"{size} numbers", rebuilt(small, images), curve[-1][1]))
    curve.append((own, fidelity(val, rebuilt(components.network(own), val)).summary()["psnr"]))
    ours = fidelity(val, rebuilt(body, val)).summary()["psnr"]
    rows.append((f"{own}, trained", rebuilt(body, images), ours))
    with picture(path, WIDTH, 0.78 * len(rows)) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=[1.9, 1])
        grid = left.subplots(len(rows), len(images))
        for line, (name, made, _) in zip(grid, rows, strict=True):
            for axes, image in zip(line, made, strict=True):
                show_image(axes, image)
            line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        axes = right.subplots()
        axes.plot(*zip(*curve, strict=True), "o-", color=BLUE, label="principal components")
        axes.plot([own], [ours], "D", color=ORANGE, markersize=6, label="the trained network")
        axes.set_xscale("log", base=2)
        axes.set_xticks([size for size, _ in curve], [str(size) for size, _ in curve])
        labelled(axes, "PSNR on val, dB", "numbers in the latent")
        axes.legend(fontsize=7.5, loc="upper left")
    return curve[-1][1]


def damaged(image: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The image uint8 (H, W, C) changed in several ways, all with a root mean square error of EVEN grey levels."""
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
    made = []
    for name, change in changes:
        made.append((name, _with_error(x, change)))
    return made


def _with_error(x: np.ndarray, change: np.ndarray) -> np.ndarray:
    """`x` moved along `change` until the rounded image is EVEN grey levels away, or as far as 16 steps bring it."""
    low, high = 0.0, 64 * EVEN / max(float(np.sqrt(np.square(change).mean())), 1e-9)
    for _ in range(30):
        middle = (low + high) / 2
        made = np.clip(np.rint(x + middle * change), 0, 255)
        low, high = (middle, high) if np.sqrt(np.square(made - x).mean()) < EVEN else (low, middle)
    return np.clip(np.rint(x + low * change), 0, 255).astype(np.uint8)


def _blurred(x: np.ndarray) -> np.ndarray:
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16


def draw_damage(path: Path, image: np.ndarray) -> None:
    """The same error, and so the same PSNR, looks different; SSIM sees it."""
    shown = [("the image", image), *damaged(image)]
    found: Fidelity = fidelity(np.stack([image] * len(shown)), np.stack([made for _, made in shown]))
    with picture(path, WIDTH, 1.95) as figure:
        for number, (axes, (name, made)) in enumerate(zip(figure.subplots(1, len(shown)), shown, strict=True)):
            told = f"PSNR {found.psnr[number]:.1f} dB\nSSIM {found.ssim[number]:.3f}" if number else "PSNR ∞\nSSIM 1"
            show_image(axes, made, name, told)


def draw_history(path: Path, history: Path, baseline: float) -> None:
    """PSNR on val over the epochs, against principal components of the same size."""
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
def draw_latents(path: Path, body: Fast, data: Data) -> None:
    """Images at the places of their latents in two dimensions, and what a linear classifier reads from latents."""
    rows = evenly_spaced(len(data.train.labels), PROBED)
    images, labels = np.asarray(data.train.images[rows]), data.train.labels[rows]
    learned, measured = (body.encode(floats(part)).numpy() for part in (images, np.asarray(data.val.images)))
    accuracy = probe_accuracy(learned, labels, measured, data.val.labels, PROBE_ITERATIONS)
    places = latent_map(learned, "tsne").argsort(axis=0).argsort(axis=0) / (len(rows) - 1)  # spread out evenly
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
