"""The differences that decide a promotion, computed a second way, and in favour of the better file of every family."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers import references
from helpers.onnx_files import save_linear, save_linear_classifier
from helpers.small.dcgan import save_features
from helpers.small.images import pictures, shapes
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm, t

from convzoo.data.arrays import Split, evenly_spaced
from convzoo.errors import ConvzooError
from convzoo.families.autoencoder.settings import PromotionSettings as Autoencoders
from convzoo.families.dcgan.latents import latents
from convzoo.families.dcgan.promote import kid_samples
from convzoo.families.dcgan.settings import Floors
from convzoo.families.dcgan.settings import PromotionSettings as Generators
from convzoo.families.probabilities.settings import PromotionSettings as Classifiers
from convzoo.promotion import comparison, gate, measuring
from convzoo.promotion.comparison import KidSamples
from convzoo.promotion.measuring import evaluator_for
from convzoo.shipping.files import TIMED, WARM_UP
from convzoo.shipping.model import Model

RULE = {"rule": "better", "not_worse_by": 0.0, "confidence": 0.95}
COSTS = {"latency": None, "file_size": None}
SETTINGS = {
    "classifier": Classifiers(
        **RULE,
        floors={"accuracy": 0.3, "class_recall": None, "coarse_accuracy": None},
        ceilings=COSTS | {"calibration_error": 0.9},
        batch_size=7,
        calibration_bins=5,
    ),
    "autoencoder": Autoencoders(**RULE, floors={"psnr": 5.0}, ceilings=COSTS, batch_size=7, resamples=200, seed=3),
    "dcgan": Generators(
        **RULE,
        floors={"precision": None, "recall": None},
        ceilings=COSTS | {"kid": 90.0},
        neighbours=2,
        **{"batch_size": 7, "repeats": 4, "images": 30, "real_images": 45, "seed": 3},
    ),
}
SETTINGS["transfer"] = SETTINGS["classifier"]
META = {"shape": [28, 28, 1], "superclasses": ["a", "b"], "superclass_of": [0, 1, 0, 1]}


class Pair(NamedTuple):
    """Two files of a family, the better one first, and a split on which they differ beyond chance."""

    models: list[Model]
    split: Split
    reference: Any  # a function from the number of a file to its metrics


def classifiers() -> Pair:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 200, (61, 2, 2, 1), np.uint8), rng.choice(3, 61, p=[0.6, 0.3, 0.1])
    images.reshape(61, 4)[np.arange(61), labels] += 50
    weights = [np.eye(4) / 40, (np.eye(4) + rng.normal(0, 1, (4, 4))) / 40]
    for number, values in enumerate(weights):
        save_linear_classifier(Path(f"{number}.onnx"), values, (2, 2, 1))

    def reference(number: int) -> dict[str, float]:
        logits = images.reshape(61, 4) @ weights[number]
        found = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        predicted, superclass = found.argmax(axis=1), np.array(META["superclass_of"])
        coarse = np.stack([found[:, superclass == kind].sum(axis=1) for kind in (0, 1)]).argmax(axis=0)
        gaps = [row[2] * abs(row[3] - row[4]) for row in references.bins(found, labels, 5) if row[2]]
        return {
            "accuracy": np.mean(predicted == labels),
            "class_recall": min(np.mean(predicted[labels == kind] == kind) for kind in range(3)),  # none is of class 3
            "calibration_error": sum(gaps) / 61,
            "coarse_accuracy": np.mean(coarse == superclass[labels]),
        }

    return Pair([Model(Path(f"{number}.onnx")) for number in (0, 1)], Split(images, labels), reference)


def autoencoders() -> Pair:
    split, ends = pictures(31, 0, 8), ("uint8", (8, 8, 3))
    for number, kept in enumerate((0.9, 0.8)):
        save_linear(Path(f"{number}.onnx"), kept * np.eye(8 * 8 * 3), ends, ends, offset=(1 - kept) * 128)

    def reference(number: int) -> dict[str, float]:
        kept = (0.9, 0.8)[number]
        made = (split.images * kept + (1 - kept) * 128).round()
        mse = np.square(split.images - made).mean()
        return {"psnr": 20 * np.log10(255) - 10 * np.log10(mse)}

    return Pair([Model(Path(f"{number}.onnx")) for number in (0, 1)], split, reference)


def generators() -> Pair:
    save_features(Path("data/weights/means/features.onnx"))
    split = shapes(70, 1)
    flat = split.images.reshape(70, -1).astype(np.float32)
    weights = np.linalg.svd(flat - flat.mean(axis=0))[2][:8] * 300
    offsets = [flat.mean(axis=0), flat.mean(axis=0) + 60]
    for number, offset in enumerate(offsets):
        save_linear(Path(f"{number}.onnx"), weights, ("float32", (8,)), ("uint8", (28, 28, 1)), offset)

    def features(images: np.ndarray) -> np.ndarray:
        return images.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(len(images), 49) / 255

    def reference(number: int) -> dict[str, float]:
        samples = [(latents(30, 8, 3 + repeat) @ weights + offsets[number]).round().clip(0, 255) for repeat in range(4)]
        real = features(split.images[evenly_spaced(70, 45)])
        kid = np.mean([references.kid(real, features(sample)) for sample in samples])
        same = [(real[:30], features(sample)) for sample in samples]  # equally many images of both
        precision = np.mean([references.covered(sample, images, 2) for images, sample in same])
        return {
            "kid": kid,
            "precision": precision,
            "recall": np.mean([references.covered(images, sample, 2) for images, sample in same]),
        }

    return Pair([Model(Path(f"{number}.onnx")) for number in (0, 1)], split, reference)


PAIRS = {"classifier": classifiers, "autoencoder": autoencoders, "dcgan": generators, "transfer": classifiers}


@pytest.mark.parametrize("family", PAIRS)
def test_the_better_file_of_every_family_is_the_one_that_passes(family, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings, pair = SETTINGS[family], PAIRS[family]()
    evaluator = evaluator_for(family, settings, META, "means")
    better, worse = measured = [evaluator.measure(model, pair.split) for model in pair.models]
    for number, found in enumerate(measured):
        # A KID near zero is a small difference of large float32 sums.
        assert found.values == pytest.approx(pair.reference(number), rel=1e-4, abs=1e-6)

    sign = -1 if family == "dcgan" else 1  # KID is a distance
    gain = sign * (better.values[evaluator.main] - worse.values[evaluator.main])
    forward, backward = evaluator.compare(better, worse), evaluator.compare(worse, better)
    assert forward.estimate == pytest.approx(gain) and gain > 0
    assert 0 < forward.low < forward.estimate < forward.high
    assert backward.estimate == -forward.estimate
    assert backward.low < backward.estimate < backward.high < 0
    assert evaluator.compare(better, better).estimate == 0

    monkeypatch.setattr(gate, "load_split", lambda folder: pair.split)
    for order, passes in (((0, 1), True), ((1, 0), False)):
        models = [pair.models[number] for number in order]
        found = gate.evaluate_split("val", Path(), evaluator, settings, models)
        labels = ("candidate", "champion")
        assert found.measured == {label: measured[number].values for label, number in zip(labels, order, strict=True)}
        *limits, row = found.conditions
        assert all(limit.passed for limit in limits) and row.passed == passes
        scale, form = {"autoencoder": (1, "{:.2f} dB"), "dcgan": (1, "{:.4f}")}.get(family, (100, "{:.2f} %"))
        main = [form.format(scale * measured[number].values[evaluator.main]) for number in order]
        assert [row.candidate, row.champion] == main


def test_generators_are_sampled_once_per_file_and_from_the_same_latents(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pair = generators()
    evaluator, seen = evaluator_for("dcgan", SETTINGS["dcgan"], META, "means"), []
    monkeypatch.setattr(
        "convzoo.families.dcgan.promote.run_in_batches",
        lambda model, noise, size: seen.append((model.path.name, noise)) or np.zeros((len(noise), 28, 28, 1), np.uint8),
    )
    for model in (*pair.models, *pair.models):
        evaluator.measure(model, pair.split)
    assert [name for name, _ in seen] == ["0.onnx"] * 4 + ["1.onnx"] * 4
    for number, (_, noise) in enumerate(seen):
        assert np.array_equal(noise, latents(30, 8, 3 + number % 4))


def test_other_classes_than_those_of_the_images_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pair = classifiers()
    labels = np.where(pair.split.labels == 2, 4, pair.split.labels)
    with pytest.raises(ConvzooError, match=r"0\.onnx: expected labels from 0 to 3, got 0 to 4, expected the classes"):
        evaluator_for("classifier", SETTINGS["classifier"], META, "none").measure(
            pair.models[0], Split(pair.split.images, labels)
        )


def tango(gained: int, lost: int, images: int, difference: float) -> float:
    """The score of a difference, its nuisance parameter found by maximising the likelihood numerically."""

    def loss(share: float) -> float:  # of images that only the champion gets right
        cells = (gained, share + difference), (lost, share), (images - gained - lost, 1 - 2 * share - difference)
        return -sum(count * np.log(np.maximum(cell, 1e-300)) for count, cell in cells if count)

    bounds = max(0.0, -difference) + 1e-12, (1 - difference) / 2 - 1e-12
    share = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x
    variance = images * (2 * share + difference * (1 - difference))
    return (gained - lost - images * difference) / variance**0.5


@pytest.mark.parametrize(("gained", "lost", "images"), [(9, 4, 120), (3, 12, 60), (5, 5, 40), (1, 0, 200), (0, 7, 9)])
@pytest.mark.parametrize("confidence", [0.9, 0.975])
def test_the_interval_of_accuracies_inverts_the_score_test(gained, lost, images, confidence):
    champion = np.array([False] * gained + [True] * lost + [True, False] * images)[:images]
    candidate = champion ^ (np.arange(images) < gained + lost)
    found = comparison.accuracy_difference(candidate, champion, confidence)
    assert found.estimate == pytest.approx((gained - lost) / images)
    for end, z in ((found.low, norm.ppf(confidence)), (found.high, -norm.ppf(confidence))):
        inside = sorted((found.estimate, -1 + 1e-6 if z > 0 else 1 - 1e-6))
        expected = brentq(lambda difference, z=z: tango(gained, lost, images, difference) - z, *inside)
        assert end == pytest.approx(expected, abs=2e-5)


def test_intervals_of_accuracies_at_the_edges():
    z2 = norm.ppf(0.95) ** 2
    same = np.arange(50) % 2 == 0
    tie = comparison.accuracy_difference(same, same, 0.95)
    assert tie == pytest.approx((0, -z2 / (50 + z2), z2 / (50 + z2)))
    right, wrong = np.ones(50, bool), np.zeros(50, bool)
    ahead, behind = (comparison.accuracy_difference(*pair, 0.95) for pair in ((right, wrong), (wrong, right)))
    assert ahead.estimate == -behind.estimate == 1
    assert ahead.high == pytest.approx(1) and ahead.low == pytest.approx(-behind.high)
    # One image: nothing can be excluded at 95 % but the other extreme.
    assert comparison.accuracy_difference(right[:1], wrong[:1], 0.95).low == pytest.approx(
        (1 - z2) / (1 + z2), abs=1e-6
    )


def test_the_interval_of_psnrs_is_the_bias_corrected_and_accelerated_bootstrap():
    rng = np.random.default_rng(1)
    champion = rng.gamma(2, 100, 40)
    candidate = champion * np.exp(rng.normal(-0.2, 0.4, 40))

    def gain(rows: np.ndarray) -> np.ndarray:
        return 10 * np.log10(champion[rows].mean(axis=-1) / candidate[rows].mean(axis=-1))

    draws = gain(np.random.default_rng(7).integers(0, 40, (300, 40)))
    whole = gain(np.arange(40))
    leaving_out = np.array([gain(np.delete(np.arange(40), row)) for row in range(40)])
    influence = leaving_out.mean() - leaving_out
    acceleration = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    bias = norm.ppf(((draws < whole).sum() + (draws <= whole).sum()) / 600)
    z = bias + norm.ppf([0.1, 0.9])
    low, high = np.quantile(draws, norm.cdf(bias + z / (1 - acceleration * z)))
    found = comparison.psnr_difference(candidate, champion, 0.9, 300, 7)
    assert found == pytest.approx((whole, low, high), rel=1e-6)
    assert comparison.psnr_difference(champion, champion, 0.9, 300, 7) == (0, 0, 0)


def test_the_interval_of_kids_has_the_variance_of_samples_and_of_real_images():
    rng = np.random.default_rng(0)
    candidate, champion = (KidSamples(rng.normal(mean, 0.1, 6), rng.normal(mean, 0.3, 40)) for mean in (0.2, 0.5))
    gains = [theirs - ours for ours, theirs in zip(candidate.kids, champion.kids, strict=True)]
    nearer = [2 * (ours - theirs) for ours, theirs in zip(candidate.affinities, champion.affinities, strict=True)]
    error = (references.statistics.variance(gains) / 6 + references.statistics.variance(nearer) / 40) ** 0.5
    low, high = t.interval(0.8, 5, np.mean(gains), error)
    assert comparison.kid_difference(candidate, champion, 0.9) == pytest.approx((np.mean(gains), low, high))


def test_kid_samples_have_the_kernel_of_each_real_image_with_all_generated_ones():
    rng = np.random.default_rng(0)
    real, samples = rng.normal(size=(9, 4)), [rng.normal(size=(7, 4)) for _ in range(3)]
    found = kid_samples(real, samples)
    assert found.kids == pytest.approx([references.kid(real, sample) for sample in samples])
    kernel = [[np.mean([(x @ y / 4 + 1) ** 3 for y in sample]) for sample in samples] for x in real]
    assert found.affinities == pytest.approx(np.mean(kernel, axis=1))


def test_latencies_are_medians_in_milliseconds_of_calls_in_turn(monkeypatch):
    clock, calls = [0.0], []

    class Timed:
        def __init__(self, name: str, dtype: str, seconds: float) -> None:
            self.name, self.seconds = name, seconds
            self.input = type("Port", (), {"dtype": dtype, "shape": (None, 5)})

        def __call__(self, single: np.ndarray) -> None:
            calls.append((self.name, single.shape))
            done = sum(name == self.name for name, _ in calls)
            clock[0] += self.seconds * (100 if done <= WARM_UP else 1 + done % 3)

    monkeypatch.setattr(measuring.time, "perf_counter", lambda: clock[0])
    models = [Timed("a", "uint8", 0.002), Timed("b", "float32", 0.03)]
    assert measuring.latencies(models, np.zeros((1, 4, 4, 1), np.uint8)) == pytest.approx([4, 60])
    assert calls == [("a", (1, 4, 4, 1)), ("b", (1, 5))] * (WARM_UP + TIMED)


def test_a_generator_that_covers_no_real_image_is_refused_whatever_its_kid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pair = generators()
    monkeypatch.setattr(gate, "load_split", lambda folder: pair.split)
    settings = SETTINGS["dcgan"].model_copy(update={"floors": Floors(precision=0.01, recall=0.01)})
    evaluator = evaluator_for("dcgan", settings, META, "means")
    monkeypatch.setattr("convzoo.families.dcgan.promote.precision_recall", lambda *features: (0.5, 0.0))
    found = gate.evaluate_split("val", Path(), evaluator, settings, pair.models[:1])
    rows = {row.condition: row for row in found.conditions}
    assert rows["val kid"].passed and rows["val precision"].passed
    assert rows["val precision"][1:3] == (">= 1 %", "50.00 %")
    assert not rows["val recall"].passed and rows["val recall"].candidate == "0.00 %"
