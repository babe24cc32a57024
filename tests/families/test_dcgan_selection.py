"""How the epochs of a DCGAN are judged, and the latents that its pictures come from."""

import re

import numpy as np
import pytest

from convzoo.families.dcgan import selection
from convzoo.families.dcgan.settings import CollapseSettings


def test_kid_is_unbiased_and_grows_with_the_distance():
    randomness = np.random.default_rng(0)
    real = randomness.standard_normal((300, 6))
    same = [selection.kid(real, randomness.standard_normal((300, 6))) for _ in range(20)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 20**0.5 + 0.003
    assert min(same) < 0
    far, farther = (selection.kid(real, randomness.standard_normal((300, 6)) + shift) for shift in (0.5, 1.0))
    assert 0.05 < far < farther


def test_kid_by_hand():
    # D = 1, kernel (xy + 1)^3. Real 0 and 1: k(0, 1) = 1. Generated 1 and 2: k(1, 2) = 27. Between: 1, 1, 8, 27.
    assert selection.kid(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])) == pytest.approx(1 + 27 - 2 * 37 / 4)


def test_diversity_is_one_for_real_images_and_nothing_for_one_image_over_and_over():
    real = np.random.default_rng(0).standard_normal((50, 4))
    assert selection.judge(real, real[::-1]).diversity == pytest.approx(1)
    assert selection.judge(real, np.repeat(real[:1], 9, axis=0)).diversity == pytest.approx(0)


def test_latents_are_the_same_for_a_seed_and_any_count():
    assert np.array_equal(selection.latents(3, 8, 5), selection.latents(7, 8, 5)[:3])
    assert not np.array_equal(selection.latents(3, 8, 5), selection.latents(3, 8, 6))
    assert selection.latents(4000, 8, 0).std() == pytest.approx(1, abs=0.02)


def test_a_walk_goes_from_latent_to_latent_without_getting_short():
    ends = selection.latents(3, 100, 0)
    ways = selection.walk(ends, 5)
    assert len(ways) == 2
    np.testing.assert_allclose(ways[0][0], ends[0], atol=1e-5)
    np.testing.assert_allclose(ways[1][-1], ends[2], atol=1e-5)
    lengths = np.linalg.norm(ways[0], axis=1)
    assert lengths.min() > 0.97 * min(lengths[0], lengths[-1])


COLLAPSE = CollapseSettings(action="warn", diversity=0.1, probability=0.01, judged_epochs=2)


def rows(*values: tuple[float, float, float]) -> list[dict]:
    names = ("train_real_probability", "train_fake_probability", "val_diversity")
    return [{"epoch": epoch, **dict(zip(names, value, strict=True))} for epoch, value in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("judged", "told"),
    [
        (rows((0.6, 0.4, 0.05)), None),
        (rows((0.6, 0.4, 0.05), (0.6, 0.4, 0.04)), "samples are alike: diversity 0.04, below 0.1 at 2 judged epochs"),
        (rows((0.6, 0.4, 0.05), (0.6, 0.4, 0.9)), None),
        (rows((0.6, 0.4, 0.9), (0.995, 0.001, 0.9)), None),
        (rows((0.995, 0.004, 0.9), (0.999, 0.001, 0.9)), r"sure of everything: D\(x\) 1, D\(G\(z\)\) 0.001"),
        (rows((0.999, 0.999, 0.9), (0.999, 0.999, 0.9)), "sure of everything"),
    ],
)
def test_the_alarm_sounds_after_as_many_judged_epochs_as_params_say(judged, told, capsys):
    found = selection.alarm("mnist-dcgan", COLLAPSE, judged)
    assert found == [] if told is None else re.search(f"epoch 2: .*{told}", found[0])
    assert bool(capsys.readouterr().out) == (told is not None)
