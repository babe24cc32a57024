"""The temperature that an export fits on val."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from convzoo.data.arrays import Split
from convzoo.families.probabilities.export import TEMPERATURES, fitted_temperature


@pytest.mark.parametrize("seed", range(12))
def test_the_fitted_temperature_is_the_best_one_to_three_digits(seed):
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (700,), generator=rng)  # more than a batch
    table = (0.5, 2.0, 9.2)[seed % 3] * (torch.nn.functional.one_hot(labels, 4) + torch.randn(700, 4, generator=rng))
    images = np.arange(700, dtype="<u2").view(np.uint8).reshape(700, 2)  # two bytes: the number of each image
    module = SimpleNamespace(logits=lambda part: table[part[:, 0].long() + 256 * part[:, 1].long()])

    def loss(logarithm: float) -> float:
        return torch.nn.functional.cross_entropy(table.double() / np.exp(logarithm), labels).item()

    best = np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-9}).x)
    assert fitted_temperature(module, Split(images, labels.numpy())) == float(f"{best:.3g}")


@pytest.mark.parametrize(("right", "expected"), [(True, 0.05), (False, 20.0)])
def test_a_temperature_stays_in_its_range(right, expected):
    labels = torch.arange(8) % 2
    table = torch.nn.functional.one_hot(labels if right else 1 - labels, 2).float()
    found = fitted_temperature(
        SimpleNamespace(logits=lambda part: table), Split(np.zeros((8, 1), np.uint8), labels.numpy())
    )
    assert found == expected
