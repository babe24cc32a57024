"""Every step of a DCGAN's training, taken a second time by a plain loop of PyTorch, and what its augmentation sees."""

from copy import deepcopy
from typing import NamedTuple

import numpy as np
import pytest
import torch
from helpers.loops import CLASSES, LOOPS, Call, Features, Recording, noise
from sklearn.metrics.pairwise import polynomial_kernel
from torch import Tensor, nn

from convzoo.families.dcgan.latents import latents
from convzoo.families.dcgan.network import Generator
from convzoo.families.dcgan.settings import AugmentSettings, TrainingSettings

IMAGES, VAL = noise(13), noise(30, seed=1)
EPOCHS, STEPS = 2, 3  # of 4 images
G_RATE, D_RATE = 2e-2, 4e-3
LINEAR = [11 / 12, 9 / 12, 7 / 12, 5 / 12, 3 / 12, 1 / 12]
CASES = {
    "cross-entropy": {"label_smoothing": 0.2, "ema_decay": 0.4, "schedule": "linear"},
    "hinge, spectral norm": {"loss": "hinge", "label_smoothing": 0.0, "spectral_norm": True}
    | {"discriminator_norm": "none", "discriminator_steps": 2, "ema_decay": 0.0},
    "penalty": {"discriminator_norm": "none", "r1": 2.0, "r1_every": 2, "ema_decay": 0.9, "leak": 0.3},
    "relativistic, both penalties": {"loss": "relativistic", "label_smoothing": 0.0, "discriminator_norm": "none"}
    | {"r1": 2.0, "r2": 3.0, "r1_every": 2},
    "classes": {"conditional": True, "discriminator_norm": "none", "r1": 2.0, "r2": 3.0, "r1_every": 2},
    "brightness": {"augment": {"flip": False, "brightness": 0.3}, "label_smoothing": 0.0},
}


class Step(NamedTuple):
    """The calls of a step of the training."""

    latents: Call
    real: Call
    fake: Call
    penalised: list[Call]  # real and generated images, for the slopes there
    judged: Call | None  # the generator's turn


def run(**changes) -> Recording:
    rates = {"generator_learning_rate": G_RATE, "discriminator_learning_rate": D_RATE, "beta1": 0.3, "beta2": 0.8}
    return LOOPS["dcgan"].run(IMAGES, VAL, **{"epochs": EPOCHS, "batch_size": 4} | rates | changes)


def steps_of(found: Recording) -> list[Step]:
    """The calls of each step, which the generator's begins."""
    steps: list[list[Call]] = []
    for call in found.steps():
        if isinstance(call.network, Generator):
            steps.append([])
        steps[-1].append(call)
    settings, taken = found.settings, []
    assert len(steps) == settings.epochs * STEPS
    for number, (z, real, fake, *rest) in enumerate(steps):
        penalised = sum(bool(weight) and number % settings.r1_every == 0 for weight in (settings.r1, settings.r2))
        judged = (number + 1) % settings.discriminator_steps == 0
        assert len(rest) == penalised + judged
        taken.append(Step(z, real, fake, rest[:penalised], rest[-1] if judged else None))
    return taken


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_every_step_is_that_of_a_plain_loop(changes):
    found = run(features=(features := Features()), **changes)
    multipliers = LINEAR if changes.get("schedule") == "linear" else [1.0] * EPOCHS * STEPS
    rows, kept, drawn = replay(found, multipliers)
    for row, expected, seen, images in zip(found.state.history, rows, features.seen, drawn, strict=True):
        cost = {"train_petaflops": row["train_petaflops"]}  # tests/training/test_flops.py adds it up
        assert row == pytest.approx(expected | cost | distances(seen), rel=1e-4)
        difference = np.abs(seen.astype(float) - images)
        assert difference.max() <= 1 and difference.mean() < 0.02
    best = found.state.notes["best_epoch"]
    assert best == min(range(1, EPOCHS + 1), key=lambda epoch: found.state.history[epoch - 1]["val_kid"])
    for name, weights in found.state.best.items():
        for key, value in kept[best - 1][name].items():
            if value.is_floating_point():
                torch.testing.assert_close(
                    weights[key], value, rtol=1e-4, atol=1e-5, msg=lambda text, n=key: f"{n}: {text}"
                )


def replay(found: Recording, multipliers: list[float]) -> tuple[list[dict], list[dict], list[np.ndarray]]:
    """Of all epochs: the row of the history, the weights of the averaged generator and of the discriminator, and what
    the averaged generator draws.
    """
    settings, steps = found.settings, steps_of(found)
    generator, discriminator = (deepcopy(call.network).train() for call in (steps[0].latents, steps[0].real))
    for network in (generator, discriminator):
        network.load_state_dict(found.starts[type(network).__name__])
        network.requires_grad_(True)
    betas = (settings.beta1, settings.beta2)
    g_optimizer = torch.optim.Adam(generator.parameters(), G_RATE, betas)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), D_RATE, betas)
    average, averaged, rows, kept, drawn = None, 0, [], [], []
    for epoch in range(EPOCHS):
        measured = []
        for number in range(epoch * STEPS, (epoch + 1) * STEPS):
            step = steps[number]
            g_optimizer.param_groups[0]["lr"] = G_RATE * multipliers[number]
            d_optimizer.param_groups[0]["lr"] = D_RATE * multipliers[number]
            fake = generator(step.latents.x)
            # The changes of brightness, if any, which pass gradients on as they are.
            change, again = (call.x - step.latents.y if call else 0 for call in (step.fake, step.judged))
            labels, chosen = labels_of(step.real), step.latents.x[:, :CLASSES].argmax(dim=1)
            real_logits, fake_logits = discriminator(step.real.x, labels), discriminator(fake.detach() + change, chosen)
            loss = discriminator_loss(settings, real_logits, fake_logits)
            sides = ((settings.r1, real_images(step.real), labels), (settings.r2, fake, chosen))
            for call, (weight, images, classes) in zip(step.penalised, sides, strict=False):
                torch.testing.assert_close(call.x, images.detach())
                slope = squared_slope(discriminator, call.x, classes)
                loss = loss + weight / 2 * slope * settings.r1_every  # for the steps without it, too
            d_optimizer.zero_grad()
            loss.backward()
            d_optimizer.step()
            row = {"train_discriminator_loss": loss.item()}
            row |= {"train_real_probability": real_logits.sigmoid().mean().item()}
            row |= {"train_fake_probability": fake_logits.sigmoid().mean().item()}
            if step.judged:
                on_fake = discriminator(fake + again, chosen)
                loss = generator_loss(settings, on_fake, real_logits.detach())
                g_optimizer.zero_grad()
                loss.backward()
                g_optimizer.step()
                row["train_generator_loss"] = loss.item()
                average = averaged_with(average, generator, averaged, settings.ema_decay)
                averaged += 1
            measured.append(row)
        row = {name: np.mean([row[name] for row in measured if name in row]) for name in measured[-1] | measured[-2]}
        row |= {"epoch": epoch + 1, "learning_rate": G_RATE * multipliers[number]}
        rows.append(row)
        drawn.append(pictures(average.eval(), settings))
        kept.append(
            {"generator": deepcopy(average.state_dict()), "discriminator": deepcopy(discriminator.state_dict())}
        )
    return rows, kept, drawn


def discriminator_loss(settings: TrainingSettings, on_real: Tensor, on_fake: Tensor) -> Tensor:
    if settings.loss == "hinge":
        return (1 - on_real).clamp(min=0).mean() + (1 + on_fake).clamp(min=0).mean()
    if settings.loss == "relativistic":
        return -(on_real - on_fake).sigmoid().log().mean()
    real, fake, target = on_real.sigmoid(), on_fake.sigmoid(), 1 - settings.label_smoothing
    return -(target * real.log() + (1 - target) * (1 - real).log()).mean() - (1 - fake).log().mean()


def generator_loss(settings: TrainingSettings, on_fake: Tensor, on_real: Tensor) -> Tensor:
    if settings.loss == "hinge":
        return -on_fake.mean()
    return -(on_fake - on_real if settings.loss == "relativistic" else on_fake).sigmoid().log().mean()


def squared_slope(discriminator: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """The mean over the images of the squared length of the gradient of the logit, one image at a time."""
    lengths = []
    for image, label in zip(x, labels, strict=True):
        image = image[None].clone().requires_grad_(True)
        [gradient] = torch.autograd.grad(discriminator(image, label[None])[0], image, create_graph=True)
        lengths.append((gradient**2).sum())
    return torch.stack(lengths).mean()


@torch.no_grad()
def averaged_with(average: nn.Module | None, network: nn.Module, count: int, decay: float) -> nn.Module:
    if average is None:
        return deepcopy(network)
    weight = min(decay, (1 + count) / (10 + count))
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.copy_(weight * mean + (1 - weight) * value)
    return average


@torch.no_grad()
def pictures(generator: nn.Module, settings: TrainingSettings) -> np.ndarray:
    """What the generator draws of the latents of the seed, uint8 (N, H, W, C)."""
    z = torch.from_numpy(latents(settings.select_images, settings.latents, settings.seed))
    return ((generator(z) + 1) * 127.5).round().permute(0, 2, 3, 1).numpy().astype(np.uint8)


def distances(images: np.ndarray) -> dict[str, float]:
    """KID and diversity of images to val."""
    generated, real = (Features()(some).astype(np.float64) for some in (images, VAL.images))
    kernels = [polynomial_kernel(*pair, degree=3, coef0=1) for pair in ((real, real), (generated, generated))]
    within = [(kernel.sum() - kernel.trace()) / len(kernel) / (len(kernel) - 1) for kernel in kernels]
    between = polynomial_kernel(real, generated, degree=3, coef0=1).mean()
    spread = [np.trace(np.cov(features.T)) for features in (generated, real)]
    return {"val_kid": sum(within) - 2 * between, "val_diversity": spread[0] / spread[1]}


STILL = {"flip": False, "shift": 0, "brightness": 0.0, "saturation": 0.0, "contrast": 0.0, "cutout": 0}


def test_the_discriminator_sees_augmented_images_alone_real_and_generated_alike():
    assert set(STILL) == set(AugmentSettings.model_fields)
    found = run(augment=STILL | {"cutout": 3})
    for step in steps_of(found):
        real = real_images(step.real)
        drawn = step.latents.y
        for original, call in ((real, step.real), (drawn, step.fake), (drawn, step.judged)):
            changed = ((call.x - original).abs() > 1e-6).any(dim=1)
            assert (changed.flatten(1).sum(1) == 9).all(), "a square of 3x3 pixels in each image"
        assert not torch.equal(step.fake.x, step.judged.x), "each look has random numbers of its own"


def nearest(call: Call) -> Tensor:
    """The indices of those images of the set that are nearest to those of the call."""
    return torch.cdist(call.x.flatten(1), LOOPS["dcgan"].inputs(IMAGES.images).flatten(1)).argmin(1)


def real_images(call: Call) -> Tensor:
    return LOOPS["dcgan"].inputs(IMAGES.images)[nearest(call)]


def labels_of(call: Call) -> Tensor:
    return torch.from_numpy(IMAGES.labels)[nearest(call)]


def test_the_thresholds_of_a_collapse_are_those_of_the_block():
    collapse = run(epochs=1).settings.collapse.model_copy(update={"judged_epochs": 1, "action": "warn"})
    for diversity, alarms in ((1.0, EPOCHS), (0.0, 0)):
        thresholds = collapse.model_copy(update={"diversity": diversity, "probability": 0.0})
        assert len(run(collapse=thresholds).state.notes["alarms"]) == alarms


def test_samples_of_the_same_latents_are_kept_of_each_validated_epoch():
    found = run(features=(features := Features()), epochs=5, select_every=3, grid_columns=3, grid_rows=2)
    samples = found.state.notes["samples"]
    assert list(samples) == [1, 3, 5] == [row["epoch"] for row in found.state.history if row["val_kid"] is not None]
    for grid, seen in zip(samples.values(), features.seen, strict=True):
        assert np.array_equal(grid, seen[:6]) and len(seen) == found.settings.select_images == 20
