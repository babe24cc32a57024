"""Trains a DCGAN from settings and validated data to a generator and a history."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from safetensors.torch import save_file
from torch import Tensor, nn

from convzoo.data.arrays import evenly_spaced, save_array
from convzoo.data.batches import ImageSet
from convzoo.errors import ConvzooError
from convzoo.families.dcgan import network as players
from convzoo.families.dcgan.augmentation import diff_augment, draw_augmentation
from convzoo.families.dcgan.collapse import collapse_alarms
from convzoo.families.dcgan.latents import choosing, chosen_classes, latents, walk
from convzoo.families.dcgan.network import build, samples, to_pixels, to_signed
from convzoo.families.dcgan.settings import TrainingSettings
from convzoo.files import write_json
from convzoo.metrics.features import FeatureNetwork
from convzoo.metrics.kid import diversity, kid
from convzoo.settings.compute import ComputeSettings
from convzoo.training import optimizers, processes
from convzoo.training.augmentation import Draws, draws_of, draws_on
from convzoo.training.averaging import MovingAverage
from convzoo.training.flops import PETA, flops
from convzoo.training.history import Row
from convzoo.training.machine import seed_epoch
from convzoo.training.progress import Progress
from convzoo.training.schedules import factor
from convzoo.training.state import TrainState, weights_of
from convzoo.training.transfers import to_host
from convzoo.training.workspace import load_data, open_workspace

WALK_STEPS, WALK_PATHS = 10, 6  # images from one latent to the next, and the number of such paths
COMPARED = 12  # images in each row of real_augmented_generated.npy


def train(network: str, settings: TrainingSettings, compute: ComputeSettings, profile: str) -> None:
    """Train `network` and write models/NETWORK/: weights.safetensors (the generator's), architecture.json,
    history.csv, fingerprint.json and extra/ (samples as arrays, kept.json, discriminator.safetensors).

    Continues from the last checkpoint of the same training. Raises ConvzooError if the data changed since their
    validation or have no classes for `conditional`, the feature network is missing, the device is not available, the
    loss is not finite, or the training collapses and `collapse.action` is `fail`.
    """
    data = load_data(settings.data)
    classes = len(data.meta["classes"])
    if settings.conditional and not 1 < classes < settings.latents:
        raise ConvzooError(
            f"{network}: conditional: got true for {classes} classes and {settings.latents} latents, expected at least "
            f"2 classes and more latents than classes; set conditional to false, or raise latents"
        )
    architecture = describe(settings, data.meta)
    features = FeatureNetwork(settings.weights, architecture["shape"][-1])
    params = settings.model_dump() | {"features_sha256": features.sha256}
    with open_workspace(network, params, data, compute, profile) as work:
        images = ImageSet([data.train, *[data.augmented] * settings.stored_variants], work.fabric.device)
        val = data.val.images
        real = features(val[evenly_spaced(len(val), settings.select_images)])
        fit(settings, architecture, work.fabric, images, real, features, work.state)
        work.state.best = to_host(work.state.best)
        if work.fabric.is_global_zero:
            with work.results(architecture, work.state.best["generator"]) as extra:
                write_extra(extra, settings, architecture, work.state, images, features)


def describe(settings: TrainingSettings, meta: dict) -> dict:
    """Return the content of architecture.json: everything needed to rebuild and feed the networks."""
    size, _, channels = meta["shape"]
    shape = {"size": size, "channels": channels}
    classes = {"classes": len(meta["classes"]) if settings.conditional else 0}
    norms = {"norm": settings.discriminator_norm, "spectral": settings.spectral_norm}
    return {
        "family": "dcgan",
        "architecture": settings.variant,
        "generator": shape | {"latents": settings.latents, "width": settings.generator_width} | classes,
        "discriminator": shape | {"width": settings.discriminator_width, "leak": settings.leak} | norms | classes,
        **meta,
    }


def fit(
    settings: TrainingSettings,
    architecture: dict,
    fabric: Fabric,
    images: ImageSet,
    real: np.ndarray,
    features: FeatureNetwork,
    state: TrainState,
) -> None:
    """Train to the last epoch.

    `state.history` gets one row per epoch, `state.best` the weights of both networks in the epoch to keep, by default
    that with the lowest KID to `real`, the features of val, and `state.notes` this `best_epoch`, `samples` of the same
    latents by epoch, and `alarms`.
    """
    batch_size = min(settings.batch_size, len(images))
    steps_per_epoch = len(images) // batch_size
    if settings.discriminator_steps > steps_per_epoch:
        raise ConvzooError(
            f"{state.network}: discriminator_steps: got {settings.discriminator_steps}, expected at most "
            f"{steps_per_epoch}, the number of batches in an epoch; lower it or batch_size"
        )
    local = processes.local_rows(fabric, batch_size)
    grid_size = settings.grid_rows * settings.grid_columns
    fixed_latents = latents(max(settings.select_images, grid_size), settings.latents, settings.seed)

    classes = architecture["generator"]["classes"]
    generator, discriminator = build(architecture["generator"], architecture["discriminator"])
    generator, discriminator = (
        processes.over_processes(fabric, player.to(fabric.device)) for player in (generator, discriminator)
    )
    cost = image_flops(generator, discriminator, settings)
    average = MovingAverage(generator, settings.ema_decay, warm_up=True)
    generate, g_optimizer = fabric.setup(generator, adam(generator, settings, settings.generator_learning_rate))
    discriminate, d_optimizer = fabric.setup(
        discriminator, adam(discriminator, settings, settings.discriminator_learning_rate)
    )
    state.parts = [generator, discriminator, average, g_optimizer, d_optimizer]
    state.restore()
    state.notes = state.notes or {"best_epoch": 0, "samples": {}, "alarms": []}

    progress = Progress(state.network, settings.epochs, steps_per_epoch, quiet=not fabric.is_global_zero)
    for epoch in range(state.epoch, settings.epochs):
        randomness = seed_epoch(settings.seed, epoch)
        d_losses, g_losses, probabilities = state.begin_epoch([], [], [])
        generator.train(), discriminator.train()
        order = images.shuffled(batch_size, randomness)
        first = epoch * steps_per_epoch
        draws = draw_epoch(settings, images, order, local, first, randomness)
        remaining = zip(images.batches(order[state.step :, local]), draws[state.step :], strict=True)
        for step, ((batch, labels), drawn) in enumerate(remaining, first + state.step):
            state.begin_step(step - first)
            multiplier = factor(settings.schedule, step, steps_per_epoch * settings.epochs, warmup=0)
            optimizers.set_rates([g_optimizer, d_optimizer], multiplier)
            augment = partial(diff_augment, settings=settings.augment, draws=drawn, average=processes.average)
            x = to_signed(batch)
            generators_turn = is_generators_turn(step, settings)
            with torch.set_grad_enabled(generators_turn):
                fake = generate(drawn["latents"])
            chosen = chosen_classes(drawn["latents"], classes) if classes else None

            # Discriminator: real towards one, generated towards zero, in separate batches for BatchNorm.
            on_real = discriminate(augment(x, prefix="real "), labels).float()
            on_fake = discriminate(augment(fake.detach(), prefix="fake "), chosen).float()
            d_loss = players.discriminator_loss(settings.loss, on_real, on_fake, settings.label_smoothing)
            if step % settings.r1_every == 0:
                for weight, penalised, given in ((settings.r1, x, labels), (settings.r2, fake, chosen)):
                    if weight:
                        penalty = players.gradient_penalty(discriminator, penalised, given)
                        d_loss = d_loss + settings.r1_every * weight / 2 * penalty
            fabric.backward(d_loss)
            d_optimizer.step()
            d_optimizer.zero_grad()
            d_losses.append(d_loss.detach())
            probabilities.append(torch.stack([on_real.detach().sigmoid().mean(), on_fake.detach().sigmoid().mean()]))

            # Generator: scored by the updated discriminator, which stays fixed and passes gradients on.
            if generators_turn:
                discriminator.requires_grad_(False)
                on_fake = discriminate(augment(fake, prefix="generator "), chosen).float()
                # The logits of real images are those before the update, which saves a second pass.
                g_loss = players.generator_loss(settings.loss, on_fake, on_real.detach())
                fabric.backward(g_loss)
                g_optimizer.step()
                g_optimizer.zero_grad()
                discriminator.requires_grad_(True)
                average.update(generator)
                g_losses.append(g_loss.detach())
            progress.step()

        # An accelerator is waited for here: for losses, probabilities and samples, and in `end_epoch` for a checkpoint.
        d_losses, g_losses = (fabric.all_reduce(torch.stack(losses)).cpu() for losses in (d_losses, g_losses))
        state.check_finite({"discriminator_learning_rate": d_losses, "generator_learning_rate": g_losses})
        real_probability, fake_probability = fabric.all_reduce(torch.stack(probabilities)).mean(0).tolist()
        row: Row = {
            "epoch": epoch + 1,
            "learning_rate": settings.generator_learning_rate * multiplier,
            "train_petaflops": sum(cost(past) for past in range(step + 1)) * batch_size / PETA,
            "train_discriminator_loss": d_losses.mean().item(),
            "train_generator_loss": g_losses.mean().item(),
            "train_real_probability": real_probability,
            "train_fake_probability": fake_probability,
            "val_diversity": None,
            "val_kid": None,
        }
        if row["epoch"] in (1, settings.epochs) or row["epoch"] % settings.select_every == 0:
            measured = {}
            if fabric.is_global_zero:  # the others wait
                generated = samples(average.module, fixed_latents)
                measured = validate(real, features(generated[: settings.select_images]))
                state.notes["samples"][row["epoch"]] = torch.from_numpy(generated[:grid_size])
            row |= fabric.broadcast(measured)
            state.notes["alarms"] += collapse_alarms(state.network, settings.collapse, [*state.history, row])
            if settings.keep == "last" or state.is_best(row, "val_kid", lower=True):
                state.best = {"generator": weights_of(average.module), "discriminator": weights_of(discriminator)}
                state.notes["best_epoch"] = row["epoch"]
        state.end_epoch(row, progress)
    progress.close()


def draw_epoch(
    settings: TrainingSettings, images: ImageSet, order: Tensor, local: slice, first: int, generator: torch.Generator
) -> Sequence[Draws]:
    """Draw the random numbers of the steps from `first` on, one for each row of `order` (S, B), for the device.

    Each has `latents` (B, L), and for the images that are augmented (`real` and `fake` ones for the discriminator, and
    those of the `generator` if it is its turn) what `diff_augment` takes. They are drawn for the whole batch, of which
    this process computes the rows `local`.
    """
    height, width = images.parts[0].shape[1:3]
    count, drawn = order.shape[1], []
    for step in range(first, first + len(order)):
        draws = {"latents": torch.randn(count, settings.latents, generator=generator)[local]}
        for use in ("real", "fake", "generator") if is_generators_turn(step, settings) else ("real", "fake"):
            augmentation = draws_of(draw_augmentation(count, height, width, settings.augment, generator), local)
            draws |= {f"{use} {name}": value for name, value in augmentation.items()}
        drawn.append(draws)
    return draws_on(images.device, drawn)


def image_flops(generator: nn.Module, discriminator: nn.Module, settings: TrainingSettings) -> Callable[[int], int]:
    """Return a function of a step: its floating-point operations for each image of the batch."""
    noise = torch.zeros(1, settings.latents, device=next(generator.parameters()).device)
    label = torch.zeros(1, dtype=torch.int64, device=noise.device)
    generator, discriminator = (deepcopy(player).eval() for player in (generator, discriminator))
    with torch.no_grad():
        x = generator(noise)
        generation = flops(lambda: generator(noise))
    discrimination = 2 * flops(lambda: discriminator(x, label))
    penalties = (settings.r1 > 0) + (settings.r2 > 0)
    penalty = penalties * flops(lambda: players.gradient_penalty(discriminator, x, label)) if penalties else 0
    discriminator.requires_grad_(False)
    learning = flops(lambda: discriminator(generator(noise), label)) - generation

    def cost(step: int) -> int:
        total = generation + discrimination + penalty * (step % settings.r1_every == 0)
        return total + learning * is_generators_turn(step, settings)

    return cost


def is_generators_turn(step: int, settings: TrainingSettings) -> bool:
    """Return whether the generator learns in this step, too."""
    return (step + 1) % settings.discriminator_steps == 0


def validate(real: np.ndarray, generated: np.ndarray) -> Row:
    """Compute diversity and KID of generated images against val, given features (N, D) and (M, D)."""
    return {"val_diversity": diversity(real, generated), "val_kid": kid(real, generated)}


def adam(network: nn.Module, settings: TrainingSettings, learning_rate: float) -> torch.optim.Optimizer:
    """Build Adam for one of the two networks."""
    [optimizer] = optimizers.build(
        network,
        optimizer="adam",
        learning_rate=learning_rate,
        momentum=settings.beta1,
        beta2=settings.beta2,
        weight_decay=0.0,
    )
    return optimizer


def write_extra(
    folder: Path,
    settings: TrainingSettings,
    architecture: dict,
    state: TrainState,
    images: ImageSet,
    features: FeatureNetwork,
) -> None:
    """Write kept.json, images of the kept generator as arrays, and the discriminator's weights."""
    generator, _ = build(architecture["generator"], architecture["discriminator"])
    generator.load_state_dict(state.best["generator"])
    grids: dict[int, Tensor] = state.notes["samples"]
    best = state.history[state.notes["best_epoch"] - 1]
    kept = {name: best[name] for name in ("epoch", "val_kid", "val_diversity")}
    kept |= {"epochs": settings.epochs, "sampled_epochs": list(grids), "alarms": state.notes["alarms"]}
    write_json(folder / "kept.json", kept | {"features": {"name": features.name, "sha256": features.sha256}})

    shape = (settings.grid_rows, settings.grid_columns)
    save_array(folder / "progress.npy", torch.stack(list(grids.values())).unflatten(1, shape).numpy())
    ends = latents(WALK_PATHS + 1, settings.latents, settings.seed)
    paths = walk(ends, WALK_STEPS)
    if classes := architecture["generator"]["classes"]:  # a class for each path, since images jump where it changes
        pairs = [np.stack(pair) for pair in pairwise(ends)]
        pairs = [choosing(pair, classes, number % classes) for number, pair in enumerate(pairs)]
        paths = [walk(pair, WALK_STEPS)[0] for pair in pairs]
    save_array(folder / "latent_walk.npy", np.stack([samples(generator, path) for path in paths]))

    randomness = torch.Generator().manual_seed(settings.seed)
    real = images.take(torch.randperm(len(images), generator=randomness)[:COMPARED]).cpu()
    generated = torch.from_numpy(samples(generator, latents(len(real), settings.latents, settings.seed)))
    rows = []
    for part in (real, generated):
        draws = draw_augmentation(len(part), *part.shape[1:3], settings.augment, randomness)
        rows += [part, to_pixels(diff_augment(to_signed(part), settings.augment, draws).clamp(-1, 1))]
    save_array(folder / "real_augmented_generated.npy", torch.stack(rows).numpy())
    save_file(state.best["discriminator"], folder / "discriminator.safetensors")
