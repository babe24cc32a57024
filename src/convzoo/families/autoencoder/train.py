"""Trains an autoencoder from settings and validated data to weights and a history."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from lightning_fabric import Fabric
from torch import Tensor, nn

from convzoo.data.arrays import save_array
from convzoo.data.batches import ImageSet, in_order
from convzoo.data.pixels import to_floats
from convzoo.families.autoencoder.network import build, scale, to_pixels
from convzoo.families.autoencoder.settings import TrainingSettings
from convzoo.metrics.images import psnr
from convzoo.settings.compute import ComputeSettings
from convzoo.training import augmentation, optimizers, processes
from convzoo.training.augmentation import ALL, Draws, draws_of, draws_on
from convzoo.training.averaging import moving_average
from convzoo.training.flops import PETA, image_flops
from convzoo.training.machine import seed_epoch
from convzoo.training.progress import Progress
from convzoo.training.schedules import factor
from convzoo.training.state import TrainState, weights_of
from convzoo.training.transfers import to_host
from convzoo.training.workspace import load_data, open_workspace

LOSSES = {"mse": F.mse_loss, "l1": F.l1_loss}
COVARIANCE_BATCH = 2000  # images at a time, to sum up their covariance
VAL_BATCH = 500
SAMPLES = 48  # images of training_images.npy
MAPS = 12  # of the linear path at either end, in linear_path.npy


def train(network: str, settings: TrainingSettings, compute: ComputeSettings, profile: str) -> None:
    """Train `network` and write models/NETWORK/: weights.safetensors, architecture.json, history.csv,
    fingerprint.json and extra/ (images of the training, as arrays).

    Continues from the last checkpoint of the same training. Raises ConvzooError if the data changed since their
    validation, the device is not available, or the loss is not finite.
    """
    data = load_data(settings.data)
    architecture = describe(settings, data.meta)
    with open_workspace(network, settings.model_dump(), data, compute, profile) as work:
        images = ImageSet([data.train, data.augmented], work.fabric.device)
        val = ImageSet([data.val], work.fabric.device)
        fit(settings, architecture, work.fabric, images, val, work.state)
        weights = to_host(work.state.best)
        if work.fabric.is_global_zero:
            trained = build(architecture["architecture"], architecture["arguments"])
            trained.load_state_dict(weights)
            with work.results(architecture, weights) as extra:
                save_array(extra / "training_images.npy", training_images(images, settings))
                if trained.linear_parameters():
                    save_array(extra / "linear_path.npy", linear_maps(trained))


def describe(settings: TrainingSettings, meta: dict) -> dict:
    """Return the content of architecture.json: everything needed to rebuild the network and to prepare its inputs."""
    height, width, channels = meta["shape"]
    arguments = {"height": height, "width": width, "channels": channels, "activation": settings.activation}
    if settings.architecture == "fast":
        arguments |= settings.fast.model_dump(exclude={"pca"})
    else:
        arguments |= settings.reference.model_dump()
    return {"family": "autoencoder", "architecture": settings.architecture, "arguments": arguments, **meta}


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
    mean, std = scale(fabric.device)
    local = processes.local_rows(fabric, batch_size)

    network = build(architecture["architecture"], architecture["arguments"]).to(fabric.device)
    network = processes.over_processes(fabric, network)
    if state.epoch == state.step == 0 and settings.architecture == "fast" and settings.fast.pca:
        network.start_at(*principal_components(images, settings.fast.latent))
    height, width, channels = architecture["shape"]
    cost = image_flops(network, (channels, height, width)) * batch_size * steps_per_epoch
    average = moving_average(network, settings.ema_decay)
    averaged = average.module if average else network  # the weights to validate and keep
    model, *network_optimizers = fabric.setup(network, *build_optimizers(network, settings))
    state.parts = [network, average, *network_optimizers]
    state.restore()

    progress = Progress(state.network, settings.epochs, steps_per_epoch, quiet=not fabric.is_global_zero)
    for epoch in range(state.epoch, settings.epochs):
        generator = seed_epoch(settings.seed, epoch)
        [losses] = state.begin_epoch([])
        model.train()
        order = images.shuffled(batch_size, generator)
        draws = draw_augmentation(order, images, epoch, settings, generator, local)
        for number, (batch, _) in enumerate(images.batches(order[state.step :, local]), state.step):
            state.begin_step(number)
            multiplier = factor(settings.schedule, epoch * steps_per_epoch + number, steps, settings.warmup)
            optimizers.set_rates(network_optimizers, multiplier)
            x = to_floats(augmented(batch, draws[number]), mean, std)

            loss = LOSSES[settings.loss](model(x).float(), x)
            fabric.backward(loss)
            for optimizer in network_optimizers:
                optimizer.step()
                optimizer.zero_grad()
            if average:
                average.update(network)

            losses.append(loss.detach())
            progress.step()

        # An accelerator is waited for here: for losses and validation, and in `end_epoch` for a checkpoint.
        losses = fabric.all_reduce(torch.stack(losses)).cpu()
        state.check_finite({"learning_rate and linear_learning_rate": losses})
        val_loss, val_psnr = validate(fabric, averaged, val)
        row = {
            "epoch": epoch + 1,
            "learning_rate": settings.learning_rate * multiplier,
            "train_petaflops": cost * (epoch + 1) / PETA,
            "train_loss": losses.mean().item(),
            "val_loss": val_loss,
            "val_psnr": val_psnr,
        }
        if settings.keep == "last" or state.is_best(row, "val_psnr"):
            state.best = weights_of(averaged)
        state.end_epoch(row, progress)
    progress.close()


@torch.no_grad()
def validate(fabric: Fabric, network: nn.Module, val: ImageSet) -> tuple[float, float]:
    """Return the mean squared error (pixels from -1 to 1) and PSNR (dB) of `network` on val, and restore its mode.

    PSNR is that of the mean squared error of rounded pixels over all of val, in grey levels.
    """
    training = network.training
    network.eval()
    sums = []
    mean, std = scale(fabric.device)
    for rows in processes.share_of(fabric, in_order(len(val), VAL_BATCH)):
        images = val.take(rows)
        x = to_floats(images, mean, std)
        with fabric.autocast():
            reconstructions = network(x).float()
        loss = (reconstructions - x).square().sum()
        levels = (to_pixels(reconstructions).float() - images.float()).square().sum()
        sums.append(torch.stack([loss, levels]))
    network.train(training)
    loss, levels = processes.sums_over(fabric, sums)
    values = sum(part.numel() for part in val.parts)
    return loss / values, float(psnr(levels / values))


@torch.no_grad()
def principal_components(images: ImageSet, count: int) -> tuple[Tensor, Tensor]:
    """Return the mean (D,) and first `count` principal components (count, D) of `images`, D = C * H * W.

    Computed from the covariance of all pixels, on a scale of -1 to 1. The sign of a component is arbitrary and chosen
    such that its largest value is positive.
    """
    total, products = 0, 0
    for rows in in_order(len(images), COVARIANCE_BATCH):
        x = to_floats(images.take(rows), *scale(images.device)).flatten(1)
        total, products = total + x.double().sum(0), products + (x.T @ x).double()
    mean = total / len(images)
    covariance = products / len(images) - torch.outer(mean, mean)
    _, vectors = torch.linalg.eigh(covariance.float().cpu())
    components = vectors.T.flip(0)[:count]
    largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
    return mean.float(), (components * largest.sign()).to(images.device)


def build_optimizers(network: nn.Module, settings: TrainingSettings) -> list[torch.optim.Optimizer]:
    """Build the optimizer; the linear path gets a separate peak learning rate and no weight decay."""
    built = optimizers.build(
        network,
        optimizer=settings.optimizer,
        learning_rate=settings.learning_rate,
        momentum=settings.momentum,
        beta2=settings.beta2,
        weight_decay=settings.weight_decay,
    )
    linear = {id(weight) for weight in network.linear_parameters()}
    for optimizer in built if linear else ():
        moved = []
        for group in optimizer.param_groups:
            moved += [weight for weight in group["params"] if id(weight) in linear]
            group["params"] = [weight for weight in group["params"] if id(weight) not in linear]
        rate = settings.linear_learning_rate
        optimizer.add_param_group({"params": moved, "lr": rate, "peak": rate, "weight_decay": 0.0})
    return built


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
    drawn = [
        {
            "flips": augmentation.flips(settings.flip, index, epoch, len(images), settings.seed, generator),
            "moves": augmentation.draw_moves(len(index), settings.shift, generator),
        }
        for index in order
    ]
    return draws_on(images.device, [draws_of(draws, local) for draws in drawn])


def augmented(batch: Tensor, draws: Draws) -> Tensor:
    """Return the augmented images of a batch (B, H, W, C), 0 to 255."""
    return augmentation.shift_and_flip(batch, draws["flips"], draws["moves"])


def training_images(images: ImageSet, settings: TrainingSettings) -> np.ndarray:
    """Return augmented images of the first epoch, for inspection: uint8 (B, H, W, C)."""
    generator = torch.Generator().manual_seed(settings.seed)
    index = torch.randperm(len(images), generator=generator)[:SAMPLES]
    [draws] = draw_augmentation(index[None], images, 0, settings, generator)
    return augmented(images.take(index), draws).cpu().numpy()


def linear_maps(network: nn.Module) -> np.ndarray:
    """Return the linear path's weights as images, uint8 (4, MAPS, H, W, C).

    Rows: encoder and decoder of the first latents, then of the last ones. Zero is grey; each map is scaled by its
    largest weight.
    """
    encoder, decoder = network.linear["encoder"].weight.detach(), network.linear["decoder"].weight.detach().T
    rows = []
    for weights in (encoder[:MAPS], decoder[:MAPS], encoder[-MAPS:], decoder[-MAPS:]):
        levels = 127.5 + 127.5 * weights / weights.abs().amax(dim=1, keepdim=True)
        rows.append(levels.unflatten(1, network.shape).permute(0, 2, 3, 1).round().to(torch.uint8))
    return torch.stack(rows).numpy()
