"""Operations of the stages other than `train`: NumPy, SciPy, scikit-learn, scikit-image, and the metrics."""

from collections.abc import Callable
from functools import partial

import numpy as np

from convzoo.bits.inputs import floats, integers, pixels
from convzoo.data.image_statistics import statistics
from convzoo.families.dcgan.latents import latents, walk
from convzoo.metrics import classification, distances, kid
from convzoo.metrics.images import fidelity
from convzoo.metrics.latents import latent_map, pca_reconstructions, probe_accuracy

Operation = Callable[[], list[np.ndarray]]
CLASSES = 10


def _features(count: int, seed: int = 0) -> np.ndarray:
    """Features like those of EfficientNet-Lite0: not negative, many small."""
    return np.maximum(floats(count, 1280, low=-0.5, high=1.5, seed=seed), 0) ** 3


def _labels(count: int) -> np.ndarray:
    return integers(count, below=CLASSES, seed=5)


def _latents(count: int, seed: int) -> np.ndarray:
    """Latents of classes that a linear classifier partly tells apart."""
    middles = floats(CLASSES, 64, seed=9)
    return (middles[_labels(count)] + 2 * floats(count, 64, seed=seed)).astype(np.float32)


def _probe(iterations: int) -> list[np.ndarray]:
    train, test = _latents(200, 1), _latents(200, 2)
    return [np.array(probe_accuracy(train, _labels(200), test, _labels(200), iterations))]


def _logistic_regression() -> list[np.ndarray]:
    """The weights of a linear probe, not only its accuracy."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(_latents(200, 1).astype(np.float64))
    fitted = LogisticRegression(max_iter=20).fit(scaled, _labels(200))
    return [scaled, fitted.coef_, fitted.predict_proba(scaled)]


def _probabilities() -> np.ndarray:
    raised = np.exp(floats(500, CLASSES, low=-4, high=4).astype(np.float64))
    return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)


def _classification() -> list[np.ndarray]:
    probabilities, labels = _probabilities(), _labels(500)
    bins = classification.calibration_bins(probabilities, labels, 15)
    values = [classification.log_loss(probabilities, labels), classification.calibration_error(bins)]
    values += [*classification.wilson_interval(431, 500, 0.95)]
    return [np.array(values), classification.superclass_probabilities(probabilities, np.arange(CLASSES) // 2)]


def _comparison() -> list[np.ndarray]:
    real, generated = _features(60), _features(50, 1)
    return [np.array(distances.compare(real, generated, 3, 3, 30, 0))]


def _kid() -> list[np.ndarray]:
    real, generated = _features(40), _features(40, 1)
    return [np.array([kid.kid(real, generated), kid.diversity(real, generated), kid.kid_error(real, generated)])]


def _elementwise(function: Callable[[np.ndarray], np.ndarray], low: float, high: float) -> list[np.ndarray]:
    return [function(floats(1031, low=low, high=high).astype(dtype)) for dtype in (np.float32, np.float64)]


def _sums() -> list[np.ndarray]:
    x = floats(200, 1283)
    sums = [x.sum(axis=axis, dtype=dtype) for axis in (0, 1, None) for dtype in (np.float32, np.float64)]
    return [*map(np.asarray, sums), x.mean(axis=0), x.std(axis=1), x.astype(np.float64).var(axis=0, ddof=1)]


def _product(dtype: type, rows: int, inner: int, columns: int) -> list[np.ndarray]:
    return [floats(rows, inner).astype(dtype) @ floats(inner, columns, seed=1).astype(dtype)]


def _decompositions() -> list[np.ndarray]:
    x = floats(100, 48).astype(np.float64)
    covariance = np.cov(x, rowvar=False)
    singular = np.linalg.svd(x, compute_uv=False)
    return [covariance, *np.linalg.eigh(covariance), singular, np.linalg.qr(x, mode="r"), np.linalg.inv(covariance)]


def _random() -> list[np.ndarray]:
    generator = np.random.default_rng([3, 1])
    drawn = [generator.standard_normal(5000), generator.uniform(-1, 1, 5000), generator.permutation(5000)]
    return [*drawn, generator.beta(0.2, 0.2, 500), latents(64, 100, 0)]


def _pca() -> list[np.ndarray]:
    images = pixels(300, 8, 3)
    few, many = images[:60], images
    return [pca_reconstructions(few, images[:20], 30), pca_reconstructions(many, images[:20], 32)]


def _fidelity() -> list[np.ndarray]:
    return list(fidelity(pixels(3, 32, 3), pixels(3, 32, 3, seed=1)))


def _walk() -> list[np.ndarray]:
    return walk(latents(7, 100, 0), 10)


OPERATIONS: dict[str, Operation] = {
    "NumPy exp": partial(_elementwise, np.exp, -20, 20),
    "NumPy log": partial(_elementwise, np.log, 0.001, 20),
    "NumPy sqrt": partial(_elementwise, np.sqrt, 0, 20),
    "NumPy sin and cos": partial(_elementwise, lambda x: np.sin(x) + np.cos(x), -9, 9),
    "NumPy tanh": partial(_elementwise, np.tanh, -4, 4),
    "NumPy arccos and arctan2": partial(_elementwise, lambda x: np.arccos(x) + np.arctan2(x, 1 - x), -1, 1),
    "NumPy power": partial(_elementwise, lambda x: x**3 + x**1.7, 0, 4),
    "NumPy sums": _sums,
    "NumPy matrix product, float32": partial(_product, np.float32, 60, 1280, 50),
    "NumPy matrix product, float64": partial(_product, np.float64, 60, 1280, 50),
    "NumPy einsum": lambda: [np.einsum("nij,nj->ni", floats(500, 2, 2), floats(500, 2, seed=1))],
    "NumPy decompositions": _decompositions,
    "NumPy random numbers": _random,
    "statistics of images": lambda: list(statistics(pixels(60, 32, 3)).values()),
    "metrics of probabilities": _classification,
    "KID and diversity": _kid,
    "distances of features": _comparison,
    "SSIM and PSNR": _fidelity,
    "walk between latents": _walk,
    "scikit-learn PCA": _pca,
    "scikit-learn logistic regression": _logistic_regression,
    "linear probe": partial(_probe, 20),
    "map of latents, PCA": lambda: [latent_map(_latents(100, 3), "pca")],
    "map of latents, t-SNE": lambda: [latent_map(_latents(40, 3), "tsne")],
}
