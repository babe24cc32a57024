"""Trains a classifier from settings and validated data to weights and a history."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from lightning_fabric import Fabric
from torch import Tensor, nn

from convzoo.data.arrays import save_array
from convzoo.data.batches import ImageSet, in_order
from convzoo.data.pixels import to_floats
from convzoo.families.classifier.network import build
from convzoo.families.classifier.settings import TrainingSettings
from convzoo.settings.compute import ComputeSettings
from convzoo.training import augmentation, optimizers, processes
from convzoo.training.augmentation import ALL, Average, Draws, alone, draws_of, draws_on
from convzoo.training.averaging import moving_average
from convzoo.training.flops import PETA, image_flops
from convzoo.training.machine import seed_epoch
from convzoo.training.progress import Progress
from convzoo.training.schedules import factor
from convzoo.training.state import TrainState, weights_of
from convzoo.training.workspace import load_data, open_workspace

WHITENING_IMAGES = 5000  # train images whose patches whiten the stem
VAL_BATCH = 1000
SAMPLES = 72  # images of augmented_batch.npy


def train(network: str, settings: TrainingSettings, compute: ComputeSettings, profile: str) -> None:
    """Train `network` and write models/NETWORK/: weights.safetensors, architecture.json, history.csv,
    fingerprint.json and extra/ (augmented images).

    Continues from the last checkpoint of the same training. Raises ConvzooError if the data changed since their
    validation, the device is not available, or the loss is not finite.
    """
    data = load_data(settings.data)
    architecture = describe(settings, data.meta)
    with open_workspace(network, settings.model_dump(), data, compute, profile) as work:
        images = ImageSet([data.train, data.augmented], work.fabric.device)
        val = ImageSet([data.val], work.fabric.device)
        fit(settings, architecture, work.fabric, images, val, work.state)
        if work.fabric.is_global_zero:
            with work.results(architecture, work.state.best) as extra:
                save_array(extra / "augmented_batch.npy", augmented_batch(images, settings))


def describe(settings: TrainingSettings, meta: dict) -> dict:
    """Return the content of architecture.json: everything needed to rebuild the network and to prepare its inputs."""
    height, width, channels = meta["shape"]
    arguments = {"channels": channels, "classes": len(meta["classes"]), "activation": settings.activation}
    if settings.architecture == "fast":
        arguments |= settings.fast.model_dump()
    else:
        arguments |= {"height": height, "width": width, **settings.reference.model_dump()}
    return {"family": "classifier", "architecture": settings.architecture, "arguments": arguments, **meta}


def fit(
    settings: TrainingSettings,
    architecture: dict,
    fabric: Fabric,
    images: ImageSet,
    val: ImageSet,
    state: TrainState,
) -> None:
    """Train to the last epoch: `state.best` gets the weights to keep, `state.history` one row per epoch."""
    batch_size = min(settings.batch_size, len(images))
    steps_per_epoch = len(images) // batch_size
    steps = steps_per_epoch * settings.epochs
    mean, std = (torch.tensor(architecture[name], device=fabric.device) for name in ("mean", "std"))
    local = processes.local_rows(fabric, batch_size)

    network = build(architecture["architecture"], architecture["arguments"]).to(fabric.device)
    network = processes.over_processes(fabric, network)
    if getattr(network, "whitening", False):
        network.whiten(to_floats(images.take(torch.arange(min(WHITENING_IMAGES, len(images)))), mean, std))
    height, width, channels = architecture["shape"]
    shapes = {size: (channels, size or height, size or width) for size in settings.sizes or [None]}
    cost = {size: image_flops(network, shape) * batch_size for size, shape in shapes.items()}
    average = moving_average(network, settings.ema_decay)
    averaged = average.module if average else network  # the weights to validate and keep
    model, *network_optimizers = fabric.setup(network, *build_optimizers(network, settings))
    state.parts = [network, average, *network_optimizers]
    state.restore()

    progress = Progress(state.network, settings.epochs, steps_per_epoch, quiet=not fabric.is_global_zero)
    for epoch in range(state.epoch, settings.epochs):
        generator = seed_epoch(settings.seed, epoch)
        losses, correct = state.begin_epoch([], torch.zeros((), device=fabric.device))
        model.train()
        order = images.shuffled(batch_size, generator)
        draws = draw_augmentation(order, images, epoch, settings, generator, local)
        for number, (batch, labels) in enumerate(images.batches(order[state.step :, local]), state.step):
            state.begin_step(number)
            step = epoch * steps_per_epoch + number
            multiplier = factor(settings.schedule, step, steps, settings.warmup)
            optimizers.set_rates(network_optimizers, multiplier)
            x = to_floats(augmented(batch, draws[number], settings, processes.average), mean, std)
            x = augmentation.resized(x, size_at(step, steps, settings.sizes))

            logits = model(x).float()
            loss = F.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)
            fabric.backward(loss)
            for optimizer in network_optimizers:
                optimizer.step()
                optimizer.zero_grad()
            if average:
                average.update(network)

            losses.append(loss.detach())
            correct += (logits.argmax(1) == labels).sum()
            progress.step()

        # An accelerator is waited for here: for losses, accuracies and, in `end_epoch`, for a checkpoint.
        losses = fabric.all_reduce(torch.stack(losses)).cpu()
        state.check_finite({"learning_rate": losses})
        val_loss, val_accuracy = validate(fabric, averaged, val, mean, std)
        row = {
            "epoch": epoch + 1,
            "learning_rate": settings.learning_rate * multiplier,
            "train_petaflops": sum(cost[size_at(past, steps, settings.sizes)] for past in range(step + 1)) / PETA,
            "train_loss": losses.mean().item(),
            "train_accuracy": fabric.all_reduce(correct, reduce_op="sum").item() / (steps_per_epoch * batch_size),
            "val_loss": val_loss,
            "val_accuracy": val_accuracy,
        }
        if settings.keep == "last" or state.is_best(row, "val_accuracy"):
            state.best = weights_of(averaged)
        state.end_epoch(row, progress)
    progress.close()


def size_at(step: int, steps: int, sizes: list[int]) -> int | None:
    """Return the size that images have at `step` of `steps` (from 0), each of `sizes` for an equal part; None: theirs.

    Small images first cost less and teach almost as much (Tan and Le 2021, https://arxiv.org/abs/2104.00298).
    """
    return sizes[step * len(sizes) // steps] if sizes else None


@torch.no_grad()
def validate(fabric: Fabric, network: nn.Module, val: ImageSet, mean: Tensor, std: Tensor) -> tuple[float, float]:
    """Return the mean cross-entropy (nats) and accuracy (0 to 1) of `network` on val, and restore its mode."""
    training = network.training
    network.eval()
    sums = []
    for rows in processes.share_of(fabric, in_order(len(val), VAL_BATCH)):
        labels = val.labels[rows]
        with fabric.autocast():
            logits = network(to_floats(val.take(rows), mean, std)).float()
        loss, correct = F.cross_entropy(logits, labels, reduction="sum"), (logits.argmax(1) == labels).sum()
        sums.append(torch.stack([loss, correct.float()]))
    network.train(training)
    loss, correct = processes.sums_over(fabric, sums)
    return loss / len(val), correct / len(val)


def build_optimizers(network: nn.Module, settings: TrainingSettings) -> list[torch.optim.Optimizer]:
    """Build the optimizers that the settings select: one, or two for `muon`."""
    return optimizers.build(
        network,
        optimizer=settings.optimizer,
        learning_rate=settings.learning_rate,
        muon_learning_rate=settings.muon_learning_rate,
        bias_rate=settings.bias_rate,
        momentum=settings.momentum,
        beta2=settings.beta2,
        weight_decay=settings.weight_decay,
    )


def draw_augmentation(
    order: Tensor,
    images: ImageSet,
    epoch: int,
    settings: TrainingSettings,
    generator: torch.Generator,
    local: slice = ALL,
) -> Sequence[Draws]:
    """Draw the random numbers of the augmentation of each batch of `order` (S, B), and move those of the rows `local`
    of each batch to the device.
    """
    height, width = images.parts[0].shape[1:3]
    drawn = []
    for index in order:
        count = len(index)
        draws = {
            "flips": augmentation.flips(settings.flip, index, epoch, len(images), settings.seed, generator),
            "moves": augmentation.draw_moves(count, settings.shift, generator),
        }
        if settings.rotation or settings.scale:
            transforms = augmentation.draw_transforms(count, settings.rotation, settings.scale, generator)
            draws["transforms"] = transforms
        if settings.cutout:
            draws["corners"] = augmentation.draw_corners(count, height, width, settings.cutout, generator)
        drawn.append(draws_of(draws, local))
    return draws_on(images.device, drawn)


def augmented(batch: Tensor, draws: Draws, settings: TrainingSettings, average: Average = alone) -> Tensor:
    """Return the augmented images of a batch (B, H, W, C), 0 to 255; `average` as in augmentation.cutout."""
    batch = augmentation.shift_and_flip(batch, draws["flips"], draws["moves"])
    if "transforms" in draws:
        batch = augmentation.rotate_and_scale(batch, draws["transforms"])
    if "corners" in draws:
        batch = augmentation.cutout(batch, draws["corners"], settings.cutout, average)
    return batch


def augmented_batch(images: ImageSet, settings: TrainingSettings) -> np.ndarray:
    """Return augmented images of the first epoch, for inspection: uint8 (B, H, W, C)."""
    generator = torch.Generator().manual_seed(settings.seed)
    index = torch.randperm(len(images), generator=generator)[:SAMPLES]
    [draws] = draw_augmentation(index[None], images, 0, settings, generator)
    batch = augmented(images.take(index), draws, settings)
    return batch.round().clamp(0, 255).to(torch.uint8).cpu().numpy()
