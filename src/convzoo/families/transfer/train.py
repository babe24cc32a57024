"""Trains a network from published weights: its head on features, then the top blocks of the backbone, too."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from lightning_fabric import Fabric
from safetensors.torch import save_file
from torch import Tensor, nn

from convzoo.data.arrays import save_array
from convzoo.data.batches import ImageSet, in_order, shuffled
from convzoo.data.pixels import to_floats
from convzoo.errors import ConvzooError
from convzoo.families.transfer.augmentation import augment, draw_augmentation, draw_mixing, mix, mixed_loss
from convzoo.families.transfer.features import cached_features
from convzoo.families.transfer.network import Transfer, blocks, build, set_modes
from convzoo.families.transfer.settings import TrainingSettings
from convzoo.settings.compute import ComputeSettings
from convzoo.training import optimizers, processes
from convzoo.training.augmentation import draws_on
from convzoo.training.averaging import moving_average
from convzoo.training.flops import PETA, image_flops
from convzoo.training.machine import seed_epoch
from convzoo.training.progress import Progress
from convzoo.training.schedules import factor
from convzoo.training.state import TrainState, weights_of
from convzoo.training.transfers import to_host
from convzoo.training.workspace import load_data, open_workspace
from convzoo.weights.backbones import published, scale

HEAD, TUNING = 1, 2  # the phases, as the history names them
VAL_BATCH = 50
SAMPLES = 32  # images of augmented_batch.npy


class Data(NamedTuple):
    """The images of a training, and the pixel scale of the backbone."""

    train: ImageSet
    variants: ImageSet  # train, followed by its stored variants
    val: ImageSet
    scale: tuple[Tensor, Tensor]  # mean and standard deviation (3,), on a scale of 0 to 1


def train(network: str, settings: TrainingSettings, compute: ComputeSettings, profile: str) -> None:
    """Train `network` and write models/NETWORK/: weights.safetensors, architecture.json, history.csv,
    fingerprint.json and extra/ (augmented images as arrays; after fine-tuning also features_head.safetensors, the head
    on the untouched backbone).

    Continues from the last checkpoint of the same training. Raises ConvzooError if the published weights are missing,
    the data changed since their validation, the device is not available, or the loss is not finite.
    """
    backbone, pretrained, about = published(Path("data/weights", settings.weights))
    data = load_data(settings.data)
    architecture = describe(settings, about, data.meta)
    params = settings.model_dump() | {"architecture": backbone, "weights_sha256": about["files"]["weights.safetensors"]}
    with open_workspace(network, params, data, compute, profile) as work:
        fabric, state = work.fabric, work.state
        try:
            model = build(backbone, architecture["arguments"])
        except ValueError as error:
            raise ConvzooError(f"{network}: {error}") from error
        model.backbone.load_state_dict(pretrained)
        model = processes.over_processes(fabric, model.to(fabric.device))
        stored = [[data.train], [data.train, data.augmented], [data.val]]
        pixel_scale = tuple(torch.tensor(architecture[name], device=fabric.device) for name in ("mean", "std"))
        images = Data(*(ImageSet(splits, fabric.device) for splits in stored), pixel_scale)

        if state.epoch < settings.features.epochs:
            features = cached_features(
                network, model, fabric, {"train": images.variants, "val": images.val}, images.scale, work.identity
            )
            fit_head(settings, model, fabric, features, images, state)
        model.head.load_state_dict(state.notes["head"])
        weights = weights_of(model)
        if settings.method == "finetune":
            head = weights_of(model.head)
            tune(settings, model, fabric, images, state)
            weights = state.best
        if fabric.is_global_zero:
            with work.results(architecture, weights) as extra:
                save_array(extra / "augmented_batch.npy", augmented_batch(images, settings))
                if settings.method == "finetune":
                    save_file(to_host(head), extra / "features_head.safetensors")


def describe(settings: TrainingSettings, about: dict, meta: dict) -> dict:
    """Return the content of architecture.json: everything needed to rebuild the network and to prepare its inputs."""
    arguments = {"side": settings.side, "classes": len(meta["classes"]), "head": settings.head}
    arguments |= {"dense": settings.dense, "dropout": settings.dropout}
    content = {"family": "transfer", "architecture": about["backbone"], "arguments": arguments}
    tensors_sha256 = about["files"]["weights.safetensors"]
    weights = {"name": settings.weights, **about["source"], "tensors_sha256": tensors_sha256}
    content |= {"method": settings.method, "weights": weights}
    mean, std = scale(about["backbone"])
    return {**content, **meta, "mean": mean, "std": std}


def fit_head(
    settings: TrainingSettings,
    network: Transfer,
    fabric: Fabric,
    features: dict[str, Tensor],
    images: Data,
    state: TrainState,
) -> None:
    """Phase 1: train the head alone, on `features` of the images and their stored variants.

    `state.notes["head"]` gets the weights to keep, `state.history` one row per epoch.
    """
    phase, labels = settings.features, images.variants.labels
    batch_size = min(phase.batch_size, len(labels))
    steps_per_epoch = len(labels) // batch_size
    steps = steps_per_epoch * phase.epochs
    local = processes.local_rows(fabric, batch_size)

    network.backbone.requires_grad_(False)  # so that only its forward pass is counted
    features_cost = image_flops(network.backbone, (3, settings.side, settings.side)) * len(labels)
    cost = image_flops(network.head, features["train"].shape[1:]) * batch_size * steps_per_epoch
    groups = [([network.head], phase.learning_rate)]
    model, optimizer = fabric.setup(network.head, build_optimizer(groups, settings, phase.weight_decay))
    state.parts = [network.head, optimizer]
    state.restore()

    progress = Progress(state.network, epochs_of(settings), steps_per_epoch, quiet=not fabric.is_global_zero)
    for epoch in range(state.epoch, phase.epochs):
        generator = seed_epoch(settings.seed, epoch)
        losses, correct = state.begin_epoch([], torch.zeros((), device=fabric.device))
        model.train()
        order = shuffled(len(labels), batch_size, generator)[:, local].to(fabric.device)
        for number, rows in enumerate(order[state.step :], state.step):
            state.begin_step(number)
            multiplier = factor(settings.schedule, epoch * steps_per_epoch + number, steps, settings.warmup)
            optimizers.set_rates([optimizer], multiplier)

            logits = model(features["train"][rows]).float()
            loss = F.cross_entropy(logits, labels[rows], label_smoothing=settings.label_smoothing)
            fabric.backward(loss)
            optimizer.step()
            optimizer.zero_grad()

            losses.append(loss.detach())
            correct += (logits.argmax(1) == labels[rows]).sum()
            progress.step()

        losses = fabric.all_reduce(torch.stack(losses)).cpu()
        state.check_finite({"learning_rate": losses})
        row = {
            "epoch": epoch + 1,
            "phase": HEAD,
            "learning_rate": phase.learning_rate * multiplier,
            "train_petaflops": (features_cost + cost * (epoch + 1)) / PETA,
            "train_loss": losses.mean().item(),
            "train_accuracy": fabric.all_reduce(correct, reduce_op="sum").item() / (steps_per_epoch * batch_size),
            **validate(fabric, network.head, lambda rows: features["val"][rows], images.val.labels),
        }
        if settings.keep == "last" or state.is_best(row, "val_accuracy"):
            state.notes["head"] = weights_of(network.head)
        state.end_epoch(row, progress)
    progress.close()


def tune(settings: TrainingSettings, network: Transfer, fabric: Fabric, images: Data, state: TrainState) -> None:
    """Phase 2: train the head and the backbone's top blocks, lower ones more slowly, on augmented images.

    `state.best` gets the weights to keep, `state.history` one row per epoch.
    """
    phase, earlier = settings.finetune, settings.features.epochs
    batch_size = min(phase.batch_size, len(images.train))
    steps_per_epoch = len(images.train) // batch_size
    steps = steps_per_epoch * phase.epochs
    local = processes.local_rows(fabric, batch_size)

    tuned = blocks(network.backbone)[-phase.blocks :]
    network.backbone.requires_grad_(False)
    groups = [([network.head], phase.learning_rate)]
    for depth, modules in enumerate(reversed(tuned)):
        groups.append((modules, phase.learning_rate * phase.layer_decay**depth))
        for module in modules:
            module.requires_grad_(True)
    spent = max((row["train_petaflops"] for row in state.history[:earlier]), default=0.0)  # by phase 1
    cost = image_flops(network, (3, settings.side, settings.side)) * batch_size * steps_per_epoch
    average = moving_average(network, phase.ema_decay)
    averaged = average.module if average else network  # the weights to validate and keep
    model, optimizer = fabric.setup(network, build_optimizer(groups, settings, phase.weight_decay))
    state.parts = [network, average, optimizer]
    if state.epoch > earlier or state.step:
        state.restore()

    progress = Progress(state.network, epochs_of(settings), steps_per_epoch, quiet=not fabric.is_global_zero)
    for epoch in range(state.epoch, epochs_of(settings)):
        generator, rng = seed_epoch(settings.seed, epoch), np.random.default_rng([settings.seed, epoch])
        losses, correct = state.begin_epoch([], torch.zeros((), device=fabric.device))
        set_modes(network, tuned, frozen_norms=phase.batch_norm == "frozen")
        order = images.train.shuffled(batch_size, generator)
        mixings = [draw_mixing(batch_size, settings.side, phase, rng) for _ in order]
        draws = [draw_augmentation(batch_size, phase, generator) | {"partners": mixing.partners} for mixing in mixings]
        draws = draws_on(fabric.device, draws)
        for number, (batch, labels) in enumerate(images.train.batches(order[state.step :]), state.step):
            state.begin_step(number)
            step = (epoch - earlier) * steps_per_epoch + number
            multiplier = factor(settings.schedule, step, steps, settings.warmup)
            optimizers.set_rates([optimizer], multiplier)
            x = to_floats(augment(batch, draws[number], settings.side), *images.scale)
            mixing = mixings[number]._replace(partners=draws[number]["partners"])
            labels, others, share = labels[local], labels[mixing.partners][local], mixing.share

            logits = model(mix(x, mixing)[local]).float()
            loss = mixed_loss(logits, labels, others, share, settings.label_smoothing)
            fabric.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            if average:
                average.update(network)

            losses.append(loss.detach())
            predictions = logits.argmax(1)
            correct += share * (predictions == labels).sum() + (1 - share) * (predictions == others).sum()
            progress.step()

        losses = fabric.all_reduce(torch.stack(losses)).cpu()
        state.check_finite({"learning_rate": losses})
        row = {
            "epoch": epoch + 1,
            "phase": TUNING,
            "learning_rate": phase.learning_rate * multiplier,
            "train_petaflops": spent + cost * (epoch + 1 - earlier) / PETA,
            "train_loss": losses.mean().item(),
            "train_accuracy": fabric.all_reduce(correct, reduce_op="sum").item() / (steps_per_epoch * batch_size),
            **validate(
                fabric, averaged, lambda rows: to_floats(images.val.take(rows), *images.scale), images.val.labels
            ),
        }
        if settings.keep == "last" or state.is_best(row, "val_accuracy"):
            state.best = weights_of(averaged)
        state.end_epoch(row, progress)
    progress.close()


@torch.no_grad()
def validate(fabric: Fabric, network: nn.Module, inputs: Callable[[slice], Tensor], labels: Tensor) -> dict[str, float]:
    """Return `val_loss` (mean cross-entropy, nats) and `val_accuracy` (0 to 1), and restore the modes of all modules.

    `inputs` maps a slice of rows to the inputs of `network`: floats of images for a whole network, features for a head.
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    sums = []
    for rows in processes.share_of(fabric, in_order(len(labels), VAL_BATCH)):
        with fabric.autocast():
            logits = network(inputs(rows)).float()
        loss = F.cross_entropy(logits, labels[rows], reduction="sum")
        sums.append(torch.stack([loss, (logits.argmax(1) == labels[rows]).sum().float()]))
    for module, training in modes.items():
        module.training = training
    loss, correct = processes.sums_over(fabric, sums)
    return {"val_loss": loss / len(labels), "val_accuracy": correct / len(labels)}


def epochs_of(settings: TrainingSettings) -> int:
    """Return the number of epochs of both phases together."""
    return settings.features.epochs + (settings.finetune.epochs if settings.method == "finetune" else 0)


def build_optimizer(
    groups: list[tuple[list[nn.Module], float]], settings: TrainingSettings, weight_decay: float
) -> torch.optim.Optimizer:
    """Build one optimizer for all `groups`, which are modules with a peak learning rate."""
    built: list[torch.optim.Optimizer] = []
    for modules, rate in groups:
        built += optimizers.build(
            nn.ModuleList(modules),
            optimizer=settings.optimizer,
            learning_rate=rate,
            momentum=settings.momentum,
            beta2=settings.beta2,
            weight_decay=weight_decay,
        )
    for other in built[1:]:
        for group in other.param_groups:
            built[0].add_param_group(group)
    return built[0]


def augmented_batch(images: Data, settings: TrainingSettings) -> np.ndarray:
    """Return training images for inspection, uint8 (B, H, W, C): augmented, or images and stored variants."""
    generator = torch.Generator().manual_seed(settings.seed)
    if settings.method == "finetune":
        index = torch.randperm(len(images.train), generator=generator)[:SAMPLES]
        [draws] = draws_on(images.train.device, [draw_augmentation(len(index), settings.finetune, generator)])
        batch = augment(images.train.take(index), draws, settings.side)
    else:
        batch = images.variants.take(torch.randperm(len(images.variants), generator=generator)[:SAMPLES])
    return batch.round().clamp(0, 255).to(torch.uint8).cpu().numpy()
