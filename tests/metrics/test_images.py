"""Measures of reconstructions and latents, with answers worked out by hand or by others' code."""

import numpy as np
import pytest
from helpers.small.autoencoder import small_settings
from helpers.small.images import pictures
from scipy.ndimage import gaussian_filter, uniform_filter
from skimage.metrics import peak_signal_noise_ratio

from convzoo.families.autoencoder.settings import misfits
from convzoo.metrics import images as measures


def test_fidelity_by_hand():
    images = np.full((2, 16, 16, 3), 100, np.uint8)
    made = images.copy()
    made[1] += 10
    found = measures.fidelity(images, made)
    assert found.mse.tolist() == [0, 100]
    # A perfect image counts as one whose one value is off by one level: 10 log10(255^2 * 768).
    assert found.psnr == pytest.approx([10 * np.log10(255**2 * 768), 10 * np.log10(255**2 / 100)])
    assert found.ssim[0] == 1
    summary = found.summary()
    assert summary["psnr"] == pytest.approx(10 * np.log10(255**2 / 50))
    assert summary["image_psnr"] == pytest.approx(found.psnr.mean())


def test_psnr_is_scikit_images():
    images, made = pictures(5, 0).images, pictures(5, 1).images
    expected = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in zip(images, made, strict=True)]
    np.testing.assert_allclose(measures.fidelity(images, made).psnr, expected)
    assert measures.psnr(0.0) == np.inf


@pytest.mark.parametrize(("height", "width", "window"), [(16, 14, None), (11, 12, None), (10, 12, 9), (9, 16, 9)])
def test_ssim_is_that_of_the_paper(height, width, window):
    images, made = pictures(3, 0, 16).images[:, :height, :width], pictures(3, 1, 16).images[:, :height, :width]

    def average(x: np.ndarray) -> np.ndarray:
        if window is None:
            return gaussian_filter(x, 1.5, truncate=5 / 1.5)  # 11 pixels
        return uniform_filter(x, window)

    def similarity(x: np.ndarray, y: np.ndarray) -> float:
        count = 1 if window is None else window**2 / (window**2 - 1)  # an unweighted window estimates from a sample
        mean_x, mean_y = average(x), average(y)
        covariance = {
            name: count * (average(a * b) - average(a) * average(b))
            for name, a, b in (("xx", x, x), ("yy", y, y), ("xy", x, y))
        }
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        map_ = (2 * mean_x * mean_y + c1) * (2 * covariance["xy"] + c2)
        map_ /= (mean_x**2 + mean_y**2 + c1) * (covariance["xx"] + covariance["yy"] + c2)
        edge = ((window or 11) - 1) // 2
        return map_[edge : height - edge, edge : width - edge].mean()

    expected = [
        np.mean([similarity(a[..., channel].astype(float), b[..., channel].astype(float)) for channel in range(3)])
        for a, b in zip(images, made, strict=True)
    ]
    np.testing.assert_allclose(measures.fidelity(images, made).ssim, expected, rtol=1e-6)


def test_a_summary_averages_and_a_selection_keeps_the_images_it_names():
    mse, psnr, ssim = np.array([4.0, 100.0, 9.0]), np.array([42.0, 28.0, 38.5]), np.array([0.9, 0.5, 0.7])
    chosen = measures.Fidelity(mse, psnr, ssim).select(np.array([True, False, True]))
    assert [values.tolist() for values in chosen] == [[4, 9], [42, 38.5], [0.9, 0.7]]
    expected = {"mse": 6.5, "psnr": 10 * np.log10(255**2 / 6.5), "image_psnr": 40.25, "ssim": 0.8}
    assert chosen.summary() == pytest.approx(expected)
    assert all(type(value) is float for value in chosen.summary().values())


def test_psnr_of_arrays_is_bounded_by_one_level_in_one_value():
    expected = [10 * np.log10(255**2 * 50), 10 * np.log10(255**2 / 0.5), 0]
    np.testing.assert_allclose(measures.psnr(np.array([0, 0.5, 255**2]), 50), expected, atol=1e-12)
    assert measures.psnr(1 / 255) == pytest.approx(30 * np.log10(255))


def test_pictures_smaller_than_the_window_of_ssim_are_measured_too():
    images = pictures(3, 0).images[:, :6, :8]
    assert measures.fidelity(images, images).ssim == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(
    ("shape", "kinds"),
    [
        (((2, 16, 16, 3), (2, 16, 16, 3)), (np.uint8, float)),
        (((2, 16, 16, 3), (2, 16, 16, 3)), (float, float)),
        (((2, 16, 16, 3), (2, 16, 16, 1)), (np.uint8, np.uint8)),
        (((2, 16, 16), (2, 16, 16)), (np.uint8, np.uint8)),
    ],
)
def test_other_shapes_and_types_are_refused(shape, kinds):
    with pytest.raises(ValueError, match="expected images and reconstructions as uint8"):
        measures.fidelity(*map(np.zeros, shape, kinds))


@pytest.mark.parametrize(
    ("changes", "key", "told"),
    [
        ({"strides": [5]}, ("fast", "strides"), "together 5, which does not divide pictures of 32x32"),
        ({"latent": 2000}, ("fast", "latent"), "got 2000, expected 1024 at most"),
        ({"shift": 32}, ("shift",), "got 32, expected less than the side"),
    ],
)
def test_what_does_not_fit_the_pictures_is_said(changes, key, told):
    [(found, message)] = misfits(small_settings(**changes), 32, 32)
    assert found == key
    assert told in message


def test_the_committed_settings_fit_their_pictures():
    assert not list(misfits(small_settings(), 32, 32))
