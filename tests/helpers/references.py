"""Metrics of all families computed a second way: by scikit-learn, SciPy and scikit-image, or by their formula."""

import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.linalg import sqrtm
from scipy.stats import binomtest, norm, sem
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_recall_fscore_support
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, which pytest.approx can compare."""
    found = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def wilson(correct: int, count: int, confidence: float) -> tuple[float, float]:
    return tuple(binomtest(correct, count).proportion_ci(confidence_level=confidence, method="wilson"))


def bins(probabilities: np.ndarray, labels: np.ndarray, count: int) -> Iterator[tuple]:
    """Low, high, images, confidence and accuracy of each bin, image by image."""
    for number in range(count):
        low, high = number / count, (number + 1) / count
        inside = [row for row, top in enumerate(probabilities.max(axis=1)) if low < top <= high]
        tops = [float(probabilities[row].max()) for row in inside]
        right = [float(probabilities[row].argmax() == labels[row]) for row in inside]
        yield (low, high, len(inside), *((statistics.fmean(tops), statistics.fmean(right)) if inside else (None, None)))


def accuracy(key: str, labels: np.ndarray, predicted: np.ndarray, confidence: float) -> dict[str, float]:
    low, high = wilson(int((labels == predicted).sum()), len(labels), confidence)
    return {key: accuracy_score(labels, predicted), f"{key}_low": low, f"{key}_high": high}


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    return log_loss(labels, exact, labels=range(exact.shape[1]))


def of_probabilities(probabilities: np.ndarray, labels: np.ndarray, classes: list[str], settings: Any) -> dict:
    """What evaluation.json has of every network with class probabilities, except for superclasses."""
    predicted, kinds, k = probabilities.argmax(axis=1), range(len(classes)), settings.top_k
    table = bins(probabilities, labels, settings.calibration_bins)
    scores = zip(*precision_recall_fscore_support(labels, predicted, labels=kinds, zero_division=0), strict=True)
    order = np.argsort(-probabilities, axis=1)
    in_top = [label in row[:k] for row, label in zip(order, labels, strict=True)]
    return {
        "test_images": len(labels),
        **accuracy("test_accuracy", labels, predicted, settings.confidence),
        f"test_top{k}_accuracy": statistics.fmean(in_top),
        "test_loss": cross_entropy(probabilities, labels),
        "test_calibration_error": sum(row[2] * abs(row[3] - row[4]) for row in table if row[2]) / len(labels),
        "test_macro_f1": f1_score(labels, predicted, labels=kinds, average="macro", zero_division=0),
        "classes": {
            name: dict(zip(("precision", "recall", "f1", "images"), row, strict=True))
            for name, row in zip(classes, scores, strict=True)
        },
    }


def images(originals: np.ndarray, reconstructions: np.ndarray) -> dict[str, np.ndarray]:
    """The mean squared error, PSNR (dB) and SSIM of each image."""
    pairs = list(zip(originals, reconstructions, strict=True))
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 2}
    return {
        "mse": np.array([np.square(a.astype(float) - b).mean() for a, b in pairs]),
        "psnr": np.array([peak_signal_noise_ratio(a, b, data_range=255) for a, b in pairs]),
        "ssim": np.array([structural_similarity(a, b, data_range=255, **window) for a, b in pairs]),
    }


def summary(of_images: dict[str, np.ndarray], rows: Any = slice(None)) -> dict[str, float]:
    mse, psnr, ssim = (of_images[key][rows].mean() for key in ("mse", "psnr", "ssim"))
    return {"mse": mse, "psnr": 20 * np.log10(255) - 10 * np.log10(mse), "image_psnr": psnr, "ssim": ssim}


def psnr_interval(mse: np.ndarray, confidence: float) -> list[float]:
    """The PSNRs of the bounds of the mean, those of a normal interval of its logarithm."""
    bounds = norm.interval(confidence, np.log(mse.mean()), sem(mse) / mse.mean())
    return sorted(20 * np.log10(255) - 10 * np.log10(np.exp(bounds)))


def pca(train: np.ndarray, test: np.ndarray, components: int) -> np.ndarray:
    """Reconstructions uint8 of `test` from principal components of `train`."""
    fitted = PCA(components, svd_solver="full").fit(train.reshape(len(train), -1).astype(float))
    levels = fitted.inverse_transform(fitted.transform(test.reshape(len(test), -1).astype(float)))
    return levels.round().clip(0, 255).astype(np.uint8).reshape(test.shape)


def linear_probe(train: np.ndarray, labels: np.ndarray, test: np.ndarray, **settings: Any) -> np.ndarray:
    """The classes of `test` that a logistic regression on standardised features predicts."""
    mean, std = train.mean(axis=0, dtype=float), train.std(axis=0, dtype=float)
    std = np.where(std > 0, std, 1)
    return LogisticRegression(**settings).fit((train - mean) / std, labels).predict((test - mean) / std)


def normal_interval(share: float, count: int, confidence: float) -> tuple[float, float]:
    low, high = norm.interval(confidence, share, (share * (1 - share) / count) ** 0.5)
    return max(0.0, low), min(1.0, high)


def kid(real: np.ndarray, generated: np.ndarray) -> float:
    """The unbiased squared maximum mean discrepancy, pair by pair of different images."""
    kernel = {"degree": 3, "gamma": 1 / real.shape[1], "coef0": 1}
    one, other = (
        polynomial_kernel(side, **kernel)[~np.eye(len(side), dtype=bool)].mean() for side in (real, generated)
    )
    return float(one + other - 2 * polynomial_kernel(real, generated, **kernel).mean())


def kid_error(real: np.ndarray, generated: np.ndarray) -> float:
    """The jackknife's standard error of KID, image by image left out."""
    sides = (
        [kid(np.delete(real, row, axis=0), generated) for row in range(len(real))],
        [kid(real, np.delete(generated, row, axis=0)) for row in range(len(generated))],
    )
    return sum((len(values) - 1) * np.var(values) for values in sides) ** 0.5


def kids_of_subsets(real: np.ndarray, generated: np.ndarray, subsets: int, count: int, seed: int) -> list[float]:
    """KID of each of the subsets that a seed draws, first those of the real images, then those of the generated."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(subsets):
        chosen = [side[rng.permutation(len(side))[:count]].astype(float) for side in (real, generated)]
        found.append(kid(*chosen))
    return found


def frechet(real: np.ndarray, generated: np.ndarray) -> float:
    real, generated = real.astype(float), generated.astype(float)
    gap, first, second = real.mean(0) - generated.mean(0), np.cov(real.T), np.cov(generated.T)
    return float(gap @ gap + np.trace(first + second - 2 * sqrtm(first @ second).real))


def covered(images: np.ndarray, others: np.ndarray, k: int) -> float:
    """The share of `images` inside a ball around one of `others` that reaches its k-th nearest neighbour."""
    radii = NearestNeighbors(n_neighbors=k + 1).fit(others).kneighbors(others)[0][:, k]
    distances = np.linalg.norm(images[:, None].astype(float) - others[None], axis=2)
    return float((distances <= radii).any(axis=1).mean())


def of_generated(real: np.ndarray, generated: np.ndarray, settings: Any) -> dict[str, float]:
    """The comparison of two sets of features: `generated` against `real`."""
    subset = min(settings.kid_subset_images, len(real) - 1, len(generated) - 1)
    kids = kids_of_subsets(real, generated, settings.kid_subsets, subset, settings.seed)
    first, second = (side[: min(len(real), len(generated))] for side in (real, generated))
    return {
        "real_images": len(real),
        "generated_images": len(generated),
        "frechet_distance": frechet(real, generated),
        "kid": statistics.fmean(kids),
        "kid_spread": statistics.stdev(kids),
        "precision": covered(second, first, settings.neighbours),
        "recall": covered(first, second, settings.neighbours),
    }
