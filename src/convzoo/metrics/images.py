"""How close reconstructions come to their images: functions of arrays.

Throughout: `images` and `made` are uint8 (N, H, W, C), errors are in grey levels. SSIM is scikit-image's, which is
imported where it is used because that takes time.
"""

from typing import NamedTuple

import numpy as np

PEAK = 255  # grey levels


class Fidelity(NamedTuple):
    """How close reconstructions come to their images; the arrays hold one value per image."""

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


def psnr(mse: np.ndarray | float, values: int | None = None) -> np.ndarray | np.float64:
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
