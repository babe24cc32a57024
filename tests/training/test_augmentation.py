"""The augmentations that families share, each compared with what it must do to pixels."""

import pytest
import torch
from helpers.fake_cuda import fake_cuda

from convzoo.training import augmentation

STILL = torch.zeros(2, 4, 1, dtype=torch.int64)  # moves of four images


def images(count: int = 4) -> torch.Tensor:
    return torch.arange(count * 6 * 6, dtype=torch.int64).remainder(251).to(torch.uint8).view(count, 6, 6, 1)


def test_no_augmentation_leaves_images_as_they_are():
    found = augmentation.shift_and_flip(images(), torch.zeros(4, dtype=torch.bool), STILL)
    assert torch.equal(found, images())
    transforms = augmentation.draw_transforms(4, 0, 0, torch.Generator())
    torch.testing.assert_close(augmentation.rotate_and_scale(images(), transforms), images().float())


def test_a_flip_mirrors_and_a_shift_moves_with_mirrored_borders():
    flipped = torch.tensor([True, False, True, False])
    found = augmentation.shift_and_flip(images(), flipped, STILL)
    assert torch.equal(found[0], images()[0].flip(1))
    assert torch.equal(found[1], images()[1])
    padded = torch.nn.functional.pad(images().permute(0, 3, 1, 2).float(), (1, 1, 1, 1), mode="reflect")
    windows = {tuple(padded[0, 0, y : y + 6, x : x + 6].flatten().tolist()): (y, x) for y in range(3) for x in range(3)}
    seen = set()
    for seed in range(40):
        moves = augmentation.draw_moves(1, 1, torch.Generator().manual_seed(seed))
        assert moves.shape == (2, 1, 1)
        moved = augmentation.shift_and_flip(images()[:1], torch.zeros(1, dtype=torch.bool), moves)
        seen.add(windows[tuple(moved.float().flatten().tolist())])
    assert len(seen) == 9


def test_alternating_flips_show_both_sides_in_two_epochs():
    index = torch.randperm(50, generator=torch.Generator().manual_seed(0))[:20]

    def at(epoch: int) -> torch.Tensor:
        return augmentation.flips("alternating", index, epoch, 50, 3, torch.Generator())

    assert torch.equal(at(0), ~at(1))
    assert torch.equal(at(0), at(2))
    coins = torch.randint(2, (50,), generator=torch.Generator().manual_seed(3))
    assert torch.equal(at(0), coins[index] == 1) and 0 < at(0).sum() < 20
    assert not augmentation.flips("none", index, 0, 50, 3, torch.Generator()).any()
    assert 0 < augmentation.flips("random", index, 0, 50, 3, torch.Generator()).sum() < 20


@pytest.mark.parametrize("mode", ["alternating", "random"])
def test_half_of_many_images_are_mirrored(mode):
    generator = torch.Generator().manual_seed(0)
    found = augmentation.flips(mode, torch.arange(2000), 0, 2000, 3, generator)
    assert 0.46 < found.float().mean() < 0.54  # three and a half standard errors each way


def test_cutout_paints_one_square_in_the_mean_colour():
    pink = torch.tensor([200, 100, 150], dtype=torch.uint8).repeat(5, 12, 12, 1)
    pink[0] = 0
    corners = augmentation.draw_corners(5, 12, 12, 4, torch.Generator().manual_seed(0))
    found = augmentation.cutout(pink, corners, 4)
    assert ((found == torch.tensor([160, 80, 120])).all(-1).flatten(1).sum(1) == 16).all(), "four fifths of the colour"
    assert found.dtype == torch.uint8


def test_the_squares_of_cutout_may_lie_anywhere():
    corners = augmentation.draw_corners(400, 6, 5, 4, torch.Generator().manual_seed(0))
    assert {tuple(corner) for corner in corners[:, :, 0].T.tolist()} == {(y, x) for y in range(3) for x in range(2)}


def test_a_turned_image_goes_on_beyond_its_border():
    grey = torch.full((2, 6, 6, 1), 90, dtype=torch.uint8)
    transforms = augmentation.draw_transforms(2, 45, 0.5, torch.Generator().manual_seed(0))
    torch.testing.assert_close(augmentation.rotate_and_scale(grey, transforms), grey.float())


DRAWS = {
    "flips": lambda generator: augmentation.flips("random", torch.arange(40), 0, 40, 3, generator),
    "moves": lambda generator: augmentation.draw_moves(40, 3, generator),
    "rotations": lambda generator: augmentation.draw_transforms(40, 20, 0, generator),
    "scales": lambda generator: augmentation.draw_transforms(40, 0, 0.2, generator),
    "corners": lambda generator: augmentation.draw_corners(40, 30, 30, 4, generator),
}


@pytest.mark.parametrize("draw", DRAWS)
def test_random_numbers_come_from_the_generator_alone(draw):
    before = torch.get_rng_state()
    first, same, other = (DRAWS[draw](torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epochs_draws_reach_another_device_as_they_are():
    drawn = [{"a": torch.tensor([step, 1]), "b": torch.full((2, 3), step / 3)} for step in range(3)]
    drawn[1] = {"a": drawn[1]["a"]}
    with fake_cuda() as cuda:
        moved = augmentation.draws_on(torch.device("cuda", 0), drawn)
        assert len(cuda.waits) == 1
        assert [{name: value.device.type for name, value in draws.items()} for draws in moved] == [
            dict.fromkeys(draws, "cuda") for draws in drawn
        ]
        found = [{name: value.cpu() for name, value in draws.items()} for draws in moved]
    for expected, draws in zip(drawn, found, strict=True):
        assert all(torch.equal(draws[name], expected[name]) for name in expected)


def test_a_smaller_image_is_made_of_all_pixels_and_an_equal_one_is_left_alone():
    x = torch.rand(2, 3, 8, 8)
    assert augmentation.resized(x, None) is x and augmentation.resized(x, 8) is x
    row = torch.zeros(1, 1, 4, 4)
    row[..., 1] = 8
    smaller = augmentation.resized(row, 2)  # a triangle of four pixels' width: 1/8, 3/8, 3/8, 1/8, cut off at borders
    torch.testing.assert_close(smaller[0, 0, 0], torch.tensor([8 * 3 / 7, 8 * 1 / 7]))
    assert augmentation.resized(x, 5).shape == (2, 3, 5, 5)
