"""How an epoch of a generator's training is judged, on val, by features of its samples; and how samples are shown.

Functions of arrays, with no torch. `real` and `generated` are features (N, D) and (M, D) of one feature network.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from convzoo.errors import ConvzooError
from convzoo.families.dcgan.settings import CollapseSettings
from convzoo.files import read_json, sha256_of
from convzoo.shipping.model import Model, run_in_batches

BATCH = 250  # images whose features are computed at a time
GIF_BYTES, GIF_COLOURS = 1_500_000, 64  # at most
GIF_STEP, GIF_END = 350, 2500  # milliseconds that a frame is shown, and the last one


class Judged(NamedTuple):
    """What an epoch's samples are worth."""

    kid: float  # kernel Inception distance to val; 0: the same distribution
    diversity: float  # how far the samples lie apart, 1 being how far the images of val do


def latents(count: int, size: int, seed: int) -> np.ndarray:
    """Standard normal latents (count, size), float32; the same for the same seed, and the first ones for any count."""
    return np.random.Generator(np.random.PCG64(seed)).standard_normal((count, size), dtype=np.float32)


def spread_out(count: int, most: int) -> np.ndarray:
    """At most `most` of `count` places, even over all, since the images of a split may be sorted."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


class FeatureNetwork:
    """The fixed network in data/weights/NAME/features.onnx: features float32 (N, D) for images uint8 (N, H, W, C).

    Raises ConvzooError where there is none, for one that weights.json does not name so, and where it takes no images
    with `channels`.
    """

    def __init__(self, name: str, channels: int) -> None:
        file = Path("data/weights", name, "features.onnx")
        if not file.is_file():
            raise ConvzooError(
                f"{file}: there is no such file; `dvc repro weights@{name}` brings it, if `weights.{name}` of "
                "params.yaml is one that has features"
            )
        self.name, self.sha256 = name, sha256_of(file)
        expected = read_json(file.with_name("weights.json"))["files"].get(file.name)
        if self.sha256 != expected:
            raise ConvzooError(
                f"{file}: has sha256 {self.sha256[:12]}, expected {str(expected)[:12]} as weights.json says; bring it "
                f"back: dvc checkout, or make it anew: dvc repro -f weights@{name}"
            )
        self.model = Model(file)
        if self.model.input.shape[-1] not in (channels, None):
            raise ConvzooError(f"{file}: takes {self.model.input}, the images have {channels} channels")

    def __call__(self, images: np.ndarray, progress: str | None = None) -> np.ndarray:
        return run_in_batches(self.model, images, BATCH, progress)


def judge(real: np.ndarray, generated: np.ndarray) -> Judged:
    """KID and diversity of the samples' features against those of val."""
    return Judged(kid(real, generated), scatter(generated) / scatter(real))


def alarm(network: str, limits: CollapseSettings, judged: list[dict]) -> list[str]:
    """What has gone wrong for several of the `judged` history rows in a row, the last one included; it is printed.

    Raises ConvzooError instead where `limits` say that a collapse fails the training.
    """
    last = judged[-limits.judged_epochs :]
    if len(last) < limits.judged_epochs:
        return []
    when = f"at {len(last)} judged epochs in a row"
    found = []
    if all(row["val_diversity"] < limits.diversity for row in last):
        now = last[-1]["val_diversity"]
        found.append(f"the samples are alike: diversity {now:.2g}, below {limits.diversity:g} {when}")
    means = [row[f"train_{side}_probability"] for row in last for side in ("real", "fake")]
    if all(min(mean, 1 - mean) < limits.probability for mean in means):
        found.append(f"the discriminator is sure of everything: D(x) {means[-2]:.2g}, D(G(z)) {means[-1]:.2g} {when}")
    found = [f"epoch {last[-1]['epoch']}: {told}" for told in found]
    for told in found:
        if limits.action == "fail":
            raise ConvzooError(f"{network}: {told}; change the balance of the players, or set collapse.action: warn")
        print(f"{network}: warning: {told}", flush=True)
    return found


def kid(real: np.ndarray, generated: np.ndarray) -> float:
    """The kernel Inception distance: the squared maximum mean discrepancy under the kernel (x.y / D + 1)^3.

    The unbiased estimate, which may be a little below zero (Binkowski et al. 2018, https://arxiv.org/abs/1801.01401).
    Needs two images on each side.
    """
    n, m = len(real), len(generated)
    within_real, within_generated = kernel(real, real), kernel(generated, generated)
    between = kernel(real, generated).mean()
    same_real = (within_real.sum() - np.trace(within_real)) / (n * (n - 1))
    same_generated = (within_generated.sum() - np.trace(within_generated)) / (m * (m - 1))
    return float(same_real + same_generated - 2 * between)


def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The kernel (x.y / D + 1)^3 of rows (N, D) and (M, D), as (N, M)."""
    return (a.astype(np.float64) @ b.T.astype(np.float64) / a.shape[1] + 1) ** 3


def scatter(features: np.ndarray) -> float:
    """The mean squared distance of two different rows' features, halved: the trace of their covariance."""
    return float(features.astype(np.float64).var(axis=0, ddof=1).sum())


def walk(ends: np.ndarray, steps: int) -> list[np.ndarray]:
    """The ways from each of the latents `ends` (K, L) to the next, as K - 1 arrays float32 (steps, L).

    Along arcs, since latents in between would be shorter than any that the generator has met (White 2016,
    https://arxiv.org/abs/1609.04468).
    """
    share = np.linspace(0, 1, steps)[:, None]
    ways = []
    for start, end in zip(ends[:-1].astype(np.float64), ends[1:].astype(np.float64), strict=True):
        angle = np.arccos(start @ end / np.linalg.norm(start) / np.linalg.norm(end))
        way = (np.sin((1 - share) * angle) * start + np.sin(share * angle) * end) / np.sin(angle)
        ways.append(way.astype(np.float32))
    return ways


def animation(frames: Sequence[Image.Image]) -> bytes:
    """A GIF that shows the frames over and over, in the colours of the last.

    Where it would be large, every second frame is left out until it is not.
    """
    palette = frames[-1].quantize(GIF_COLOURS, dither=Image.Dither.NONE)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    while True:
        written = io.BytesIO()
        times = [GIF_STEP] * (len(frames) - 1) + [GIF_END]
        frames[0].save(written, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
        if written.tell() <= GIF_BYTES or len(frames) <= 2:
            return written.getvalue()
        frames = [*frames[:-1:2], frames[-1]]
