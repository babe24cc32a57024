"""Measures of reconstructions and latents, with answers worked out by hand or by others' code."""

import numpy as np
import pytest
from helpers.small.autoencoder import small_settings
from helpers.small.images import pictures
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


def test_pictures_smaller_than_the_window_of_ssim_are_measured_too():
    images = pictures(3, 0).images[:, :6, :8]
    assert measures.fidelity(images, images).ssim == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("made", [np.zeros((2, 16, 16, 3)), np.zeros((2, 16, 16, 1), np.uint8)])
def test_other_shapes_and_types_are_refused(made):
    with pytest.raises(ValueError, match="expected images and reconstructions as uint8"):
        measures.fidelity(np.zeros((2, 16, 16, 3), np.uint8), made)


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
