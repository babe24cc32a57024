"""The latents of a generator's pictures, and how the pictures are put together."""

import io

import numpy as np
import pytest
from PIL import Image

from convzoo.data.contact_sheet import contact_sheet
from convzoo.families.dcgan import pictures
from convzoo.families.dcgan.latents import latents, walk


def test_latents_are_the_same_for_a_seed_and_any_count():
    assert np.array_equal(latents(3, 8, 5), latents(7, 8, 5)[:3])
    assert not np.array_equal(latents(3, 8, 5), latents(3, 8, 6))
    assert latents(4000, 8, 0).std() == pytest.approx(1, abs=0.02)


def test_a_walk_goes_from_latent_to_latent_without_getting_short():
    ends = latents(3, 100, 0)
    paths = walk(ends, 5)
    assert len(paths) == 2
    np.testing.assert_allclose(paths[0][0], ends[0], atol=1e-5)
    np.testing.assert_allclose(paths[1][-1], ends[2], atol=1e-5)
    lengths = np.linalg.norm(paths[0], axis=1)
    assert lengths.min() > 0.97 * min(lengths[0], lengths[-1])


def test_the_animation_has_a_frame_per_epoch_and_the_sheet_the_kept_one(tmp_path):
    grids = {epoch: np.full((2, 4, 28, 28, 1), 60 * epoch, np.uint8) for epoch in (1, 2, 4)}
    pictures.draw_progress(tmp_path, grids, kept=2)
    size = (4 * 62 + 6, 2 * 62 + 6 + 16)
    with Image.open(tmp_path / "progress.gif") as gif:
        assert (gif.n_frames, gif.size) == (3, size)
    with Image.open(tmp_path / "first_and_last.png") as sheet:
        assert (sheet.size, sheet.info) == ((3 * size[0], size[1]), {})
        assert [sheet.getpixel((number * size[0] + 30, 60))[0] for number in range(3)] == [60, 120, 240]
        untitled = contact_sheet(grids[1])
        assert sheet.crop((0, 16, *size)).tobytes() == untitled.tobytes()


def test_a_long_animation_loses_frames_until_it_fits(monkeypatch):
    monkeypatch.setattr(pictures, "GIF_BYTES", 30_000)
    randomness = np.random.default_rng(0)
    frames = [Image.fromarray(randomness.integers(0, 256, (64, 64, 3), np.uint8)) for _ in range(40)]
    written = pictures.animation(frames)
    assert len(written) <= 30_000
    with Image.open(io.BytesIO(written)) as gif:
        assert 2 <= gif.n_frames < 40
