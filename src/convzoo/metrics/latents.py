"""Baselines and probes of latents, as functions of arrays.

Throughout, latents are floats (N, L) and images are uint8 (N, H, W, C). PCA, the linear probe and t-SNE are those of
scikit-learn, which is imported on first use because its import is slow.
"""

import warnings

import numpy as np

from convzoo.metrics.images import PEAK

BATCH = 500  # images at a time, to limit the use of memory


def pca_reconstructions(train: np.ndarray, images: np.ndarray, components: int) -> np.ndarray:
    """Reconstruct `images` from the first `components` principal components of the images `train`, as uint8.

    Uses fewer components if `train` has fewer images. The components are exact: eigenvectors of the covariance, or for
    fewer images than values in one, singular vectors of the images, which take a fraction of the time.
    """
    from sklearn.decomposition import PCA

    flat = train.reshape(len(train), -1).astype(np.float32)
    solver = "full" if len(flat) < flat.shape[1] else "covariance_eigh"
    pca = PCA(min(components, *flat.shape), svd_solver=solver).fit(flat)
    reconstructions = []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        levels = pca.inverse_transform(pca.transform(batch.reshape(len(batch), -1).astype(np.float32)))
        reconstructions.append(np.rint(levels).clip(0, PEAK).astype(np.uint8).reshape(batch.shape))
    return np.concatenate(reconstructions)


def probe_accuracy(
    latents: np.ndarray, labels: np.ndarray, test_latents: np.ndarray, test_labels: np.ndarray, iterations: int
) -> float:
    """Return the share of test images that a linear classifier of their latents classifies correctly.

    The classifier is a multinomial logistic regression on standardised latents with scikit-learn's L2 penalty of 1,
    stopped after `iterations` (Alain and Bengio 2016, https://arxiv.org/abs/1610.01644).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=iterations))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `iterations` stops it early on purpose
        probe.fit(latents.astype(np.float64), labels)
    return float(probe.score(test_latents.astype(np.float64), test_labels))


def latent_map(latents: np.ndarray, kind: str) -> np.ndarray:
    """Project latents to two dimensions (N, 2): their first two principal components (pca) or t-SNE (tsne).

    t-SNE follows van der Maaten and Hinton 2008, on the first 50 principal components, starting at the first two. It
    runs on one thread, since its sums depend on how threads split them.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    latents = latents.astype(np.float64)
    components = 2 if kind == "pca" else min(50, *latents.shape)
    projected = PCA(components, svd_solver="full").fit_transform(latents)
    if kind == "pca":
        return projected
    perplexity = min(30.0, (len(latents) - 1) / 3)
    with threadpool_limits(1):
        return TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(projected)
