"""Measures a generator's exported file, the one that ships: its pictures against real ones, by features."""

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from convzoo.data.arrays import Split, evenly_spaced, load_split
from convzoo.errors import ConvzooError
from convzoo.families.dcgan.latents import latents
from convzoo.families.dcgan.pictures import draw_training
from convzoo.families.dcgan.settings import EvaluationSettings
from convzoo.files import new_folder, read_json, write_json
from convzoo.metrics import distances as measures
from convzoo.metrics.features import FeatureNetwork
from convzoo.plots import BLUE, GREEN, GREY, ORANGE, gallery, picture
from convzoo.shipping.files import rounded, shipped_model, shipped_part
from convzoo.shipping.model import Model, run_in_batches

FEW = 2  # images a feature; with fewer a Frechet distance is mostly bias
NEIGHBOURS = 6  # generated images in the picture of nearest real ones
ITERATIONS = 300  # of the linear probe
CONFIDENCE = 0.95  # of the interval around its accuracy


class Sides(NamedTuple):
    """Images uint8 (N, H, W, C) and their features (N, D)."""

    images: np.ndarray
    features: np.ndarray


def evaluate(network: str, settings: EvaluationSettings) -> dict[str, Any]:
    """Measure models/NETWORK/model.onnx on images that it makes: writes metrics.json and plots/, returns the metrics.

    Against train and against test: the Frechet distance, KID (the mean over subsets, and the spread of one), precision
    and recall; beside them test against train, which is what a perfect generator would get. With labels, the accuracy
    on test of a linear classifier on the discriminator's features. Raises ConvzooError where the files do not fit each
    other.
    """
    folder = Path("models") / network
    model, export = shipped_model(folder)
    kept = read_json(folder / "extra/kept.json")
    prepared = Path("data/prepared") / export["dataset"]
    train, test = (load_split(prepared / name) for name in ("train", "test"))
    network_of_features = FeatureNetwork(kept["features"]["name"], export["output"]["shape"][-1])
    if network_of_features.sha256 != kept["features"]["sha256"]:
        raise ConvzooError(
            f"{network}: was chosen by another feature network than data/weights/{network_of_features.name} has "
            f"(sha256 {network_of_features.sha256[:12]}, expected {kept['features']['sha256'][:12]}); train it again: "
            f"dvc repro train@{network}"
        )

    noise = latents(settings.generated_images, export["input"]["shape"][1], settings.seed)
    made = run_in_batches(model, noise, settings.batch_size, progress=f"{network}: images")
    sides = {
        name: Sides(images, network_of_features(images, progress=f"{network}: features"))
        for name, images in (
            ("generated", made),
            ("train", train.images[evenly_spaced(len(train.images), settings.real_images)]),
            ("test", test.images[evenly_spaced(len(test.images), settings.real_images)]),
        )
    }
    found = {
        f"{one} against {other}": measures.compare(
            sides[other].features,
            sides[one].features,
            settings.neighbours,
            settings.kid_subsets,
            settings.kid_subset_images,
            settings.seed,
        )
        for one, other in (("generated", "train"), ("generated", "test"), ("test", "train"))
    }
    features = sides["generated"].features.shape[1]
    metrics: dict[str, Any] = {"test_generated_images": settings.generated_images}
    for name in ("train", "test"):
        each = found[f"generated against {name}"]
        metrics |= {f"{name}_{key}": getattr(each, key) for key in ("kid", "kid_spread", "frechet_distance")}
        metrics |= {f"{name}_precision": each.precision, f"{name}_recall": each.recall}
    if settings.probe_images and export["classes"]:
        metrics |= probe(shipped_part(folder, export, "discriminator.onnx"), train, test, settings)
    metrics |= {"kept_epoch": kept["epoch"], "epochs": kept["epochs"]}
    metrics["comparisons"] = {name: _told(row, features) for name, row in found.items()}
    about = {"sha256": network_of_features.sha256, "features": features}
    metrics["feature_network"] = {network_of_features.name: about}
    metrics = rounded(metrics)

    with new_folder(folder / "plots") as plots:
        pictured = list(made[: settings.pictured])
        title = f"{len(pictured)} of {len(made)} generated images, the first ones, none chosen"
        gallery(plots / "samples.png", pictured, [" "] * len(pictured), title)
        _draw_neighbours(plots / "nearest_real_images.png", sides, network_of_features.name)
        _draw_comparisons(plots / "comparisons.png", found, features, network_of_features.name)
        _draw_spread(plots / "feature_space.png", sides, network_of_features.name)
        draw_training(network, folder / "extra", kept, plots)
    write_json(folder / "metrics.json", metrics)
    print(
        f"{network}: KID {metrics['test_kid']:.4g} (of one subset +- {metrics['test_kid_spread']:.2g}) to test, "
        f"{found['test against train'].kid:.4g} from test to train; Frechet distance to train "
        f"{metrics['train_frechet_distance']:.4g}; epoch {kept['epoch']} of {kept['epochs']} was kept"
    )
    return metrics


def probe(discriminator: Model, train: Split, test: Split, settings: EvaluationSettings) -> dict[str, float]:
    """The accuracy on test of a linear classifier (L2, logistic) on the discriminator's features, as in the paper's
    table 1, with the interval that holds it with 95 % confidence.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    chosen = evenly_spaced(len(train.images), settings.probe_images)
    learned, measured = (
        run_in_batches(discriminator, images, settings.batch_size) for images in (train.images[chosen], test.images)
    )
    # Few images for many features: a strong penalty (C is its inverse).
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=ITERATIONS, tol=1e-3))
    accuracy = float((classifier.fit(learned, train.labels[chosen]).predict(measured) == test.labels).mean())
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * (accuracy * (1 - accuracy) / len(test.labels)) ** 0.5
    return {
        "test_probe_accuracy": accuracy,
        "test_probe_accuracy_low": max(0.0, accuracy - half),
        "test_probe_accuracy_high": min(1.0, accuracy + half),
        "test_probe_train_images": len(chosen),
    }


def _told(row: measures.Comparison, features: int) -> dict[str, Any]:
    """A comparison, and what its Frechet distance is worth."""
    fewest = min(row.real_images, row.generated_images)
    remark = f"mostly bias: {fewest} images for {features} features" if fewest < FEW * features else "usable"
    return {**row._asdict(), "frechet_distance_is": remark}


def _draw_neighbours(path: Path, sides: dict[str, Sides], name: str) -> None:
    """Each of a few generated images, the train image with the nearest features, and that with the nearest pixels."""
    made, train = sides["generated"], sides["train"]
    few = [side[:NEIGHBOURS] for side in made]
    pixels = [images.reshape(len(images), -1) for images in (few[0], train.images)]
    by_features, by_pixels = measures.nearest(few[1], train.features), measures.nearest(*pixels)
    images: Sequence[np.ndarray] = [*few[0], *train.images[by_features], *train.images[by_pixels]]
    captions = ["generated"] * NEIGHBOURS + [f"nearest by {name}"] * NEIGHBOURS + ["nearest by pixels"] * NEIGHBOURS
    gallery(path, images, captions, f"Generated, and the nearest of {len(train.images)} train images: is it a copy?")


def _draw_comparisons(path: Path, found: dict[str, measures.Comparison], features: int, name: str) -> None:
    """KID with its spread, precision and recall, the Frechet distance; what is real against real as the yardstick."""
    rows = list(found)
    colours = [BLUE, GREEN, GREY]
    with picture(path, 9.6, 2.9) as figure:
        kid, shares, distance = figure.subplots(1, 3)
        places = np.arange(len(rows))
        labels = [row.replace(" against ", "\nagainst ") for row in rows]
        kid.barh(places, [found[row].kid for row in rows], 0.6, color=colours)
        kid.errorbar(
            [found[row].kid for row in rows],
            places,
            xerr=[found[row].kid_spread for row in rows],
            fmt="none",
            ecolor=ORANGE,
        )
        kid.set(title="KID", xlabel="orange: the spread of one subset")
        shares.barh(places - 0.18, [found[row].precision for row in rows], 0.32, color=BLUE, label="precision")
        shares.barh(places + 0.18, [found[row].recall for row in rows], 0.32, color=ORANGE, label="recall")
        shares.set(title="Precision and recall", xlim=(0, 1))
        shares.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
        distance.barh(places, [found[row].frechet_distance for row in rows], 0.6, color=colours)
        fewest = min(min(row.real_images, row.generated_images) for row in found.values())
        note = f"mostly bias: {fewest:,} images, {features:,} features" if fewest < FEW * features else ""
        distance.set(title="Frechet distance", xlabel=note)
        for axes in (kid, shares, distance):
            axes.set_yticks(places, labels if axes is kid else [""] * len(rows))
            axes.invert_yaxis()
            axes.grid(False, axis="y")
        figure.suptitle(
            f"In the features of {name}; grey: real images against real ones", fontsize=9, x=0.01, ha="left"
        )


def _draw_spread(path: Path, sides: dict[str, Sides], name: str) -> None:
    """Test and generated images in the two directions in which the features of train images vary most."""
    middle = sides["train"].features.mean(axis=0, dtype=np.float64)
    _, vectors = np.linalg.eigh(np.cov(sides["train"].features.astype(np.float64), rowvar=False))
    plane = vectors[:, -2:][:, ::-1]
    plane = plane * np.sign(plane[np.abs(plane).argmax(axis=0), [0, 1]])  # which way round is chance otherwise
    count = min(len(sides["test"].features), len(sides["generated"].features), 1000)
    with picture(path, 5.6, 4.6) as figure:
        axes = figure.subplots()
        for side, colour in (("test", GREY), ("generated", ORANGE)):
            x, y = ((sides[side].features[:count] - middle) @ plane).T
            axes.scatter(x, y, 7, color=colour, alpha=0.5, linewidths=0, label=f"{count} {side}")
        axes.set(title=f"Images in the two main directions of {name}", xlabel="first", ylabel="second")
        axes.legend(loc="upper right")
