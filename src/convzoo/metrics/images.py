"""Metrics of reconstructed images, as functions of arrays.

Throughout, `images` and `reconstructions` are uint8 (N, H, W, C) and errors are in grey levels. SSIM is computed by
scikit-image, which is imported on first use because its import is slow.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

PEAK = 255  # grey levels


class Fidelity(NamedTuple):
    """Errors and similarities of reconstructions; each array (N,) has one value per image."""

    mse: np.ndarray  # mean squared error, squared grey levels
    psnr: np.ndarray  # dB
    ssim: np.ndarray  # 1 for identical images

    def summary(self) -> dict[str, float]:
        """Average over images: `psnr` is that of the mean squared error, `image_psnr` the mean of the images' PSNRs."""
        return {
            "mse": float(self.mse.mean()),
            "psnr": float(psnr(self.mse.mean())),
            "image_psnr": float(self.psnr.mean()),
            "ssim": float(self.ssim.mean()),
        }

    def select(self, rows: np.ndarray) -> "Fidelity":
        """Return the values of the images at `rows` (indices or booleans)."""
        return Fidelity(self.mse[rows], self.psnr[rows], self.ssim[rows])


def psnr(mse: np.ndarray | float, values: int | None = None) -> np.ndarray | np.float64:
    """Return the peak signal-to-noise ratio (dB) of mean squared errors over `values` pixel values.

    The PSNR of a perfect image would be infinite; with `values` it counts as if one value were off by one grey level.
    """
    with np.errstate(divide="ignore"):
        return 10 * np.log10(PEAK**2 / np.maximum(mse, 1 / values if values else 0))


def psnr_interval(mse: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the interval of the PSNR (dB) of the mean of squared errors (N,), given at least two that are not all 0.

    A normal interval for the logarithm of the mean, by the delta method.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    error = float(mse.std(ddof=1) / mse.mean()) / len(mse) ** 0.5
    middle, half = float(psnr(mse.mean())), 10 / math.log(10) * z * error
    return middle - half, middle + half


def fidelity(images: np.ndarray, reconstructions: np.ndarray) -> Fidelity:
    """Compute the mean squared error, PSNR and SSIM of each image.

    SSIM follows Wang et al. 2004 (https://doi.org/10.1109/TIP.2003.819861): a Gaussian window with a standard deviation
    of 1.5 pixels, averaged over channels; images smaller than that window (11 pixels) get the largest odd square that
    fits, unweighted. Raises ValueError unless both arrays are uint8 and have the same shape.
    """
    from skimage.metrics import structural_similarity

    both_uint8 = images.dtype == reconstructions.dtype == np.uint8
    if images.shape != reconstructions.shape or images.ndim != 4 or not both_uint8:
        got = f"{images.dtype} {images.shape} and {reconstructions.dtype} {reconstructions.shape}"
        raise ValueError(f"expected images and reconstructions as uint8 (N, H, W, C) of one shape, got {got}")
    side = min(images.shape[1:3])
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    window = window if side >= 11 else {"win_size": side - (side % 2 == 0)}
    errors, similarities = [], []
    for image, other in zip(images, reconstructions, strict=True):
        errors.append(np.square(image.astype(np.float64) - other).mean())
        similarities.append(structural_similarity(image, other, channel_axis=-1, data_range=PEAK, **window))
    mse = np.array(errors)
    return Fidelity(mse, psnr(mse, images[0].size), np.array(similarities))
