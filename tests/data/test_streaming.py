"""The order in which images in shards are read: each once, shuffled by seed and epoch, a window of blocks at a time."""

import numpy as np
import pytest
import torch
from helpers.sharded import BLOCK, write_shards

from convzoo.data.arrays import Split, load_split
from convzoo.data.batches import ImageSet, shuffled_blocks
from convzoo.training.machine import seed_epoch

COUNT, CPU = 60, torch.device("cpu")


@pytest.fixture
def split():
    """Images whose pixels all are their row."""
    rows = np.arange(COUNT)
    return Split(np.broadcast_to(rows.astype(np.uint8)[:, None, None, None], (COUNT, 4, 4, 1)).copy(), rows % 3)


@pytest.fixture
def sharded(tmp_path, split, monkeypatch):
    return load_split(write_shards(tmp_path / "train", split, monkeypatch))


def rows_of(images: ImageSet, order) -> list[int]:
    """The rows in the batches, read from the pixels."""
    return [int(image[0, 0, 0]) for batch, _ in images.batches(order) for image in batch]


def test_an_epoch_yields_every_image_once_with_its_label(sharded):
    images = ImageSet([sharded], CPU)
    order = images.shuffled(10, seed_epoch(0, 0))
    assert sorted(rows_of(images, order)) == list(range(COUNT))
    for batch, labels in images.batches(order):
        np.testing.assert_array_equal(batch[:, 0, 0, 0] % 3, labels)


def test_the_order_depends_on_seed_and_epoch_alone(sharded):
    orders = {
        (seed, epoch): ImageSet([sharded], CPU).shuffled(10, seed_epoch(seed, epoch)).flatten().tolist()
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(set(map(tuple, orders.values()))) == 4
    again = ImageSet([sharded], CPU)
    again.take(torch.arange(33))
    assert again.shuffled(10, seed_epoch(1, 1)).flatten().tolist() == orders[1, 1]


def test_the_last_shorter_batch_is_dropped_and_too_few_images_form_one(sharded):
    images = ImageSet([sharded], CPU)
    assert images.shuffled(25, seed_epoch(0, 0)).shape == (2, 25)
    assert images.shuffled(99, seed_epoch(0, 0)).shape == (1, COUNT)


def test_blocks_of_a_window_are_from_anywhere_and_their_images_are_mixed():
    sizes = torch.full((100,), 50)
    order = shuffled_blocks(sizes, 10, torch.Generator().manual_seed(0))
    windows = (order // 50).view(10, 500)
    assert [len(set(window.tolist())) for window in windows] == [10] * 10
    assert sorted({block for window in windows for block in window.tolist()}) == list(range(100))
    for window in windows:
        assert window.unique().float().std() > 15, "blocks that are neighbours would have 3"
        batches = [len(batch.unique()) for batch in window.view(10, 50)]
        assert min(batches) >= 8, "all but a few of ten blocks in each batch of 50"


def test_each_block_is_read_once_in_an_epoch(sharded, monkeypatch):
    images, read = ImageSet([sharded], CPU), []
    kept = sharded.images._read
    monkeypatch.setattr(sharded.images, "_read", lambda number, part: (read.append(number), kept(number, part))[1])
    rows_of(images, images.shuffled(5, seed_epoch(0, 0)))
    assert sorted(read) == list(range(-(-COUNT // BLOCK)))


def test_an_epoch_continues_at_any_batch(sharded):
    order = ImageSet([sharded], CPU).shuffled(10, seed_epoch(0, 3))
    whole = rows_of(ImageSet([sharded], CPU), order)
    for start in range(len(order)):
        assert rows_of(ImageSet([sharded], CPU), order[start:]) == whole[start * 10 :]


def test_stored_variants_in_arrays_are_read_with_their_originals_in_shards(sharded, split):
    variants = Split(split.images[:20] + 100, split.labels[:20])
    images = ImageSet([sharded, variants], CPU)
    order = images.shuffled(10, seed_epoch(0, 0))
    assert sorted(rows_of(images, order)) == sorted([*range(COUNT), *range(100, 120)])
    arrays = ImageSet([split, variants], CPU)
    assert rows_of(arrays, order) == rows_of(images, order)
