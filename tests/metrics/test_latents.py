"""What latents know of their images: measures with answers worked out by hand or by others' code."""

import warnings

import numpy as np
import pytest
from helpers import references
from helpers.small.images import pictures
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_info

from convzoo.metrics import latents as measures
from convzoo.metrics.images import fidelity
from convzoo.metrics.latents import latent_map, pca_reconstructions, probe_accuracy


def test_pca_of_all_components_gives_the_images_back_and_fewer_do_not():
    split = pictures(30, 0, 8)
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


def test_the_probe_hides_only_that_it_was_stopped(monkeypatch):
    def warned(self: LogisticRegression, *given: np.ndarray) -> LogisticRegression:
        warnings.warn("stopped", ConvergenceWarning, stacklevel=1)
        warnings.warn("something else", UserWarning, stacklevel=1)
        return fit(self, *given)

    fit = LogisticRegression.fit
    monkeypatch.setattr(LogisticRegression, "fit", warned)
    latents, labels = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        assert probe_accuracy(latents, labels, latents, labels, 9) == 1
    assert [str(warning.message) for warning in shown] == ["something else"]


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_pca_and_the_probe_are_those_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(measures, "BATCH", 7)
    train, test = pictures(40, 0, 8), pictures(17, 1, 8)
    for components in (4, 20):
        expected = references.pca(train.images, test.images, components).astype(int)
        found = pca_reconstructions(train.images, test.images, components)
        assert found.dtype == np.uint8
        assert np.abs(found - expected).max() <= 1 and (found != expected).mean() < 1e-3  # a level halfway
    # No more than there are images.
    most, more = (pca_reconstructions(train.images[:9], test.images, components) for components in (9, 60))
    assert np.array_equal(most, more)
    rng = np.random.default_rng(1)
    codes = [side.images.reshape(len(side.images), -1) @ rng.normal(0, 9, (192, 3)) for side in (train, test)]
    for iterations in (3, 100):  # the first stops it early
        predicted = references.linear_probe(codes[0], train.labels, codes[1], max_iter=iterations)
        found = probe_accuracy(codes[0], train.labels, codes[1], test.labels, iterations)
        assert found == np.mean(predicted == test.labels) and type(found) is float


def test_maps_are_the_first_components_and_t_sne_of_at_most_fifty(monkeypatch):
    rng = np.random.default_rng(0)
    latents = (rng.normal(size=(70, 60)) * np.linspace(3, 1, 60)).astype(np.float32)
    centred = latents.astype(float) - latents.mean(axis=0, dtype=float)
    vectors = np.linalg.svd(centred, full_matrices=False)[2]
    found = latent_map(latents, "pca")
    np.testing.assert_allclose(np.abs(found), np.abs(centred @ vectors[:2].T), atol=1e-6)
    calls = []

    class Recorded(TSNE):
        def fit_transform(self, components: np.ndarray) -> np.ndarray:
            calls.append(self.perplexity)
            assert (self.n_components, self.init, self.random_state) == (2, "pca", 0)
            assert [pool["num_threads"] for pool in threadpool_info()] == [1] * len(threadpool_info())
            return components

    monkeypatch.setattr("sklearn.manifold.TSNE", Recorded)
    for count in (100, 16):
        rows = np.resize(latents, (count, 60)) + rng.normal(0, 0.1, (count, 60))
        expected = PCA(min(count, 50), svd_solver="full").fit_transform(rows)
        np.testing.assert_allclose(latent_map(rows, "tsne"), expected)
    assert calls == [30, 5]
