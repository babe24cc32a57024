"""How near reconstructions come to their images, and what latents know: functions of arrays.

Throughout: `images` and `made` are uint8 (N, H, W, C), errors are in grey levels; `latents` are floats (N, L). SSIM,
PCA, the linear probe and the map are scikit-image's and scikit-learn's, imported where they are used, since that takes
time.
"""

import warnings
from typing import NamedTuple

import numpy as np

PEAK = 255  # grey levels
ROWS = 500  # images at a time, so that memory stays bounded


class Fidelity(NamedTuple):
    """How near reconstructions come to their images; arrays hold a value an image."""

    mse: np.ndarray  # mean squared error, squared grey levels
    psnr: np.ndarray  # dB
    ssim: np.ndarray  # 1: the same

    def summary(self) -> dict[str, float]:
        """`psnr` is that of the mean squared error over all images, `image_psnr` the mean of the images' own."""
        return {
            "mse": float(self.mse.mean()),
            "psnr": float(psnr(self.mse.mean())),
            "image_psnr": float(self.psnr.mean()),
            "ssim": float(self.ssim.mean()),
        }

    def of(self, rows: np.ndarray) -> "Fidelity":
        """The same of some images."""
        return Fidelity(self.mse[rows], self.psnr[rows], self.ssim[rows])


def psnr(mse: np.ndarray | float, values: int | None = None) -> np.ndarray | float:
    """Peak signal-to-noise ratio (dB) of mean squared errors over `values` grey levels.

    A perfect image has none: it counts as if one of its values were off by one level. Without `values` it is infinite.
    """
    with np.errstate(divide="ignore"):
        return 10 * np.log10(PEAK**2 / np.maximum(mse, 1 / values if values else 0))


def fidelity(images: np.ndarray, made: np.ndarray) -> Fidelity:
    """Mean squared error, PSNR and SSIM of each image.

    SSIM as in Wang et al. 2004 (https://doi.org/10.1109/TIP.2003.819861): a Gaussian window of 1.5 pixels, averaged
    over channels; for pictures smaller than that window (11 pixels) the largest odd square that fits, unweighted.
    Raises ValueError unless both are uint8 of one shape.
    """
    from skimage.metrics import structural_similarity

    if images.shape != made.shape or images.dtype != np.uint8 or made.dtype != np.uint8 or images.ndim != 4:
        told = f"{images.dtype} {images.shape} and {made.dtype} {made.shape}"
        raise ValueError(f"expected images and reconstructions as uint8 (N, H, W, C) of one shape, got {told}")
    side = min(images.shape[1:3])
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    window = window if side >= 11 else {"win_size": side - (side % 2 == 0)}
    errors, similar = [], []
    for before, after in zip(images, made, strict=True):
        errors.append(np.square(before.astype(np.float64) - after).mean())
        similar.append(structural_similarity(before, after, channel_axis=-1, data_range=PEAK, **window))
    mse = np.array(errors)
    return Fidelity(mse, psnr(mse, images[0].size), np.array(similar))


def spread(count: int, most: int) -> np.ndarray:
    """At most `most` of `count` rows, evenly spread over all of them."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def pca_reconstructions(train: np.ndarray, images: np.ndarray, components: int) -> np.ndarray:
    """`images` as `components` principal components of `train` (uint8, both) give them back, as uint8 images.

    Fewer where `train` has not as many images. Exact: from the eigenvectors of the covariance.
    """
    from sklearn.decomposition import PCA

    flat = train.reshape(len(train), -1).astype(np.float32)
    pca = PCA(min(components, *flat.shape), svd_solver="covariance_eigh").fit(flat)
    made = []
    for start in range(0, len(images), ROWS):
        part = images[start : start + ROWS]
        found = pca.inverse_transform(pca.transform(part.reshape(len(part), -1).astype(np.float32)))
        made.append(np.rint(found).clip(0, PEAK).astype(np.uint8).reshape(part.shape))
    return np.concatenate(made)


def probe_accuracy(
    latents: np.ndarray, labels: np.ndarray, test_latents: np.ndarray, test_labels: np.ndarray, iterations: int
) -> float:
    """The share of test images that a linear classifier names rightly from their latents alone.

    Multinomial logistic regression on standardised latents, with scikit-learn's L2 penalty of 1, stopped after
    `iterations` (Alain and Bengio 2016, https://arxiv.org/abs/1610.01644).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=iterations))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is what `iterations` is for
        probe.fit(latents.astype(np.float64), labels)
    return float(probe.score(test_latents.astype(np.float64), test_labels))


def latent_map(latents: np.ndarray, kind: str) -> np.ndarray:
    """Latents in two dimensions (N, 2): their first principal components (pca), or t-SNE of the first 50 (tsne).

    t-SNE as in van der Maaten and Hinton 2008, started at the principal components; on one thread, since its sums
    depend on how they are cut.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    latents = latents.astype(np.float64)
    most = min(50, *latents.shape)
    found = PCA(2 if kind == "pca" else most, svd_solver="full").fit_transform(latents)
    if kind == "pca":
        return found
    perplexity = min(30.0, (len(latents) - 1) / 3)
    with threadpool_limits(1):
        return TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(found)
