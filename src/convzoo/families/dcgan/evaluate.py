"""Evaluates a generator's exported file by comparing the features of generated and real images."""

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from convzoo.data.arrays import Split, evenly_spaced, load_split
from convzoo.errors import ConvzooError
from convzoo.families.dcgan.latents import chosen_classes, latents
from convzoo.families.dcgan.pictures import draw_training
from convzoo.families.dcgan.settings import EvaluationSettings
from convzoo.families.evaluation import write_results
from convzoo.files import new_folder, read_json
from convzoo.metrics import distances
from convzoo.metrics.features import FeatureNetwork
from convzoo.metrics.kid import kid_error
from convzoo.plots import BLUE, GREEN, GREY, ORANGE, gallery, picture
from convzoo.shipping.files import rounded, shipped_model, shipped_part
from convzoo.shipping.model import Model, run_in_batches

MIN_IMAGES_PER_FEATURE = 2  # with fewer, a Frechet distance is mostly bias
NEIGHBOURS = 6  # generated images in the plot of nearest real ones
ITERATIONS = 300  # of the linear probe
CONFIDENCE = 0.95  # of the intervals around KID and the probe's accuracy


class FeatureSet(NamedTuple):
    """N images and their features."""

    images: np.ndarray  # uint8 (N, H, W, C)
    features: np.ndarray  # float32 (N, D)


def evaluate(network: str, settings: EvaluationSettings) -> dict[str, Any]:
    """Evaluate images that models/NETWORK/model.onnx generates: write evaluation.json, metrics.json and plots/.

    Against train and against test: the Frechet distance, KID (the mean over subsets, and the spread of a single one),
    precision and recall; the same of test against train show what a perfect generator would reach. With labels, also
    the accuracy on test of a linear classifier of the discriminator's features. Raises ConvzooError if the files do not
    belong together.
    """
    folder = Path("models") / network
    model, export = shipped_model(folder)
    kept = read_json(folder / "extra/kept.json")
    prepared = Path("data/prepared") / export["dataset"]
    train, test = (load_split(prepared / name) for name in ("train", "test"))
    extractor = _feature_network(network, kept, export["output"]["shape"][-1])
    noise = latents(settings.generated_images, export["input"]["shape"][1], settings.seed)
    sets = _feature_sets(network, model, noise, extractor, train, test, settings)
    comparisons = _compare(sets, settings)

    features = sets["generated"].features.shape[1]
    metrics: dict[str, Any] = {"test_generated_images": settings.generated_images, **_distances(comparisons)}
    half = _z() * kid_error(sets["test"].features, sets["generated"].features)
    metrics |= {"test_kid_low": metrics["test_kid"] - half, "test_kid_high": metrics["test_kid"] + half}
    if settings.probe_images and export["classes"]:
        metrics |= probe(shipped_part(folder, export, "discriminator.onnx"), train, test, settings)
    metrics |= {"kept_epoch": kept["epoch"], "epochs": kept["epochs"]}
    metrics["comparisons"] = {name: _with_remark(row, features) for name, row in comparisons.items()}
    metrics["feature_network"] = {extractor.name: {"sha256": extractor.sha256, "features": features}}
    metrics = rounded(metrics)

    with new_folder(folder / "plots") as plots:
        captions = [" "] * settings.pictured
        if export.get("conditional"):
            names = export["classes"]
            captions = [names[index] for index in chosen_classes(noise[: settings.pictured], len(names))]
        _draw_samples(plots / "samples.png", sets["generated"].images, captions)
        _draw_neighbours(plots / "nearest_real_images.png", sets, extractor.name)
        _draw_comparisons(plots / "comparisons.png", comparisons, features, extractor.name)
        _draw_feature_space(plots / "feature_space.png", sets, extractor.name)
        draw_training(network, folder / "extra", kept, plots)

    write_results(folder, metrics, "test_kid")

    print(
        f"{network}: KID {metrics['test_kid']:.4g} ({100 * CONFIDENCE:g} % confidence interval "
        f"{metrics['test_kid_low']:.4g} to {metrics['test_kid_high']:.4g}) to test, "
        f"{comparisons['test against train'].kid:.4g} from test to train; Frechet distance to train "
        f"{metrics['train_frechet_distance']:.4g}; epoch {kept['epoch']} of {kept['epochs']} was kept"
    )
    return metrics


def _feature_network(network: str, kept: dict[str, Any], channels: int) -> FeatureNetwork:
    """Load the feature network that the training selected its epoch with; raise ConvzooError if it changed."""
    extractor = FeatureNetwork(kept["features"]["name"], channels)
    if extractor.sha256 != kept["features"]["sha256"]:
        raise ConvzooError(
            f"{network}: was chosen by another feature network than data/weights/{extractor.name} has "
            f"(sha256 {extractor.sha256[:12]}, expected {kept['features']['sha256'][:12]}); train it again: "
            f"convzoo repro train@{network}"
        )
    return extractor


def _feature_sets(
    network: str,
    model: Model,
    noise: np.ndarray,
    extractor: FeatureNetwork,
    train: Split,
    test: Split,
    settings: EvaluationSettings,
) -> dict[str, FeatureSet]:
    images = {
        "generated": run_in_batches(model, noise, settings.batch_size, progress=f"{network}: images"),
        "train": train.images[evenly_spaced(len(train.images), settings.real_images)],
        "test": test.images[evenly_spaced(len(test.images), settings.real_images)],
    }
    return {name: FeatureSet(part, extractor(part, progress=f"{network}: features")) for name, part in images.items()}


def _compare(sets: dict[str, FeatureSet], settings: EvaluationSettings) -> dict[str, distances.Comparison]:
    return {
        f"{one} against {other}": distances.compare(
            sets[other].features,
            sets[one].features,
            settings.neighbours,
            settings.kid_subsets,
            settings.kid_subset_images,
            settings.seed,
        )
        for one, other in (("generated", "train"), ("generated", "test"), ("test", "train"))
    }


def _distances(comparisons: dict[str, distances.Comparison]) -> dict[str, float]:
    """Return the comparisons of generated images as flat metrics, such as `test_kid`."""
    keys = ("kid", "kid_spread", "frechet_distance", "precision", "recall")
    rows = {name: comparisons[f"generated against {name}"] for name in ("train", "test")}
    return {f"{name}_{key}": getattr(row, key) for name, row in rows.items() for key in keys}


def probe(discriminator: Model, train: Split, test: Split, settings: EvaluationSettings) -> dict[str, float]:
    """Compute the accuracy on test of a linear classifier of the discriminator's features, with its 95 % interval.

    The classifier is a logistic regression with an L2 penalty, similar to that of the paper's table 1.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    chosen = evenly_spaced(len(train.images), settings.probe_images)
    train_features, test_features = (
        run_in_batches(discriminator, images, settings.batch_size) for images in (train.images[chosen], test.images)
    )
    # Few images for many features need a strong penalty (C is its inverse).
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=ITERATIONS, tol=1e-3))
    accuracy = float(
        (classifier.fit(train_features, train.labels[chosen]).predict(test_features) == test.labels).mean()
    )
    half = _z() * (accuracy * (1 - accuracy) / len(test.labels)) ** 0.5
    return {
        "test_probe_accuracy": accuracy,
        "test_probe_accuracy_low": max(0.0, accuracy - half),
        "test_probe_accuracy_high": min(1.0, accuracy + half),
        "test_probe_train_images": len(chosen),
    }


def _z() -> float:
    """The half width, in standard errors, of a normal interval."""
    return NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


def _with_remark(row: distances.Comparison, features: int) -> dict[str, Any]:
    """Return a comparison with a remark on whether its Frechet distance is usable."""
    fewest = min(row.real_images, row.generated_images)
    remark = (
        f"mostly bias: {fewest} images for {features} features"
        if fewest < MIN_IMAGES_PER_FEATURE * features
        else "usable"
    )
    return {**row._asdict(), "frechet_distance_is": remark}


def _draw_samples(path: Path, generated: np.ndarray, captions: Sequence[str]) -> None:
    shown = list(generated[: len(captions)])
    title = f"The first {len(shown)} of {len(generated)} generated images, none selected"
    gallery(path, shown, captions[: len(shown)], title)


def _draw_neighbours(path: Path, sets: dict[str, FeatureSet], name: str) -> None:
    """Draw generated images with the train images whose features, and whose pixels, are nearest."""
    generated, train = FeatureSet(*(values[:NEIGHBOURS] for values in sets["generated"])), sets["train"]
    pixels = [images.reshape(len(images), -1) for images in (generated.images, train.images)]
    by_features, by_pixels = distances.nearest(generated.features, train.features), distances.nearest(*pixels)
    images: Sequence[np.ndarray] = [*generated.images, *train.images[by_features], *train.images[by_pixels]]
    captions = ["generated"] * NEIGHBOURS + [f"nearest by {name}"] * NEIGHBOURS + ["nearest by pixels"] * NEIGHBOURS
    gallery(path, images, captions, f"Generated, and the nearest of {len(train.images)} train images: is it a copy?")


def _draw_comparisons(path: Path, comparisons: dict[str, distances.Comparison], features: int, name: str) -> None:
    """Draw KID with its spread, precision and recall, and the Frechet distance; real against real as the baseline."""
    labels, rows = [name.replace(" against ", "\nagainst ") for name in comparisons], list(comparisons.values())
    colours = [BLUE, GREEN, GREY]
    with picture(path, 9.6, 2.9) as figure:
        kid, shares, distance = figure.subplots(1, 3)
        places = np.arange(len(rows))
        kid.barh(places, [row.kid for row in rows], 0.6, color=colours)
        kid.errorbar(
            [row.kid for row in rows],
            places,
            xerr=[row.kid_spread for row in rows],
            fmt="none",
            ecolor=ORANGE,
        )
        kid.set(title="KID", xlabel="orange: standard deviation of one subset")
        shares.barh(places - 0.18, [row.precision for row in rows], 0.32, color=BLUE, label="precision")
        shares.barh(places + 0.18, [row.recall for row in rows], 0.32, color=ORANGE, label="recall")
        shares.set(title="Precision and recall", xlim=(0, 1))
        shares.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
        distance.barh(places, [row.frechet_distance for row in rows], 0.6, color=colours)
        fewest = min(min(row.real_images, row.generated_images) for row in rows)
        note = (
            f"mostly bias: {fewest:,} images, {features:,} features"
            if fewest < MIN_IMAGES_PER_FEATURE * features
            else ""
        )
        distance.set(title="Frechet distance", xlabel=note)
        for axes in (kid, shares, distance):
            axes.set_yticks(places, labels if axes is kid else [""] * len(rows))
            axes.invert_yaxis()
            axes.grid(False, axis="y")
        figure.suptitle(
            f"Measured with the features of {name}; grey: real images against other real ones",
            fontsize=9,
            x=0.01,
            ha="left",
        )


def _draw_feature_space(path: Path, sets: dict[str, FeatureSet], name: str) -> None:
    """Draw test and generated images in the two main directions of the features of train images."""
    mean = sets["train"].features.mean(axis=0, dtype=np.float64)
    _, vectors = np.linalg.eigh(np.cov(sets["train"].features.astype(np.float64), rowvar=False))
    plane = vectors[:, -2:][:, ::-1]
    plane = plane * np.sign(plane[np.abs(plane).argmax(axis=0), [0, 1]])  # otherwise the sign is arbitrary
    count = min(len(sets["test"].features), len(sets["generated"].features), 1000)
    with picture(path, 5.6, 4.6) as figure:
        axes = figure.subplots()
        for label, colour in (("test", GREY), ("generated", ORANGE)):
            x, y = ((sets[label].features[:count] - mean) @ plane).T
            axes.scatter(x, y, 7, color=colour, alpha=0.5, linewidths=0, label=f"{count} {label}")
        axes.set(title=f"Images in the two main directions of {name}", xlabel="first", ylabel="second")
        axes.legend(loc="upper right")
