"""How far an exported file's results are from those of the weights: the block `parity` of export.json.

As in {"split": "val", "images": 200, "files": {"model.onnx": {"unit": "probability", "largest": 3e-07, ...}}}.
"""

from typing import Any, NamedTuple

import numpy as np

from convzoo.text import percent

# The largest difference allowed, in fp32. A value halfway between two grey levels may be rounded either way.
ALLOWED = {"probability": 1e-4, "grey level": 1}
ALLOWED_SHARE = 1e-3  # of grey levels that may differ
RELATIVE = 1e-3  # latents and features: allowed difference, relative to the largest of them

# How files are called in records that are older than the key `files`, see `_converted`.
OLD_NAMES = {"reconstructions": "model.onnx", "latents": "extra/encoder.onnx", "decoded": "extra/decoder.onnx"}


class Parity(NamedTuple):
    """How far the results of one file are from those of the weights, for the same inputs."""

    unit: str  # of the results: probability, grey level, latent or feature
    largest: float  # difference of a result
    allowed: float
    share: float | None = None  # grey levels: the share of them that differs
    allowed_share: float | None = None
    top1_agreement: float | None = None  # probabilities: the share of inputs with the same most probable class

    @property
    def holds(self) -> bool:
        """Whether the file computes what the weights do, up to rounding."""
        if self.share is not None and not self.share <= self.allowed_share:
            return False
        return self.largest <= self.allowed and self.top1_agreement in (None, 1)

    @property
    def required(self) -> str:
        """What is allowed, as in `<= 1 grey level on 0.001 of them`."""
        share = f" on {self.allowed_share:g} of them" if self.share is not None else ""
        return f"<= {self.allowed:.2g} {self.unit}{share}"

    @property
    def measured(self) -> str:
        """What was measured, as in `1 on 0.00024`."""
        share = f" on {self.share:.3g}" if self.share is not None else ""
        same = f", top-1 agreement {percent(self.top1_agreement)}" if self.top1_agreement not in (None, 1) else ""
        return f"{self.largest:.3g}{share}{same}"

    def record(self) -> dict[str, Any]:
        """The block for export.json, with two digits of each number."""
        known = {key: value for key, value in self._asdict().items() if value is not None}
        return {key: float(f"{value:.2g}") if isinstance(value, float) else value for key, value in known.items()}


def compare(expected: np.ndarray, results: np.ndarray, unit: str) -> Parity:
    """Compare a file's `results` (N, ...) with those `expected` from the weights."""
    if results.shape != expected.shape:
        return Parity(unit, float("inf"), 0.0)
    difference = np.abs(results.astype(np.float64) - expected)
    largest = float(difference.max())
    if unit == "grey level":
        return Parity(unit, largest, ALLOWED[unit], float((difference > 0).mean()), ALLOWED_SHARE)
    if unit == "probability":
        same = float((results.argmax(axis=1) == expected.argmax(axis=1)).mean())
        return Parity(unit, largest, ALLOWED[unit], top1_agreement=same)
    return Parity(unit, largest, RELATIVE * float(np.abs(expected).max()))


def parity_of(export: dict[str, Any]) -> dict[str, Parity]:
    """What export.json records of each file, also in the forms of earlier versions; empty if it records nothing."""
    recorded = export.get("parity", {})
    if "files" not in recorded:
        return _converted(recorded)
    return {name: Parity(**block) for name, block in recorded["files"].items()}


def _converted(recorded: dict[str, Any]) -> dict[str, Parity]:
    """Records of versions that were registered before the key `files`: one block for a classifier or a generator, a
    block for each file of an autoencoder, whose limits on grey levels were not recorded.
    """
    blocks = {OLD_NAMES[name]: block for name, block in recorded.items() if name in OLD_NAMES}
    found = {}
    for name, block in (blocks or {"model.onnx": recorded}).items():
        if "max_levels" in block:
            share = block["share_of_pixels"] if blocks else block["share_different"]
            limits = (block.get("tolerance_levels", ALLOWED["grey level"]), block.get("tolerance_share", ALLOWED_SHARE))
            found[name] = Parity("grey level", block["max_levels"], limits[0], share, limits[1])
        elif "max_abs_difference" in block:
            unit = "latent" if blocks else "probability"
            same = block["same_top1"] / block["images"] if "same_top1" in block else None
            found[name] = Parity(unit, block["max_abs_difference"], block["tolerance"], top1_agreement=same)
    return found
