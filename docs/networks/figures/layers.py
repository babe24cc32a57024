"""Figures of a classifier's layers: convolution, whitening, pooling, normalisation, and all of them on one digit."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)

from convzoo.families.classifier.network import Fast
from convzoo.plots import BLUE, BLUES, INK, ORANGE, picture
from figures.drawing import (
    PALE,
    WIDTH,
    bare,
    labelled,
    ring,
    show_image,
    show_map,
    show_mosaic,
    strongest,
    write_numbers,
)
from figures.trained import Data

SHOWN = 8  # maps of a layer
PATCH = 8  # pixels: the side of the patch shown in numbers
STATISTICS_IMAGES = 500  # for the distributions of activations
WHITENING_IMAGES = 2000  # images whose patches are shown


def first_of(data: Data, label: int) -> np.ndarray:
    """Return the first val image of a class, uint8 (H, W, C)."""
    return np.asarray(data.val.images[int(np.flatnonzero(data.val.labels == label)[0])])


@torch.no_grad()
def draw_way(path: Path, model: Fast, data: Data, image: np.ndarray) -> None:
    """Draw an image, the feature maps after each part of the network, and the probabilities."""
    x = model.stem_act(model.stem(data.floats(image[None])))
    stages = [("stem", x[0])]
    for number, block in enumerate(model.blocks, 1):
        x = block(x)
        stages.append((f"block {number}", x[0]))
    probabilities = (model.head(model.pooled(x)) * model.logit_scale).softmax(1)[0].numpy()

    with picture(path, WIDTH, 2.75) as figure:
        figure.set_layout_engine("none")
        sizes = [1.1, *[0.95] * len(stages), 1.25]
        lefts = np.cumsum([0, *sizes]) + 0.22 * np.arange(len(sizes) + 1)
        scale = (WIDTH - 0.2) / (lefts[-1] - 0.22)
        places = [(left * scale + 0.1, size * scale) for left, size in zip(lefts, sizes, strict=False)]

        def column(number: int, height: float, bottom: float):
            left, width = places[number]
            return figure.add_axes((left / WIDTH, bottom / 2.75, width / WIDTH, height / 2.75))

        first = column(0, 1.1 * scale, 0.75)
        show_image(first, image, "an image", "{} × {} pixels".format(*image.shape[:2]))
        for number, (name, maps) in enumerate(stages, 1):
            axes = column(number, 2.0, 0.35)
            show_mosaic(axes, strongest(maps, SHOWN), 2, name, BLUES)
            axes.set_xlabel("{} maps\n{} × {}".format(*maps.shape), fontsize=8, color=INK)
        axes = column(len(stages) + 1, 1.75, 0.5)
        rows = np.argsort(-probabilities, kind="stable")[:10] if len(data.classes) > 10 else range(len(data.classes))
        best = probabilities.argmax()
        axes.barh([data.classes[row] for row in rows], probabilities[list(rows)], color=PALE)
        axes.barh([data.classes[best]], [probabilities[best]], color=BLUE)
        axes.invert_yaxis()
        bare(axes, "probabilities")
        axes.set_yticks(range(len(rows)), [data.classes[row] for row in rows], fontsize=7)
        axes.set(xlim=(0, 1.3))
        axes.tick_params(length=0, pad=2)
        axes.text(probabilities[best] + 0.03, data.classes[best], f"{probabilities[best]:.0%}", fontsize=7, va="center")


@torch.no_grad()
def draw_convolution(path: Path, model: Fast, data: Data, image: np.ndarray) -> None:
    """Draw a filter's sum at one place in numbers, and all filters of the stem with their feature maps."""
    x = data.floats(image[None])
    maps = model.stem(x)[0].numpy()
    filters = model.stem.weight.mean(dim=1).numpy()  # of colour filters, the mean over the channels
    number = 1  # the first one looks at the mean of a patch, this one at its strongest contrast
    side = 6
    top, left = _busiest(x[0, 0].numpy(), side)
    patch = x[0, 0, top : top + side, left : left + side].numpy()
    sums = maps[number, top : top + side - 1, left : left + side - 1]
    row, column = np.unravel_index(np.abs(sums).argmax(), sums.shape)
    with picture(path, WIDTH, 4.6) as figure:
        upper, lower = figure.subfigures(2, 1, height_ratios=[1.7, 1])
        axes = upper.subplots(1, 4, width_ratios=[1, 1.25, 0.5, 1.1])
        show_image(axes[0], image, "the image", "the frame is enlarged beside it")
        ring(axes[0], top, left, side, side, ORANGE)
        limit = float(np.abs(patch).max())
        show_map(axes[1], patch, "a piece of it, as floats", "pixels x", limit)
        write_numbers(axes[1], patch, limit=limit)
        ring(axes[1], row, column, 2, 2, ORANGE)
        kernel = model.stem.weight[number, 0].numpy()
        show_map(axes[2], kernel, "one filter", "its weights w")
        write_numbers(axes[2], kernel, pattern="{:.2f}")
        reach = float(np.abs(sums).max())
        show_map(axes[3], sums, "the sums", "map y", reach)
        write_numbers(axes[3], sums, limit=reach)
        ring(axes[3], row, column, colour=ORANGE)
        terms = zip(kernel.flatten(), patch[row : row + 2, column : column + 2].flatten(), strict=True)
        formula = " + ".join(f"({weight:.2f} · {pixel:.1f})" for weight, pixel in terms)
        if x.shape[1] == 1:
            upper.supxlabel(f"{formula} + {float(model.stem.bias[number]):.2f} = {sums[row, column]:.1f}", fontsize=8)

        shown = min(SHOWN, len(maps))
        axes = lower.subplots(2, shown, height_ratios=[0.4, 1])
        limit = float(np.percentile(np.abs(maps), 99.5))
        for index in range(shown):
            show_map(axes[0, index], filters[index], limit=float(np.abs(filters[index]).max()))
            show_map(axes[1, index], maps[index], limit=limit)
            if index == number:
                ring(axes[1, index], 0, 0, *maps[index].shape, ORANGE)
        lower.suptitle(
            f"the filters of the stem and what each makes of the image ({shown} of {len(maps)})", fontsize=9, color=INK
        )


@torch.no_grad()
def draw_whitening(path: Path, model: Fast, data: Data) -> None:
    """Draw the correlation of neighbouring pixels, and of the outputs of whitening filters."""
    x, _ = data.sample(WHITENING_IMAGES)
    patches = x.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
    size = patches.shape[1]
    filters = model.stem.weight[:size]
    outputs = F.conv2d(x, filters).permute(0, 2, 3, 1).flatten(0, 2)
    chosen = torch.linspace(0, len(patches) - 1, 3000).round().long()
    with picture(path, WIDTH, 3.5) as figure:
        upper, lower = figure.subfigures(2, 1, height_ratios=[3.2, 1])
        axes = upper.subplots(1, 3, width_ratios=[1, 1, 1.15])
        for place, values, title, across, up in (
            (axes[0], patches, "two neighbouring pixels", "a pixel (red)", "its right neighbour"),
            (axes[1], outputs, "two filters' outputs", "filter 1", "filter 2"),
        ):
            pairs = values[chosen][:, :2].numpy()
            place.plot(pairs[:, 0], pairs[:, 1], ".", color=BLUE, markersize=2, alpha=0.3, markeredgewidth=0)
            reach = float(np.quantile(np.abs(pairs), 0.998))
            place.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
            correlation = abs(np.corrcoef(values[:, :2].T.numpy())[0, 1])
            labelled(place, title, across, up)
            place.text(
                0.96,
                0.04,
                f"correlation {correlation:.2f}",
                transform=place.transAxes,
                ha="right",
                fontsize=8,
                color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
            )
        numbers = np.arange(1, size + 1)
        axes[2].plot(numbers, _spreads(patches), "o-", color=ORANGE, label="patches")
        axes[2].plot(numbers, outputs.double().square().mean(0).sqrt().numpy(), "o-", color=BLUE, label="whitened")
        labelled(axes[2], "spread by direction", "direction (eigenvector)", "root mean square")
        axes[2].set_yscale("log")
        axes[2].set_xticks(numbers)
        axes[2].legend(fontsize=8, loc="lower left")
        tiles = lower.subplots(1, size)
        for number, (tile, weights) in enumerate(zip(tiles, filters, strict=True), 1):
            colours = weights.permute(1, 2, 0).numpy() / float(weights.abs().max()) * 127 + 128
            show_image(tile, colours.round().clip(0, 255).astype(np.uint8), str(number))


@torch.no_grad()
def draw_pooling(path: Path, model: Fast, data: Data, image: np.ndarray) -> None:
    """Draw max-pooling step by step on a feature map."""
    block = model.blocks[0]

    def maps(pixels: np.ndarray) -> torch.Tensor:
        return block.conv1(model.stem_act(model.stem(data.floats(pixels[None]))))[0]

    before = maps(image)
    channel = int(before.flatten(1).std(1).argsort()[-3])
    whole = before[channel].numpy()
    pooled = block.pool(before[channel][None])[0].numpy()
    top, left = (value // 2 * 2 for value in _busiest(whole, PATCH))
    patch = whole[top : top + PATCH, left : left + PATCH]
    half = pooled[top // 2 : (top + PATCH) // 2, left // 2 : (left + PATCH) // 2]
    limit = float(np.abs(patch).max())
    with picture(path, WIDTH, 3.05) as figure:
        axes = figure.subplots(1, 4, width_ratios=[1, 1.6, 1, 0.6])
        show_map(axes[0], whole, "a map of block 1", "{} × {}".format(*whole.shape), limit)
        ring(axes[0], top, left, PATCH, PATCH)
        show_map(axes[1], patch, "the framed piece", "the greatest of each 2 × 2 is framed", limit)
        write_numbers(axes[1], patch, 6.5, limit=limit)
        for row in range(0, PATCH, 2):
            for column in range(0, PATCH, 2):
                place = np.unravel_index(patch[row : row + 2, column : column + 2].argmax(), (2, 2))
                ring(axes[1], row + place[0], column + place[1], colour=ORANGE)
        for line in range(2, PATCH, 2):
            axes[1].axhline(line - 0.5, color="white", linewidth=2)
            axes[1].axvline(line - 0.5, color="white", linewidth=2)
        show_map(axes[2], half, "what is kept", limit=limit)
        write_numbers(axes[2], half, 6.5, limit=limit)
        show_map(axes[3], pooled, "all of it", "{} × {}".format(*pooled.shape), limit)
        ring(axes[3], top // 2, left // 2, PATCH // 2, PATCH // 2)


@torch.no_grad()
def draw_normalisation(path: Path, model: Fast, data: Data) -> None:
    """Draw the distribution of a layer's maps before BatchNorm, standardised, and after the learned scale and shift."""
    block = model.blocks[0]
    x = block.pool(block.conv1(model.stem_act(model.stem(data.sample(STATISTICS_IMAGES)[0]))))
    mean, deviation = x.mean(dim=(0, 2, 3), keepdim=True), x.std(dim=(0, 2, 3), keepdim=True)
    scaled = (x - mean) / deviation
    shifted = scaled * block.norm1.weight[:, None, None] + block.norm1.bias[:, None, None]
    steps = [(x, "out of the convolution"), (scaled, "standardised"), (shifted, "scaled and shifted again")]
    with picture(path, WIDTH, 2.4) as figure:
        for axes, (values, title) in zip(figure.subplots(1, 3), steps, strict=True):
            means, deviations = (statistic(dim=(0, 2, 3)).numpy() for statistic in (values.mean, values.std))
            axes.vlines(range(len(means)), means - deviations, means + deviations, color=PALE, linewidth=3.2)
            axes.plot(range(len(means)), means, ".", color=BLUE)
            labelled(axes, title, f"the {len(means)} maps of the layer")
            axes.set_xticks([])
            axes.set(ylim=(-1.9, 1.9) if values is not x else None)
        figure.axes[0].set_yscale("symlog", linthresh=1)
        figure.axes[0].set_ylabel("mean ± standard deviation", fontsize=8.5)


@torch.no_grad()
def draw_dirac(path: Path, model: Fast, fresh: Fast, data: Data, image: np.ndarray) -> None:
    """Draw the input of a block's first convolution and its output, before training (the identity) and after."""
    stem = model.stem_act(model.stem(data.floats(image[None])))

    def scaled(maps: torch.Tensor) -> np.ndarray:
        return (maps / maps.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-6))[: stem.shape[1]].numpy()

    shown = [
        (scaled(stem[0]), "the maps that come into block 1"),
        (scaled(fresh.blocks[0].conv1(stem)[0]), "after its convolution, untrained"),
        (scaled(model.blocks[0].conv1(stem)[0]), "after its convolution, trained"),
    ]
    with picture(path, WIDTH, 1.65) as figure:
        for axes, (maps, title) in zip(figure.subplots(1, 3), shown, strict=True):
            show_mosaic(axes, maps, 4, title)


def _busiest(values: np.ndarray, side: int) -> tuple[int, int]:
    """Return row and column of the square of `side` cells in which a map varies most."""
    height, width = values.shape
    spread = {
        (row, column): float(values[row : row + side, column : column + side].std())
        for row in range(height - side + 1)
        for column in range(width - side + 1)
    }
    return max(spread, key=lambda place: (spread[place], place))


def _spreads(patches: torch.Tensor) -> np.ndarray:
    """Return the root mean squares of patches (N, D) along their eigenvectors, the largest first."""
    second = patches.double().T @ patches.double() / len(patches)
    return torch.linalg.eigvalsh(second).flip(0).clamp(min=0).sqrt().numpy()
