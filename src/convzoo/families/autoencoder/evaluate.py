"""Evaluates an autoencoder's exported file on the test images."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.data.arrays import Split, evenly_spaced, load_array, load_split
from convzoo.data.contact_sheet import contact_sheet, in_rows, write_picture
from convzoo.errors import ConvzooError
from convzoo.families.autoencoder.settings import EvaluationSettings
from convzoo.families.evaluation import print_speed, synthetic_note, write_csv, write_results
from convzoo.files import new_folder, read_json
from convzoo.metrics.images import Fidelity, fidelity, psnr_interval
from convzoo.metrics.latents import latent_map, pca_reconstructions, probe_accuracy
from convzoo.plots import BLUE, COLOURS, INK, ORANGE, picture
from convzoo.shipping.files import rounded, shipped_model, shipped_part
from convzoo.shipping.model import Model, run_in_batches
from convzoo.text import percent

CONFIDENCE = 0.95  # of the interval around the PSNR
BINS = 40  # of the histogram
TILE, GAP, MARGIN = 0.72, 0.06, 1.15  # inches: an image, the space around it, the names of rows
MAGNIFIED = 4  # factor by which differences are shown larger
MOST_CLASSES = 20  # classes at most that the map of latents distinguishes by colour and name
TRAINING_COLUMNS = 12  # of the sheet of train images
LINEAR_PATH = [  # titles of the rows in the sheet of its weights
    "what each of the first latents looks for",
    "what each of the first latents paints",
    "what each of the last latents looks for",
    "what each of the last latents paints",
]

MAPS = {"pca": "first two principal components", "tsne": "t-SNE"}


class Evaluation(NamedTuple):
    """What the exported files compute from N test images."""

    images: np.ndarray  # uint8 (N, H, W, C)
    labels: np.ndarray  # int64 (N,)
    latents: np.ndarray  # float32 (N, L)
    reconstructions: dict[str, np.ndarray]  # uint8 (N, H, W, C) of `autoencoder`, and of `pca` if it is a baseline
    fidelity: dict[str, Fidelity]  # of the same
    numbers: dict[str, int]  # that each reconstruction is computed from
    seconds: float  # for all images, in batches


def evaluate(network: str, settings: EvaluationSettings) -> dict[str, Any]:
    """Evaluate models/NETWORK/model.onnx on its test split: write evaluation.json, metrics.json and plots/.

    Errors are those of rounded pixels, in grey levels from 0 to 255, for the file as for principal component analysis
    with as many components. `psnr` is that of the mean squared error over all images, `image_psnr` the mean of the
    images' PSNRs. Speed is only printed, so that the files change with the results alone. Raises ConvzooError if the
    files do not belong together.
    """
    folder = Path("models") / network
    model, export = shipped_model(folder)
    encoder = shipped_part(folder, export, "encoder.onnx")
    prepared = Path("data/prepared") / export["dataset"]
    train, test = load_split(prepared / "train"), load_split(prepared / "test")
    evaluation = _run_on_test(network, model, encoder, train, test, prepared / "test", settings)

    metrics = rounded(_metrics(evaluation, export["classes"]))
    if export["classes"]:
        metrics["test_probe_accuracy"] = rounded(_probe(encoder, train, evaluation, settings))

    with new_folder(folder / "plots") as plots:
        _draw_reconstructions(plots / "reconstructions.png", evaluation, settings.shown)
        _draw_extremes(plots / "best_and_worst.png", evaluation, settings.shown)
        _draw_histogram(plots / "psnr.png", evaluation.fidelity)
        _write_psnr(plots / "psnr_per_image.csv", evaluation.fidelity)
        if by_class := metrics.get("classes"):
            columns = ["images", "mse", "psnr", "image_psnr", "ssim"]
            rows = [(name, *map(row.get, columns)) for name, row in by_class.items()]
            write_csv(plots / "classes.csv", ["class", *columns], rows)
        _draw_map(plots / "latents.png", evaluation, export["classes"], settings)
        _draw_training(plots, folder / "extra", network)

    write_results(folder, metrics, "test_psnr", "test_ssim")

    _print_summary(network, prepared, evaluation, metrics)
    print_speed(network, model, evaluation.images, evaluation.seconds, settings.batch_size)
    return metrics


def _run_on_test(
    network: str, model: Model, encoder: Model, train: Split, test: Split, folder: Path, settings: EvaluationSettings
) -> Evaluation:
    """Reconstruct the test images with the file and, if there are fewer latents than pixel values, with PCA."""
    images = np.asarray(test.images)
    if not len(images):
        raise ConvzooError(f"{folder}: expected at least one image; prepare it again")
    started = time.perf_counter()
    reconstructions = {"autoencoder": run_in_batches(model, images, settings.batch_size, progress=network)}
    seconds = time.perf_counter() - started
    latents = run_in_batches(encoder, images, settings.batch_size)
    numbers = {"autoencoder": latents.shape[1]}
    if latents.shape[1] < images[0].size:  # with as many components as values PCA is the identity
        fitted = train.images[evenly_spaced(len(train.images), settings.pca_images)]
        reconstructions["pca"] = pca_reconstructions(fitted, images, latents.shape[1])
        numbers["pca"] = min(latents.shape[1], len(fitted))
    try:
        scores = {name: fidelity(images, outputs) for name, outputs in reconstructions.items()}
    except ValueError as error:
        raise ConvzooError(f"{model.path} on {folder}: {error}") from error
    return Evaluation(images, test.labels, latents, reconstructions, scores, numbers, seconds)


def _metrics(evaluation: Evaluation, classes: list[str]) -> dict[str, Any]:
    numbers, labels = evaluation.numbers, evaluation.labels
    metrics: dict[str, Any] = {"test_images": len(labels), "latent": numbers["autoencoder"]}
    for name, fidelity_of in evaluation.fidelity.items():
        prefix = "test_" if name == "autoencoder" else f"test_{name}_"
        metrics |= {f"{prefix}{key}": value for key, value in fidelity_of.summary().items()}
    mse = evaluation.fidelity["autoencoder"].mse
    if len(mse) > 1 and mse.any():
        metrics["test_psnr_low"], metrics["test_psnr_high"] = psnr_interval(mse, CONFIDENCE)
    if "pca" in evaluation.fidelity:
        metrics["test_psnr_above_pca"] = metrics["test_psnr"] - metrics["test_pca_psnr"]
    metrics["compared"] = {
        name: {"numbers": numbers[name], **fidelity_of.summary()} for name, fidelity_of in evaluation.fidelity.items()
    }
    by_class = {}
    for label, name in enumerate(classes):
        rows = labels == label
        if rows.any():
            summary = evaluation.fidelity["autoencoder"].select(rows).summary()
            by_class[name] = {"images": int(rows.sum()), **summary}
    return metrics | ({"classes": by_class} if by_class else {})


def _probe(encoder: Model, train: Split, evaluation: Evaluation, settings: EvaluationSettings) -> float:
    rows = evenly_spaced(len(train.images), settings.probe_images)
    latents = run_in_batches(encoder, train.images[rows], settings.batch_size)
    return probe_accuracy(latents, train.labels[rows], evaluation.latents, evaluation.labels, settings.probe_iterations)


def _print_summary(network: str, prepared: Path, evaluation: Evaluation, metrics: dict[str, Any]) -> None:
    file = prepared / "meta.json"
    note = synthetic_note(prepared.name, read_json(file)) if file.is_file() else ""
    pca = f", PCA with as many components {metrics['test_pca_psnr']:.2f} dB" if "test_pca_psnr" in metrics else ""
    probe = f"; linear probe {percent(metrics['test_probe_accuracy'], 1)}" if "test_probe_accuracy" in metrics else ""
    print(
        f"{network}: {len(evaluation.images)} test images{note} from {metrics['latent']} numbers each: PSNR "
        f"{metrics['test_psnr']:.2f} dB{pca}, SSIM {metrics['test_ssim']:.4f}{probe}"
    )


def _draw_rows(path: Path, rows: dict[str, Sequence[np.ndarray]], captions: Sequence[str], title: str) -> None:
    """Draw rows of images, uint8 (H, W, C), with their names on the left and a caption below each column."""
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


def _differences(images: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """Return the magnified differences of the two, around a middle grey."""
    return np.clip(128 + MAGNIFIED * (reconstructions.astype(np.int16) - images), 0, 255).astype(np.uint8)


def _draw_reconstructions(path: Path, evaluation: Evaluation, count: int) -> None:
    scores = evaluation.fidelity["autoencoder"]
    rows = evenly_spaced(len(scores.mse), count)
    images = evaluation.images[rows]
    pictures: dict[str, Sequence[np.ndarray]] = {"image": images}
    for name, outputs in evaluation.reconstructions.items():
        label, owner = ("PCA", "PCA's") if name == "pca" else ("reconstruction", "its")
        pictures[label] = outputs[rows]
        pictures[f"{owner} error,\n{MAGNIFIED} times"] = _differences(images, outputs[rows])
    captions = [f"{scores.psnr[row]:.1f} dB" for row in rows]
    _draw_rows(path, pictures, captions, "Test images, what comes back, and the error (grey: none)")


def _draw_extremes(path: Path, evaluation: Evaluation, count: int) -> None:
    scores = evaluation.fidelity["autoencoder"]
    order = np.argsort(scores.psnr, kind="stable")
    half = max(min(count, len(order)) // 2, 1)
    rows = np.concatenate([order[::-1][:half], order[:half][::-1]])
    images, reconstructions = evaluation.images[rows], evaluation.reconstructions["autoencoder"][rows]
    pictures: dict[str, Sequence[np.ndarray]] = {
        "image": images,
        "reconstruction": reconstructions,
        f"error, {MAGNIFIED} times": _differences(images, reconstructions),
    }
    captions = [f"{scores.psnr[row]:.1f} dB" for row in rows]
    _draw_rows(path, pictures, captions, f"The {half} test images that come back best (left) and worst (right)")


def _draw_histogram(path: Path, scores: dict[str, Fidelity]) -> None:
    highest = max(float(score.psnr.max()) for score in scores.values())
    edges = np.linspace(min(float(score.psnr.min()) for score in scores.values()), highest + 1e-9, BINS + 1)
    with picture(path, 5.6, 3.6) as figure:
        axes = figure.subplots()
        for (name, score), colour in zip(scores.items(), (BLUE, ORANGE), strict=False):
            counts, _ = np.histogram(score.psnr, edges)
            label = f"{'PCA' if name == 'pca' else name}: mean {score.psnr.mean():.2f} dB"
            axes.stairs(counts, edges, color=colour, fill=name == "autoencoder", alpha=0.55, label=label)
            axes.stairs(counts, edges, color=colour, linewidth=1.4)
        axes.set(title="Test images by PSNR", xlabel="PSNR of an image (dB)", ylabel="images")
        axes.legend()


def _write_psnr(path: Path, scores: dict[str, Fidelity]) -> None:
    columns = (score.psnr for score in scores.values())
    write_csv(path, ["image", *scores], [(number, *row) for number, row in enumerate(zip(*columns, strict=True))])


def _draw_map(path: Path, evaluation: Evaluation, classes: list[str], settings: EvaluationSettings) -> None:
    rows = evenly_spaced(len(evaluation.latents), settings.mapped)
    points, labels = latent_map(evaluation.latents[rows], settings.map), evaluation.labels[rows]
    with picture(path, 7.2, 5.6) as figure:
        axes = figure.subplots()
        coloured = 1 < len(classes) <= MOST_CLASSES
        for label, name in enumerate(classes if coloured else [""]):
            shown = points[labels == label] if coloured else points
            colour, marker = COLOURS[label % len(COLOURS)], "o^sDv"[label // len(COLOURS)]
            axes.scatter(shown[:, 0], shown[:, 1], s=14, color=colour, marker=marker, alpha=0.8, lw=0, label=name)
        axes.set(title=f"Latents of {len(rows)} test images: {MAPS[settings.map]}", xticks=[], yticks=[])
        if coloured:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", markerscale=1.6)


def _draw_training(plots: Path, extra: Path, network: str) -> None:
    """Draw the augmented train images, and the weights of the linear path if the network has one."""
    images = load_array(extra / "training_images.npy", network)
    write_picture(contact_sheet(in_rows(images, TRAINING_COLUMNS)), plots / "training_images.png")
    if (extra / "linear_path.npy").is_file():
        write_picture(
            contact_sheet(load_array(extra / "linear_path.npy", network), LINEAR_PATH), plots / "linear_path.png"
        )
