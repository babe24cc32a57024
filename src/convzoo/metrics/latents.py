"""What latents know of their images: functions of arrays.

Throughout: `latents` are floats (N, L), images uint8 (N, H, W, C). PCA, the linear probe and the map come from
scikit-learn, which is imported where it is used because that takes time.
"""

import warnings

import numpy as np

from convzoo.metrics.images import PEAK

ROWS = 500  # images at a time, so that memory stays bounded


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
