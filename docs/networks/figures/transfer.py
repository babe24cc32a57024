"""The figures of docs/networks/transfer.md."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor, nn

from convzoo.data.arrays import evenly_spaced
from convzoo.data.pixels import to_floats
from convzoo.families.transfer.augmentation import augment, draw_augmentation
from convzoo.families.transfer.network import Transfer, blocks, build
from convzoo.families.transfer.settings import FinetuneSettings, TrainingSettings
from convzoo.plots import BLUE, BLUES, COLOURS, GREEN, GREY, INK, ORANGE, picture
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from convzoo.weights.backbones import InvertedResidual, cut, resized, scale, whole
from figures.drawing import PALE, WIDTH, bare, labelled, scatter, show_image, show_map, show_mosaic, strongest
from figures.trained import Data, load_data, load_weights, read_output

NETWORK = "flowers-transfer"
RESIDUAL = "resnet50"  # untrained, for its gradients with and without skip connections
MEASURED, SIDE = 8, 64  # images for these gradients, and their side in pixels
SHOWN = 6
EPOCHS = 2  # of augmented images


def draw(folder: Path) -> None:
    """Write the figures to `folder`, from the trained network and its data.

    Raises ConvzooError if the pipeline has not written them.
    """
    architecture = read_output(Path("models", NETWORK, "architecture.json"), f"export@{NETWORK}")
    model = build(architecture["architecture"], architecture["arguments"])
    load_weights(model, Path("models", NETWORK, "weights.safetensors"), NETWORK)
    backbone = load_weights(
        cut(whole(architecture["architecture"])),
        Path("data/weights", architecture["weights"]["name"], "weights.safetensors"),
        NETWORK,
    )
    data = load_data(architecture["dataset"])
    settings = network_settings(read_params(), "networks", NETWORK)
    image = np.asarray(data.val.images[int(np.flatnonzero(data.val.labels == len(data.classes) - 1)[0])])

    draw_way(folder / "transfer-way.png", model, data, image, architecture)
    draw_residual(folder / "transfer-residual.png", backbone, image, settings.side)
    draw_gradients(folder / "transfer-gradients.png", data, MEASURED, SIDE)
    draw_features(folder / "transfer-features.png", backbone, data, settings.side)
    draw_rates(folder / "transfer-rates.png", model, settings)
    draw_history(folder / "transfer-history.png", Path("models", NETWORK, "history.csv"))
    draw_variants(folder / "transfer-variants.png", data, settings)


def scaled(images: np.ndarray, architecture: str, side: int) -> Tensor:
    """Convert images uint8 (N, H, W, 3) to inputs of a backbone, (N, 3, side, side)."""
    mean, std = (torch.tensor(values) for values in scale(architecture))
    return resized(to_floats(torch.from_numpy(images.copy()), mean, std), side)


@torch.no_grad()
def draw_way(path: Path, model: Transfer, data: Data, image: np.ndarray, architecture: dict[str, Any]) -> None:
    """Draw a flower, the backbone's maps from fine to coarse, the features, and the head's probabilities."""
    x = scaled(image[None], architecture["architecture"], model.side)
    stages = []
    hooks = [
        part.register_forward_hook(lambda module, inputs, outputs: stages.append(outputs[0]))
        for part in nn.ModuleList(list(model.backbone.children())).modules()
        if isinstance(part, nn.Sequential) and any(True for _ in part.children())
    ]
    features = model.backbone(x)
    probabilities = model.head(features).softmax(1)[0].numpy()
    for hook in hooks:
        hook.remove()
    sizes: dict[int, Tensor] = {}
    for maps in stages:
        if maps.ndim == 3 and maps.shape[1] > 1:
            sizes[maps.shape[1]] = maps  # the last of each size
    shown = list(sizes.values())
    with picture(path, WIDTH, 2.3) as figure:
        axes = figure.subplots(1, len(shown) + 3, width_ratios=[1, *[0.95] * len(shown), 0.45, 0.9])
        show_image(axes[0], image, "an image", "{} × {}".format(*image.shape[:2]))
        for place, maps in zip(axes[1:], shown, strict=False):
            show_mosaic(place, strongest(maps, 9), 3, "{} maps\nof {} × {}".format(*maps.shape), BLUES)
        values = features[0].numpy()
        columns = 16
        strip = np.full(-(-len(values) // columns) * columns, np.nan)
        strip[: len(values)] = values
        axes[-2].imshow(strip.reshape(-1, columns), BLUES, aspect="auto", vmin=0, vmax=float(np.quantile(values, 0.99)))
        bare(axes[-2], f"{len(values)}\nfeatures")
        best = int(probabilities.argmax())
        colours = [BLUE if number == best else PALE for number in range(len(data.classes))]
        axes[-1].barh(data.classes, probabilities, color=colours)
        bare(axes[-1], "the head")
        axes[-1].set_yticks(range(len(data.classes)), data.classes, fontsize=7)
        axes[-1].tick_params(length=0, pad=2)
        axes[-1].set(xlim=(0, 1.05))
        axes[-1].invert_yaxis()


@torch.no_grad()
def draw_residual(path: Path, backbone: nn.Module, image: np.ndarray, side: int) -> None:
    """Draw the input of a residual block, the output of its convolutions, and the sum."""
    x = scaled(image[None], "efficientnet-lite0", side)
    recorded: dict[str, Tensor] = {}
    chosen = next(module for module in backbone.modules() if isinstance(module, InvertedResidual) and module.skips)
    handle = chosen.register_forward_hook(lambda module, inputs, outputs: recorded.update(x=inputs[0][0], y=outputs[0]))
    backbone(x)
    handle.remove()
    order = recorded["y"].flatten(1).std(1).argsort(descending=True)[:6].sort().values
    rows = [("x", recorded["x"]), ("f(x)", recorded["y"] - recorded["x"]), ("x + f(x)", recorded["y"])]
    limit = float(np.quantile(np.abs(recorded["y"][order].numpy()), 0.995))
    with picture(path, WIDTH, 2.7) as figure:
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
        grid = figure.subplots(3, 7)
        for axes in grid[:, 0]:
            bare(axes)
        show_image(grid[1, 0], image)
        for line, (name, maps) in zip(grid, rows, strict=True):
            for place, channel in zip(line[1:], order, strict=True):
                show_map(place, maps[channel].numpy(), limit=limit)
            line[1].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)


def residual_gradients(images: Tensor, skip: bool, name: str = RESIDUAL) -> list[float]:
    """Return the norm of the gradient at the output of each residual block of an untrained ResNet, in order."""
    from torchvision.models.resnet import Bottleneck

    torch.manual_seed(0)
    network = whole(name).train()
    block_outputs: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, Bottleneck):
            if not skip:
                module.forward = _without_skip(module)
            module.register_forward_hook(lambda module, inputs, outputs: block_outputs.append(outputs))
    labels = torch.arange(len(images))
    loss = F.cross_entropy(network(images), labels)
    return [gradient.norm().item() for gradient in torch.autograd.grad(loss, block_outputs)]


def _without_skip(block: nn.Module):
    """Return a forward function of the block's convolutions alone."""

    def forward(x: Tensor) -> Tensor:
        x = F.relu(block.bn1(block.conv1(x)))
        x = F.relu(block.bn2(block.conv2(x)))
        return F.relu(block.bn3(block.conv3(x)))

    return forward


def draw_gradients(path: Path, data: Data, images: int, side: int) -> None:
    """Draw the gradient at each block of an untrained ResNet-50, with and without skip connections."""
    rows = evenly_spaced(len(data.train.labels), images)
    x = scaled(np.asarray(data.train.images[rows]), RESIDUAL, side)
    with picture(path, WIDTH, 2.5) as figure:
        axes = figure.subplots()
        for skip, colour, name in ((True, BLUE, "with skip connections"), (False, ORANGE, "without")):
            norms = residual_gradients(x, skip)
            axes.plot(range(1, len(norms) + 1), norms, "o-", color=colour, label=name)
        axes.set_yscale("log")
        axes.set_xticks(range(1, len(norms) + 1))
        labelled(axes, "The gradient that reaches each block", "block of an untrained ResNet-50", "its norm")
        axes.legend(fontsize=8.5)


@torch.no_grad()
def draw_features(path: Path, backbone: nn.Module, data: Data, side: int) -> None:
    """Draw pixels and a frozen backbone's features in two dimensions, and the accuracy of linear heads on both."""
    parts = [np.asarray(split.images) for split in (data.train, data.val)]
    features = [
        torch.cat(
            [
                backbone(scaled(part[start : start + 50], "efficientnet-lite0", side))
                for start in range(0, len(part), 50)
            ]
        )
        for part in parts
    ]
    pixels = [F.adaptive_avg_pool2d(scaled(part, "efficientnet-lite0", side), 16).flatten(1) for part in parts]
    with picture(path, WIDTH, 3.3) as figure:
        axes = figure.subplots(1, 3, width_ratios=[1, 1, 0.55])
        accuracies = []
        for place, (train, val), name in ((axes[0], pixels, "pixels"), (axes[1], features, "features")):
            middle, spread = train.mean(0), train.std(0) + 1e-6
            train, val = (train - middle) / spread, (val - middle) / spread
            _, _, directions = torch.pca_lowrank(train, 8, niter=4)
            scatter(place, (train @ directions[:, :2]).numpy(), data.train.labels, data.classes, COLOURS)
            bare(place, f"{name}: the two directions\nthat vary most")
            weights = _ridge(train, torch.from_numpy(data.train.labels), len(data.classes))
            accuracies.append((name, float(((val @ weights).argmax(1).numpy() == data.val.labels).mean())))
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=5, fontsize=8, markerscale=2
        )
        axes[2].bar([name for name, _ in accuracies], [value for _, value in accuracies], 0.6, color=[PALE, BLUE])
        for number, (_, value) in enumerate(accuracies):
            axes[2].text(number, value + 0.02, f"{value:.0%}", ha="center", fontsize=8.5, color=INK)
        labelled(axes[2], "a linear head,\nright on val")
        axes[2].set(ylim=(0, 1.05))


def _ridge(x: Tensor, labels: Tensor, classes: int, penalty: float = 100.0) -> Tensor:
    """Fit a linear classifier (D, K) by ridge regression on standardised x (N, D)."""
    targets = F.one_hot(labels, classes).float() - 1 / classes
    gram = x @ x.T + penalty * torch.eye(len(x))
    return x.T @ torch.linalg.solve(gram, targets)


def draw_rates(path: Path, model: Transfer, settings: TrainingSettings) -> None:
    """Draw the learning rate of each part of the network in both methods."""
    parts = blocks(model.backbone)
    phase = settings.finetune
    tuned = [phase.learning_rate * phase.layer_decay**depth for depth in range(min(phase.blocks, len(parts)))]
    names = [*(str(number) for number in range(1, len(parts) + 1)), "head"]
    ways = [
        ("features: the head alone", [0.0] * len(parts) + [settings.features.learning_rate]),
        (
            "finetune: then the top blocks too",
            [0.0] * (len(parts) - len(tuned)) + [*reversed(tuned), phase.learning_rate],
        ),
    ]
    with picture(path, WIDTH, 2.3) as figure:
        for axes, (title, rates) in zip(figure.subplots(1, 2), ways, strict=True):
            axes.bar(names, rates, color=[BLUE] * len(parts) + [ORANGE])
            for number, rate in enumerate(rates):
                if not rate:
                    axes.text(number, 0, "❄", ha="center", va="bottom", fontsize=8, color=GREY)
            labelled(axes, title, "block, from the image up", "learning rate")


def draw_history(path: Path, history: Path) -> None:
    """Draw accuracy and loss by epoch, over both phases."""
    with history.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    epochs = np.array([int(row["epoch"]) for row in rows])
    tuning = np.array([int(row["phase"]) == 2 for row in rows])
    with picture(path, WIDTH, 2.3) as figure:
        for axes, kind, title in zip(figure.subplots(1, 2), ("accuracy", "loss"), ("Accuracy", "Loss"), strict=True):
            for split, colour in (("train", PALE), ("val", BLUE)):
                axes.plot(epochs, [float(row[f"{split}_{kind}"]) for row in rows], "o-", color=colour, label=split)
            if tuning.any():
                axes.axvspan(epochs[tuning][0] - 0.5, epochs[-1] + 0.5, color=GREEN, alpha=0.08)
                axes.text(
                    epochs[-1] + 0.4,
                    0.5,
                    "fine-tuning",
                    transform=axes.get_xaxis_transform(),
                    ha="right",
                    fontsize=8,
                    color=GREEN,
                )
            axes.set_xticks(epochs[:: max(1, len(epochs) // 10)])
            labelled(axes, title, "epoch")
            axes.legend(fontsize=8)


def draw_variants(path: Path, data: Data, settings: TrainingSettings) -> None:
    """Draw augmented images of fine-tuning: cropped, mirrored, with jittered colours."""
    rows = evenly_spaced(len(data.train.labels), SHOWN)
    images = torch.from_numpy(np.asarray(data.train.images[rows]))
    phase: FinetuneSettings = settings.finetune
    lines = [("as they are", images.float())]
    for number in range(EPOCHS):
        draws = draw_augmentation(len(images), phase, torch.Generator().manual_seed(number))
        augmented = augment(images, draws, settings.side)
        lines.append((f"epoch {number + 1}", augmented))
    with picture(path, WIDTH, 1.05 * len(lines)) as figure:
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
        for line, (name, augmented) in zip(figure.subplots(len(lines), SHOWN), lines, strict=True):
            for axes, pixels in zip(line, augmented.round().clamp(0, 255).to(torch.uint8).numpy(), strict=True):
                show_image(axes, pixels)
            line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
