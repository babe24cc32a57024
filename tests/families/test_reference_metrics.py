"""Every number of evaluation.json, of the tables and of the printed summary, computed a second way for every family.

The files are linear and made by hand, and they are wrong often enough that no two metrics are equal by chance.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import references
from helpers.evaluated import (
    CLASSES,
    FOLDER,
    numbers,
    outputs,
    rows,
    same_metrics,
    same_table,
    shown_are,
    write_classified,
    write_classifier,
    write_export,
    write_split,
)
from helpers.onnx_files import save_linear
from helpers.small import AUTOENCODER, CLASSIFIER, DCGAN, TRANSFER
from helpers.small.dcgan import save_features
from helpers.small.images import BARS, pictures, shapes
from scipy.special import softmax
from scipy.stats import binomtest, norm

from convzoo.data.arrays import evenly_spaced, save_array
from convzoo.families import evaluation as shared
from convzoo.families.autoencoder import evaluate as autoencoder
from convzoo.families.classifier import evaluate as classifier
from convzoo.families.dcgan import evaluate as dcgan
from convzoo.families.dcgan.latents import latents
from convzoo.families.probabilities import evaluate as probabilities
from convzoo.families.transfer import evaluate as transfer
from convzoo.files import sha256_of, write_json


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_metrics_and_tables_of_a_classifier(capsys, monkeypatch):
    drawn = {}
    monkeypatch.setattr(probabilities, "gallery", lambda path, *shown: drawn.update({path.name: shown}))
    images, labels = write_classified(superclasses=["flat", "steep"], superclass_of=[0, 0, 1, 1])
    found = outputs(images, write_classifier(FOLDER / "model.onnx", images, labels, 5))
    write_export(classes=CLASSES)
    settings = CLASSIFIER.evaluation.model_copy(update={"confidence": 0.9, "calibration_bins": 6})
    metrics = classifier.evaluate("small", settings)

    coarse = np.stack([found[:, :2].sum(axis=1), found[:, 2:].sum(axis=1)], axis=1)
    expected = references.of_probabilities(found, labels, CLASSES, settings)
    assert len({expected[key] for key in expected if key != "classes"}) == len(expected) - 1
    more = references.accuracy("test_coarse_accuracy", labels // 2, coarse.argmax(axis=1), 0.9)
    same_metrics(metrics, expected | more)
    shown_are(metrics, "test_accuracy", "test_loss")

    predicted, top = found.argmax(axis=1), found.max(axis=1)
    answers = [(f"test-{row}", CLASSES[labels[row]], top[row], CLASSES[predicted[row]]) for row in range(60)]
    same_table("confusion.csv", answers)
    names = ["flat", "steep"]
    answers = [(f"test-{i}", names[labels[i] // 2], max(coarse[i]), names[coarse[i].argmax()]) for i in range(60)]
    same_table("superclasses.csv", answers)
    same_table("calibration.csv", list(references.bins(found, labels, 6)))
    same_table("classes.csv", [(name, *scores.values()) for name, scores in expected["classes"].items()])

    wrong = sorted(np.flatnonzero(predicted != labels), key=lambda row: -top[row])
    shown, captions, title = drawn["mistakes.png"]
    assert title == f"{len(wrong)} of 60 test images misclassified; the 4 most confident"
    for row, image, caption in zip(wrong[:4], shown, captions, strict=True):
        assert np.array_equal(image, images[row])
        answer = (
            f"actual: {CLASSES[labels[row]]}\npredicted: {CLASSES[predicted[row]]}\n{100 * top[row]:.1f} % · test-{row}"
        )
        assert caption == answer

    share, low, high = (f"{100 * expected[f'test_accuracy{end}']:.2f} %" for end in ("", "_low", "_high"))
    assert (
        f"small: {60 - len(wrong)} of 60 test images right: {share} (90 % interval {low} to {high}), "
        f"of superclasses {100 * more['test_coarse_accuracy']:.2f} %, loss {expected['test_loss']:.4f}\n"
    ) in capsys.readouterr().out


def test_speed_is_images_per_second_and_the_median_latency(capsys, monkeypatch):
    monkeypatch.setattr(shared, "latency", lambda model, one: {1: 1.234}[len(one)])
    shared.print_speed("small", None, np.zeros((30, 2, 2, 1)), 2.0, 7)
    assert capsys.readouterr().out == "small: 15 images/s in batches of 7, 1.23 ms for one\n"


@pytest.mark.parametrize("views", ["identity", "mirror"])
def test_metrics_and_tables_of_a_transfer_network(views, capsys):
    images, labels = write_classified()
    tuned = outputs(images, write_classifier(FOLDER / "model.onnx", images, labels, 5))
    weights = write_classifier(FOLDER / "parts/features_head.onnx", images, labels, 6)
    write_export(classes=CLASSES, method="finetune", views=views)
    seen = [images, images[:, :, ::-1]][: 1 + (views == "mirror")]
    untouched = softmax(np.mean([np.log(outputs(view, weights)) for view in seen], axis=0), axis=1)
    settings = TRANSFER.evaluation
    metrics = transfer.evaluate("small", settings)

    right = {"fine-tuned": tuned.argmax(axis=1) == labels}
    right["head on the untouched backbone"] = untouched.argmax(axis=1) == labels
    counts = {name: int(values.sum()) for name, values in right.items()}
    assert counts["fine-tuned"] != counts["head on the untouched backbone"]
    alone = {name: int((values & (sum(right.values()) == 1)).sum()) for name, values in right.items()}
    losses = [references.cross_entropy(side, labels) for side in (tuned, untouched)]
    expected = {
        **references.of_probabilities(tuned, labels, CLASSES, settings),
        **references.accuracy("test_features_accuracy", labels, untouched.argmax(axis=1), settings.confidence),
        "test_gain": (counts["fine-tuned"] - counts["head on the untouched backbone"]) / 60,
        "test_gain_p_value": binomtest(alone["fine-tuned"], sum(alone.values())).pvalue,
        "ways": {
            name: {"accuracy": counts[name] / 60, "loss": loss, "right": counts[name], "images": 60}
            | {"right_alone": alone[name]}
            for name, loss in zip(right, losses, strict=True)
        },
    }
    same_metrics(metrics, expected)
    shown_are(metrics, "test_accuracy", "test_loss")

    table = []
    for way, values in zip(("fine-tuned", "features"), right.values(), strict=True):
        for name, of_class in [("all", labels >= 0), *((name, labels == kind) for kind, name in enumerate(CLASSES))]:
            count, correct = int(of_class.sum()), int(values[of_class].sum())
            bounds = references.wilson(correct, count, settings.confidence)
            table.append((way, name, count, correct / count, *bounds))
    same_table("features_and_finetuned.csv", table)
    said = f", the head on the untouched backbone {100 * expected['test_features_accuracy']:.2f} %, loss"
    assert said in capsys.readouterr().out


def test_metrics_and_tables_of_an_autoencoder(capsys, monkeypatch):
    drawn = {}
    monkeypatch.setattr(autoencoder, "_draw_rows", lambda path, *shown: drawn.update({path.stem: shown}))
    train, test = pictures(80, 1, 12), pictures(31, 2, 12)
    labels = np.where(np.arange(31) % 5, test.labels, 2)  # the third class has more images
    write_split("train", *train)
    write_split("test", test.images, labels)
    size, rng = 12 * 12 * 3, np.random.default_rng(0)
    encoding = rng.normal(0, 1 / size, (size, 10))
    save_linear(FOLDER / "parts/encoder.onnx", encoding, ("uint8", (12, 12, 3)), ("float32", (10,)))
    blurred = 0.7 * np.eye(size) + 0.1 * np.eye(size, k=3) + 0.1 * np.eye(size, k=-3)
    ends = ("uint8", (12, 12, 3))
    # No output is near the middle of two levels, where the order of a sum decides how it is rounded.
    save_linear(FOLDER / "model.onnx", blurred, ends, ends, offset=12.03)
    write_export(classes=BARS)
    save_array(FOLDER / "extra/training_images.npy", train.images[:24])
    settings = AUTOENCODER.evaluation.model_copy(update={"pca_images": 70, "probe_images": 75, "probe_iterations": 500})
    metrics = autoencoder.evaluate("small", settings)

    flat = test.images.reshape(31, -1).astype(np.float32)
    made = (flat @ blurred.astype(np.float32) + 12.03).round().clip(0, 255).astype(np.uint8).reshape(test.images.shape)
    by_pca = references.pca(train.images[evenly_spaced(80, 70)], test.images, 10)
    scores = {"autoencoder": references.images(test.images, made), "pca": references.images(test.images, by_pca)}
    summaries = {name: references.summary(found) for name, found in scores.items()}
    expected: dict[str, Any] = {"test_images": 31, "latent": 10}
    expected |= {f"test_{key}": value for key, value in summaries["autoencoder"].items()}
    expected |= {f"test_pca_{key}": value for key, value in summaries["pca"].items()}
    bounds = references.psnr_interval(scores["autoencoder"]["mse"], 0.95)
    expected["test_psnr_low"], expected["test_psnr_high"] = bounds
    expected["test_psnr_above_pca"] = summaries["autoencoder"]["psnr"] - summaries["pca"]["psnr"]
    expected["compared"] = {name: {"numbers": 10, **found} for name, found in summaries.items()}
    expected["classes"] = {
        name: {"images": int((labels == kind).sum()), **references.summary(scores["autoencoder"], labels == kind)}
        for kind, name in enumerate(BARS)
    }
    chosen = evenly_spaced(80, 75)
    codes = [side.reshape(len(side), -1) @ encoding for side in (train.images[chosen], test.images)]
    predicted = references.linear_probe(codes[0], train.labels[chosen], codes[1], max_iter=500)
    expected["test_probe_accuracy"] = (predicted == labels).mean()
    assert 0.2 < expected["test_probe_accuracy"] < 1
    same_metrics(metrics, expected, abs=2e-5, rel=2e-5)
    shown_are(metrics, "test_psnr", "test_ssim")

    columns = ("images", "mse", "psnr", "image_psnr", "ssim")
    table = [[name, *(str(row[column]) for column in columns)] for name, row in metrics["classes"].items()]
    assert rows("classes.csv") == table

    psnr = scores["autoencoder"]["psnr"]
    table = zip(range(31), psnr, scores["pca"]["psnr"], strict=True)
    for found, row in zip(rows("psnr_per_image.csv"), table, strict=True):
        assert numbers(found) == pytest.approx(row, rel=2e-5)
    order = np.argsort(psnr)
    extremes = [*order[::-1][:3], *order[:3][::-1]]
    for name, chosen in (("best_and_worst", extremes), ("reconstructions", evenly_spaced(31, 6))):
        images, captions, _ = drawn[name]
        assert captions == [f"{psnr[row]:.1f} dB" for row in chosen]
        assert np.array_equal(images["image"], test.images[chosen])
        assert np.array_equal(images["reconstruction"], made[chosen])
        difference = (128.0 + 4 * (made[chosen].astype(float) - test.images[chosen])).clip(0, 255)
        assert np.array_equal(next(value for key, value in images.items() if "error" in key), difference)
    assert (
        f"small: 31 test images from 10 numbers each: PSNR {metrics['test_psnr']:.2f} dB, PCA with as many components "
        f"{metrics['test_pca_psnr']:.2f} dB, SSIM {metrics['test_ssim']:.4f}; linear probe "
        f"{100 * metrics['test_probe_accuracy']:.1f} %\n"
    ) in capsys.readouterr().out


def test_metrics_of_a_generator(capsys, monkeypatch):
    monkeypatch.setattr(dcgan, "draw_training", lambda *_: None)
    train, test = shapes(70, 1), shapes(64, 2)
    test.images[:] = np.roll(test.images, 2, axis=1) // 2 + 20  # so that the two splits give other numbers
    test.labels[::3] = (test.labels[::3] + 1) % 4
    write_split("train", *train)
    write_split("test", *test)
    flat = train.images.reshape(70, -1).astype(np.float32)
    mean, weights = flat.mean(axis=0), np.linalg.svd(flat - flat.mean(axis=0))[2][:8] * 300
    save_linear(FOLDER / "model.onnx", weights, ("float32", (8,)), ("uint8", (28, 28, 1)), offset=mean)
    reading = np.random.default_rng(1).normal(0, 1 / 255, (28 * 28, 12))
    save_linear(FOLDER / "parts/discriminator.onnx", reading, ("uint8", (28, 28, 1)), ("float32", (12,)))
    network = Path("data/weights/means/features.onnx")
    save_features(network)
    about = {"name": "means", "sha256": sha256_of(network)}
    write_json(FOLDER / "extra/kept.json", {"epoch": 3, "epochs": 7, "features": about})
    ports = {"input": {"shape": [None, 8]}, "output": {"shape": [None, 28, 28, 1]}}
    write_export(classes=CLASSES, **ports)
    settings = DCGAN.evaluation.model_copy(update={"generated_images": 60, "real_images": 55, "seed": 4})
    metrics = dcgan.evaluate("small", settings)

    noise = latents(60, 8, 4)
    generated = (noise @ weights + mean).round().clip(0, 255).reshape(60, 28, 28, 1)
    sets = {"generated": generated} | {
        name: side.images[evenly_spaced(len(side.images), 55)] for name, side in (("train", train), ("test", test))
    }
    features = {
        name: side.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(len(side), 49) / 255 for name, side in sets.items()
    }
    compared = {
        f"{one} against {other}": references.of_generated(features[other], features[one], settings)
        | {"frechet_distance_is": "mostly bias: 55 images for 49 features"}
        for one, other in (("generated", "train"), ("generated", "test"), ("test", "train"))
    }
    keys = ("kid", "kid_spread", "frechet_distance", "precision", "recall")
    expected: dict[str, Any] = {"test_generated_images": 60, "kept_epoch": 3, "epochs": 7, "comparisons": compared}
    for split in ("train", "test"):
        expected |= {f"{split}_{key}": compared[f"generated against {split}"][key] for key in keys}
    assert len({expected[f"{split}_{key}"] for split in ("train", "test") for key in keys}) == 10, expected
    expected["feature_network"] = {"means": {"sha256": about["sha256"], "features": 49}}

    chosen = evenly_spaced(70, 40)
    codes = [side.reshape(len(side), -1) @ reading for side in (train.images[chosen], test.images)]
    right = references.linear_probe(codes[0], train.labels[chosen], codes[1], C=0.001, max_iter=300) == test.labels
    low, high = references.normal_interval(right.mean(), 64, 0.95)
    expected |= {"test_probe_accuracy": right.mean(), "test_probe_accuracy_low": low, "test_probe_accuracy_high": high}
    error = references.kid_error(features["test"], features["generated"])
    expected["test_kid_low"], expected["test_kid_high"] = norm.interval(0.95, expected["test_kid"], error)
    same_metrics(metrics, expected | {"test_probe_train_images": 40}, abs=2e-5, rel=1e-4)
    shown_are(metrics, "test_kid")

    kid, low, high = (metrics[f"test_kid{end}"] for end in ("", "_low", "_high"))
    real = compared["test against train"]["kid"]
    assert (
        f"small: KID {kid:.4g} (95 % confidence interval {low:.4g} to {high:.4g}) to test, {real:.4g} from test to "
        f"train; Frechet distance to train {metrics['train_frechet_distance']:.4g}; epoch 3 of 7 was kept"
    ) in capsys.readouterr().out
