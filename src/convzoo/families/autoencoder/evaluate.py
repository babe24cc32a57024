"""Measures an autoencoder's exported file, the one that ships, on the test images."""

import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convzoo.data.arrays import Split, evenly_spaced, load_array, load_split
from convzoo.data.contact_sheet import contact_sheet, in_rows, write_picture
from convzoo.errors import ConvzooError
from convzoo.families.autoencoder.settings import EvaluationSettings
from convzoo.files import new_folder, read_json, write_json
from convzoo.metrics.images import Fidelity, fidelity
from convzoo.metrics.latents import latent_map, pca_reconstructions, probe_accuracy
from convzoo.plots import BLUE, COLOURS, INK, ORANGE, picture
from convzoo.shipping.files import latency, rounded, shipped_model, shipped_part
from convzoo.shipping.model import Model, run_in_batches

BINS = 40  # of the histogram
TILE, GAP, MARGIN = 0.72, 0.06, 1.15  # inches: an image, the space around it, the names of rows
MAGNIFIED = 4  # differences are shown that much larger
MOST_CLASSES = 20  # that the map of latents tells apart by colour and name
TRAINING_COLUMNS = 12  # of the picture of train images
LINEAR_PATH = [  # rows of the picture of its weights
    "what each of the first latents looks for",
    "what each of the first latents paints",
    "what each of the last latents looks for",
    "what each of the last latents paints",
]

MAPS = {"pca": "first two principal components", "tsne": "t-SNE"}


def evaluate(network: str, settings: EvaluationSettings) -> dict[str, Any]:
    """Measure models/NETWORK/model.onnx on its test split: writes metrics.json and plots/, returns the metrics.

    Errors are in grey levels from 0 to 255, of rounded pixels, for the file as for principal component analysis with as
    many components. `psnr` is that of the mean squared error over all images, `image_psnr` the mean of each image's.
    Speed is printed and written nowhere, so that the files only change with the results. Raises ConvzooError where the
    files do not fit each other.
    """
    folder = Path("models") / network
    model, export = shipped_model(folder)
    encoder = shipped_part(folder, export, "encoder.onnx")
    prepared = Path("data/prepared") / export["dataset"]
    train, test = load_split(prepared / "train"), load_split(prepared / "test")
    images = np.asarray(test.images)
    if not len(images):
        raise ConvzooError(f"{prepared}/test: expected at least one image; prepare it again")
    started = time.perf_counter()
    made = run_in_batches(model, images, settings.batch_size, progress=network)
    seconds = time.perf_counter() - started
    latents = run_in_batches(encoder, images, settings.batch_size)

    try:
        found = {"autoencoder": fidelity(images, made)}
    except ValueError as error:
        raise ConvzooError(f"{model.path} on {prepared}/test: {error}") from error
    numbers = {"autoencoder": latents.shape[1]}
    shown = {"image": images, network: made}
    if latents.shape[1] < images[0].size:  # with as many components as values PCA is the identity
        fitted = train.images[evenly_spaced(len(train.images), settings.pca_images)]
        shown["PCA"] = pca_reconstructions(fitted, images, latents.shape[1])
        found["pca"] = fidelity(images, shown["PCA"])
        numbers["pca"] = min(latents.shape[1], len(fitted))
    metrics = rounded(_metrics(found, numbers, test.labels, export["classes"]))
    if export["classes"]:
        metrics["test_probe_accuracy"] = rounded(_probe(encoder, train, latents, test.labels, settings))

    with new_folder(folder / "plots") as plots:
        _draw_reconstructions(plots / "reconstructions.png", shown, found["autoencoder"], settings.shown)
        _draw_extremes(plots / "best_and_worst.png", images, made, found["autoencoder"], settings.shown)
        _draw_histogram(plots / "psnr.png", plots / "psnr_per_image.csv", found)
        _draw_map(plots / "latents.png", latents, test.labels, export["classes"], settings)
        _draw_training(plots, folder / "extra", network)
    write_json(folder / "metrics.json", metrics)

    beside = f", PCA with as many components {metrics['test_pca_psnr']:.2f} dB" if "pca" in found else ""
    probe = f"; linear probe {metrics['test_probe_accuracy']:.1%}" if export["classes"] else ""
    print(
        f"{network}: {len(images)} test images{_note(prepared)} from {latents.shape[1]} numbers each: PSNR "
        f"{metrics['test_psnr']:.2f} dB{beside}, SSIM {metrics['test_ssim']:.4f}{probe}"
    )
    speed, milliseconds = len(images) / seconds, latency(model, images[:1])
    print(f"{network}: {speed:.0f} images/s in batches of {settings.batch_size}, {milliseconds:.2f} ms for one")
    return metrics


def _metrics(
    found: dict[str, Fidelity], numbers: dict[str, int], labels: np.ndarray, classes: list[str]
) -> dict[str, Any]:
    metrics: dict[str, Any] = {"test_images": len(labels), "latent": numbers["autoencoder"]}
    for name, each in found.items():
        start = "test_" if name == "autoencoder" else f"test_{name}_"
        metrics |= {f"{start}{key}": value for key, value in each.summary().items()}
    if "pca" in found:
        metrics["test_psnr_above_pca"] = metrics["test_psnr"] - metrics["test_pca_psnr"]
    metrics["compared"] = {name: {"numbers": numbers[name], **each.summary()} for name, each in found.items()}
    by_class = {}
    for label, name in enumerate(classes):
        rows = labels == label
        if rows.any():
            by_class[name] = {"images": int(rows.sum()), **found["autoencoder"].select(rows).summary()}
    return metrics | ({"classes": by_class} if by_class else {})


def _probe(
    encoder: Model, train: Split, latents: np.ndarray, labels: np.ndarray, settings: EvaluationSettings
) -> float:
    rows = evenly_spaced(len(train.images), settings.probe_images)
    learned = run_in_batches(encoder, train.images[rows], settings.batch_size)
    return probe_accuracy(learned, train.labels[rows], latents, labels, settings.probe_iterations)


def _note(prepared: Path) -> str:
    """A word where images are drawn."""
    file = prepared / "meta.json"
    drawn = file.is_file() and read_json(file).get("source", {}).get("kind") == "synthetic"
    return f" of {prepared.name} (drawn by convzoo, not the real set)" if drawn else ""


def _draw_rows(path: Path, rows: dict[str, Sequence[np.ndarray]], captions: Sequence[str], title: str) -> None:
    """Rows of images, uint8 (H, W, C), each after its name; a caption below each column."""
    columns = max(map(len, rows.values()))
    step = TILE + GAP
    width, height = MARGIN + columns * step + GAP, 0.42 + len(rows) * step + 0.24
    with picture(path, max(width, 0.095 * len(title)), height) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1), frameon=False)
        axes.axis("off")
        axes.text(GAP, height - 0.1, title, fontsize=10, fontweight="bold", va="top")
        for row, (name, images) in enumerate(rows.items()):
            top = height - 0.42 - row * step
            axes.text(GAP, top - TILE / 2, name, va="center", fontsize=8, color=INK)
            for column, image in enumerate(images):
                left = MARGIN + column * step
                shown = image.squeeze(-1) if image.shape[-1] == 1 else image
                axes.imshow(shown, "gray", vmin=0, vmax=255, extent=(left, left + TILE, top - TILE, top))
        for column, caption in enumerate(captions):
            left = MARGIN + column * step + TILE / 2
            axes.text(left, 0.26, caption, ha="center", va="top", fontsize=7, color=INK)
        axes.set(xlim=(0, max(width, 0.095 * len(title))), ylim=(0, height))  # inches


def _differences(images: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Where the two differ, around a middle grey and magnified."""
    return np.clip(128 + MAGNIFIED * (made.astype(np.int16) - images), 0, 255).astype(np.uint8)


def _draw_reconstructions(path: Path, shown: dict[str, np.ndarray], found: Fidelity, most: int) -> None:
    rows = evenly_spaced(len(found.mse), most)
    pictures: dict[str, Sequence[np.ndarray]] = {}
    for name, images in shown.items():
        label = name if name in ("image", "PCA") else "reconstruction"
        pictures[label] = images[rows]
        if name != "image":
            pictures[f"its error,\n{MAGNIFIED} times" if label != "PCA" else f"PCA's error,\n{MAGNIFIED} times"] = (
                _differences(shown["image"][rows], images[rows])
            )
    captions = [f"{found.psnr[row]:.1f} dB" for row in rows]
    _draw_rows(path, pictures, captions, "Test images, what comes back, and the error (grey: none)")


def _draw_extremes(path: Path, images: np.ndarray, made: np.ndarray, found: Fidelity, most: int) -> None:
    order = np.argsort(found.psnr, kind="stable")
    count = max(min(most, len(order)) // 2, 1)
    rows = np.concatenate([order[::-1][:count], order[:count][::-1]])
    pictures = {"image": images[rows], "reconstruction": made[rows], f"error, {MAGNIFIED} times": None}
    pictures[f"error, {MAGNIFIED} times"] = _differences(images[rows], made[rows])
    captions = [f"{found.psnr[row]:.1f} dB" for row in rows]
    _draw_rows(path, pictures, captions, f"The {count} test images that come back best (left) and worst (right)")


def _draw_histogram(path: Path, table: Path, found: dict[str, Fidelity]) -> None:
    """The images by PSNR; the numbers of each image go into a CSV file beside it."""
    highest = max(float(each.psnr.max()) for each in found.values())
    edges = np.linspace(min(float(each.psnr.min()) for each in found.values()), highest + 1e-9, BINS + 1)
    with picture(path, 5.6, 3.6) as figure:
        axes = figure.subplots()
        for (name, each), colour in zip(found.items(), (BLUE, ORANGE), strict=False):
            counts, _ = np.histogram(each.psnr, edges)
            label = f"{'PCA' if name == 'pca' else name}: mean {each.psnr.mean():.2f} dB"
            axes.stairs(counts, edges, color=colour, fill=name == "autoencoder", alpha=0.55, label=label)
            axes.stairs(counts, edges, color=colour, linewidth=1.4)
        axes.set(title="Test images by PSNR", xlabel="PSNR of an image (dB)", ylabel="images")
        axes.legend()
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["image", *found])
        columns = (each.psnr for each in found.values())
        writer.writerows([number, *map(rounded, row)] for number, row in enumerate(zip(*columns, strict=True)))


def _draw_map(
    path: Path, latents: np.ndarray, labels: np.ndarray, classes: list[str], settings: EvaluationSettings
) -> None:
    rows = evenly_spaced(len(latents), settings.mapped)
    points = latent_map(latents[rows], settings.map)
    with picture(path, 7.2, 5.6) as figure:
        axes = figure.subplots()
        told = 1 < len(classes) <= MOST_CLASSES
        for label, name in enumerate(classes if told else [""]):
            here = points[labels[rows] == label] if told else points
            colour, marker = COLOURS[label % len(COLOURS)], "o^sDv"[label // len(COLOURS)]
            axes.scatter(here[:, 0], here[:, 1], s=14, color=colour, marker=marker, alpha=0.8, lw=0, label=name)
        axes.set(title=f"Latents of {len(rows)} test images: {MAPS[settings.map]}", xticks=[], yticks=[])
        if told:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", markerscale=1.6)


def _draw_training(plots: Path, extra: Path, network: str) -> None:
    """Train images as the network saw them, and the weights of its linear path if it has one."""
    images = load_array(extra / "training_images.npy", network)
    write_picture(contact_sheet(in_rows(images, TRAINING_COLUMNS)), plots / "training_images.png")
    if (extra / "linear_path.npy").is_file():
        write_picture(
            contact_sheet(load_array(extra / "linear_path.npy", network), LINEAR_PATH), plots / "linear_path.png"
        )
