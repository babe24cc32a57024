"""What holds for the batches of every training loop: order, size and content."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers.loops import LOOPS, Call, Loop, noise, run_classifier

from convzoo.families.dcgan.network import Discriminator, Generator

IMAGES, VAL = noise(13), noise(6, seed=1)


@pytest.fixture(params=LOOPS)
def loop(request):
    return LOOPS[request.param]


def batches(loop: Loop, **changes) -> list[list[list[int]]]:
    """The numbers of the images in each batch of each epoch."""
    found = loop.run(IMAGES, VAL, **{"epochs": 3, "batch_size": 5} | changes)
    return [[numbers(loop, call) for call in real(epoch)] for epoch in found.by_epoch()]


def real(calls: list[Call]) -> list[Call]:
    """The calls with images: in each step of a DCGAN, the generator's comes before the discriminator's on real ones."""
    if not any(isinstance(call.network, Generator) for call in calls):
        return calls
    return [after for call, after in pairwise(calls) if isinstance(call.network, Generator)]


def numbers(loop: Loop, call: Call) -> list[int]:
    levels = loop.levels(call.x).round().to(torch.uint8).numpy()
    same = (levels[:, None] == IMAGES.images).all(axis=(2, 3, 4))
    assert (same.sum(1) == 1).all(), "unchanged images of the set"
    return same.argmax(1).tolist()


def test_an_epoch_takes_full_batches_of_different_images_in_an_order_of_its_own(loop):
    epochs = batches(loop)
    assert [[len(batch) for batch in epoch] for epoch in epochs] == [[5, 5]] * 3, "the last 3 images are dropped"
    orders = [[number for batch in epoch for number in batch] for epoch in epochs]
    assert [len(set(order)) for order in orders] == [10] * 3
    assert len({tuple(order) for order in orders}) == 3
    assert len({frozenset(order) for order in orders}) == 3, "other epochs take the images that one drops"


def test_the_order_depends_on_the_seed_alone(loop):
    first, same, other = (batches(loop, epochs=1, seed=seed) for seed in (3, 3, 4))
    assert first == same != other
    assert batches(loop, epochs=2, seed=3)[:1] == first


def test_fewer_images_than_a_batch_form_one_batch(loop):
    assert [[sorted(batch) for batch in epoch] for epoch in batches(loop, batch_size=50)] == [[[*range(13)]]] * 3


def test_each_epoch_is_shown_with_its_number_and_that_of_all(loop, capsys):
    found = loop.run(IMAGES, VAL, epochs=2, batch_size=5)
    count = 2 + (found.settings.finetune.epochs if loop is LOOPS["head"] else 0)  # of both phases
    assert re.findall(r"^net epoch (\S+) ", capsys.readouterr().out, re.MULTILINE) == [f"1/{count}", f"2/{count}"]


def test_every_batch_of_a_dcgan_has_latents_of_its_own_from_the_normal_distribution():
    found = LOOPS["dcgan"].run(IMAGES, VAL, epochs=3, batch_size=6, latents=60)
    drawn = torch.cat([call.x for call in found.steps(Generator)])
    assert drawn.shape == (3 * 2 * 6, 60)
    assert len(drawn.unique(dim=0)) == len(drawn)
    assert drawn.mean().item() == pytest.approx(0, abs=0.1)
    assert drawn.std().item() == pytest.approx(1, abs=0.05)
    assert np.abs(np.corrcoef(drawn)[~np.eye(len(drawn), dtype=bool)]).max() < 0.6


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_generator_has_its_turn_after_so_many_steps_of_the_discriminator(turns):
    found = LOOPS["dcgan"].run(IMAGES, VAL, epochs=2, batch_size=2, discriminator_steps=turns)
    calls = "".join("G" if isinstance(call.network, Generator) else "D" for call in found.steps())
    steps = ["GDD" + "D" * ((step + 1) % turns == 0) for step in range(12)]
    assert calls == "".join(steps)
    for call, after, again in zip(found.steps(), found.steps()[1:], found.steps()[2:], strict=False):
        if isinstance(call.network, Generator):
            assert torch.equal(again.x, call.y) and not torch.equal(after.x, call.y)
            assert isinstance(again.network, Discriminator)


def test_a_classifier_sees_each_size_for_an_equal_part_of_the_steps_and_is_judged_on_whole_images():
    found = run_classifier(noise(12), noise(5), sizes=[4, 6, 8], epochs=3, batch_size=3)
    assert [call.x.shape[-1] for call in found.steps()] == [4] * 4 + [6] * 4 + [8] * 4
    judged = [tuple(call.x.shape) for call in found.calls if not call.training and len(call.x) == 5]
    assert judged == [(5, 3, 8, 8)] * 3
