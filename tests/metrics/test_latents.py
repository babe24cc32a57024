"""What latents know of their images: measures with answers worked out by hand or by others' code."""

import numpy as np
import pytest
from helpers.small.images import pictures

from convzoo.metrics.images import fidelity
from convzoo.metrics.latents import latent_map, pca_reconstructions, probe_accuracy


def test_pca_of_all_components_gives_the_images_back_and_fewer_do_not():
    split = pictures(30, 0)
    assert np.array_equal(pca_reconstructions(split.images, split.images, 100), split.images)
    less = fidelity(split.images, pca_reconstructions(split.images, split.images, 3))
    more = fidelity(split.images, pca_reconstructions(split.images, split.images, 10))
    assert less.mse.mean() > more.mse.mean() > 0


def test_the_probe_reads_a_class_that_is_there_and_none_that_is_not():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    noise = rng.standard_normal((300, 8)).astype(np.float32)
    told = noise + 5 * np.eye(3, 8)[labels]
    assert probe_accuracy(told[:200], labels[:200], told[200:], labels[200:], 100) > 0.95
    assert probe_accuracy(noise[:200], labels[:200], noise[200:], labels[200:], 100) < 0.5


@pytest.mark.parametrize("kind", ["pca", "tsne"])
def test_a_map_keeps_neighbours_and_is_the_same_again(kind):
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((40, 6)) + 20 * np.repeat(np.eye(2, 6), 20, axis=0)
    found = latent_map(latents, kind)
    assert found.shape == (40, 2)
    assert np.array_equal(found, latent_map(latents, kind))
    first, second = found[:20].mean(axis=0), found[20:].mean(axis=0)
    near = np.linalg.norm(found - first, axis=1) < np.linalg.norm(found - second, axis=1)
    assert near.tolist() == [True] * 20 + [False] * 20
