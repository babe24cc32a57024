"""Random latents, the inputs of a generator, in NumPy."""

from typing import Any

import numpy as np

from convzoo.errors import ConvzooError, did_you_mean


def latents(count: int, size: int, seed: int) -> np.ndarray:
    """Draw standard normal latents (count, size), float32; a larger count starts with the same rows."""
    return np.random.Generator(np.random.PCG64(seed)).standard_normal((count, size), dtype=np.float32)


def chosen_classes(latents: Any, classes: int) -> Any:
    """Return the class (N,) that each of the latents (N, L) chooses, an array or a tensor like them.

    For a conditional generator, it is the largest of the first `classes` numbers.
    """
    return latents[:, :classes].argmax(1)


def class_index(described: dict[str, Any], name: str, key: str) -> int:
    """Return the index of the class `name` of a generator whose file describes itself so; `key` is for messages.

    Raises ConvzooError if the generator is not conditional or has no such class.
    """
    if not described.get("conditional"):
        raise ConvzooError(
            f"{key}: got {name!r}, but {described.get('network', 'the network')} was trained without classes, expected "
            f"none; leave it out, or train with conditional: true"
        )
    names = described["classes"]
    if name not in names:
        raise ConvzooError(f"{key}: got {name!r}, {did_you_mean(name, names)}expected one of: {', '.join(names)}")
    return names.index(name)


def choosing(latents: np.ndarray, classes: int, chosen: int) -> np.ndarray:
    """Return latents (N, L) that choose the class `chosen` of `classes`.

    The largest of the first `classes` numbers changes places with the one at `chosen`, so that they stay as probable.
    """
    changed, rows = latents.copy(), np.arange(len(latents))
    largest = chosen_classes(latents, classes)
    changed[rows, largest] = latents[:, chosen]
    changed[:, chosen] = latents[rows, largest]
    return changed


def walk(ends: np.ndarray, steps: int) -> list[np.ndarray]:
    """Interpolate from each of the latents `ends` (K, L) to the next: K - 1 arrays float32 (steps, L).

    The interpolation is spherical: on a straight line, latents would be shorter than any seen in training (White 2016,
    https://arxiv.org/abs/1609.04468).
    """
    share = np.linspace(0, 1, steps)[:, None]
    paths = []
    for start, end in zip(ends[:-1].astype(np.float64), ends[1:].astype(np.float64), strict=True):
        angle = np.arccos(start @ end / np.linalg.norm(start) / np.linalg.norm(end))
        path = (np.sin((1 - share) * angle) * start + np.sin(share * angle) * end) / np.sin(angle)
        paths.append(path.astype(np.float32))
    return paths
