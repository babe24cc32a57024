"""Trains a network that starts from published weights: its head on features, then the backbone's top blocks too."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from PIL.Image import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from convzoo.data.arrays import load_split
from convzoo.data.batches import Images, shuffled
from convzoo.data.contact_sheet import contact_sheet, write_picture
from convzoo.data.pixels import to_floats
from convzoo.errors import ConvzooError
from convzoo.families.transfer.network import Transfer, blocks, build
from convzoo.families.transfer.selection import Course, cached_features, judge, mixed, varied
from convzoo.families.transfer.settings import FinetuneSettings, TrainingSettings
from convzoo.files import new_file, new_folder, read_json, sha256_of, write_json
from convzoo.lineage.commits import keep
from convzoo.settings.compute import ComputeSettings
from convzoo.tracking.live import LiveRun
from convzoo.training import machine, optimizers
from convzoo.training.checkpoints import Checkpoints
from convzoo.training.fingerprint import check_data, fingerprint
from convzoo.training.history import Progress, write_history
from convzoo.training.schedules import factor
from convzoo.weights.backbones import published, scale

HEAD, TUNING = 1, 2  # the phases, as the history names them
NORMS = nn.modules.batchnorm._BatchNorm


class Data(NamedTuple):
    """The images of a training, and the scale of the backbone's pixels."""

    train: Images
    variants: Images  # train, and its stored variants after it
    val: Images
    scaled: tuple[Tensor, Tensor]  # mean and standard deviation (3,), on a scale of 0 to 1


class Rates(NamedTuple):
    """What an optimizer is built from."""

    optimizer: str
    learning_rate: float
    momentum: float
    beta2: float
    weight_decay: float


def train(network: str, settings: TrainingSettings, compute: ComputeSettings, profile: str) -> None:
    """Train `network` and write models/NETWORK/: weights.safetensors, architecture.json, history.csv,
    fingerprint.json and extra/, with the head of phase 1 (features_head.safetensors) if the backbone was fine-tuned.

    Goes on from the last checkpoint of the same training. Raises ConvzooError where there are no weights to start from,
    for data that were not validated as they are, for a device that is not there, and for a loss that is not finite.
    """
    backbone, start, about = published(Path("data/weights", settings.weights))
    prepared = Path("data/prepared", settings.data)
    splits = {
        "train": load_split(prepared / "train"),
        "augmented": load_split(Path("data/augmented", settings.data)),
        "val": load_split(prepared / "val"),
    }
    digests = check_data(settings.data, Path("data/validated", f"{settings.data}.json"), splits)
    fabric = machine.start(compute, settings.seed)
    params = settings.model_dump() | {"architecture": backbone, "weights_sha256": about["files"]["weights.safetensors"]}
    identity = fingerprint(params, machine.resolved(compute), digests)
    described = describe(settings, about, read_json(prepared / "train" / "meta.json"))
    try:
        body = build(backbone, described["arguments"])
    except ValueError as error:
        raise ConvzooError(f"{network}: {error}") from error
    body.backbone.load_state_dict(start)
    body.to(fabric.device)
    stored = [[splits["train"]], [splits["train"], splits["augmented"]], [splits["val"]]]
    scaled = tuple(torch.tensor(described[name], device=fabric.device) for name in ("mean", "std"))
    data = Data(*(Images(parts, fabric.device) for parts in stored), scaled)

    if fabric.is_global_zero:
        keep(network, identity["fingerprint"])
    with (
        Checkpoints(network, identity["fingerprint"], leader=fabric.is_global_zero) as checkpoints,
        LiveRun(network, identity, {"convzoo.profile": profile}, enabled=fabric.is_global_zero) as run,
    ):
        course = Course(network, settings, fabric, checkpoints, run)
        course.resume()
        if course.epoch < settings.features.epochs:
            fit_head(course, body, data, identity)
        body.head.load_state_dict(course.head)
        weights = body.state_dict()
        if settings.method == "finetune":
            tune(course, body, data)
            weights = course.best
        if fabric.is_global_zero:
            folder = Path("models", network)
            with new_folder(folder / "extra") as extra:
                write_picture(seen(data, settings), extra / "augmented_batch.png")
                if settings.method == "finetune":
                    head = {name: value.cpu().contiguous() for name, value in course.head.items()}
                    save_file(head, extra / "features_head.safetensors")
            write_json(folder / "fingerprint.json", identity)
            write_history(folder / "history.csv", course.history)
            with new_file(folder / "weights.safetensors") as temporary:
                save_file({name: value.cpu().contiguous() for name, value in weights.items()}, temporary)
            described["weights_sha256"] = sha256_of(folder / "weights.safetensors")
            write_json(folder / "architecture.json", described)
            checkpoints.remove()


def describe(settings: TrainingSettings, about: dict, meta: dict) -> dict:
    """What architecture.json says: enough to build the network again, and to feed it."""
    arguments = {"side": settings.side, "classes": len(meta["classes"]), "head": settings.head}
    arguments |= {"dense": settings.dense, "dropout": settings.dropout}
    told = {"family": "transfer", "architecture": about["backbone"], "arguments": arguments, "method": settings.method}
    mean, std = scale(about["backbone"])
    return {**told, "weights": {"name": settings.weights, **about["source"]}, **meta, "mean": mean, "std": std}


def fit_head(course: Course, body: Transfer, data: Data, identity: dict[str, Any]) -> None:
    """Phase 1: the head alone, on features of the images and of their stored variants, which are made once."""
    settings, phase, fabric = course.settings, course.settings.features, course.fabric
    images, labels = {"train": data.variants, "val": data.val}, data.variants.labels
    features = cached_features(course.network, body, fabric, images, data.scaled, identity)
    batch_size = min(phase.batch_size, len(labels))
    steps = len(labels) // batch_size
    built = optimizer_of([([body.head], phase.learning_rate)], settings, phase.weight_decay)
    model, optimizer = fabric.setup(body.head, built)
    if course.epoch:
        body.head.load_state_dict(course.going_on["weights"])
        optimizer.load_state_dict(course.going_on["optimizer"])

    progress = Progress(course.network, course.epochs, steps, quiet=not fabric.is_global_zero)
    while course.epoch < phase.epochs:
        generator = course.generator()
        losses, hits = [], torch.zeros((), device=fabric.device)
        model.train()
        for number, index in enumerate(shuffled(len(labels), batch_size, generator)):
            share = factor(settings.schedule, course.epoch * steps + number, phase.epochs * steps, settings.warmup)
            optimizers.set_rates([optimizer], share)
            mine = index[fabric.global_rank :: fabric.world_size].to(fabric.device)

            logits = model(features["train"][mine]).float()
            loss = shared_loss(logits, labels[mine], labels[mine], 1, settings)
            fabric.backward(loss)
            optimizer.step()
            optimizer.zero_grad()

            losses.append(loss.detach())
            hits += (logits.argmax(1) == labels[mine]).sum()
            progress.step()

        judged = judge(fabric, body.head, lambda index: features["val"][index.to(fabric.device)], data.val.labels)
        row = {"phase": HEAD, "learning_rate": phase.learning_rate * share}
        weights = body.head.state_dict()
        going_on = {"weights": weights, "optimizer": optimizer.state_dict()}
        course.end_epoch(row, losses, hits, steps * batch_size, judged, weights, going_on, progress)
    progress.close()


def tune(course: Course, body: Transfer, data: Data) -> None:
    """Phase 2: the head and the backbone's top blocks, the lower ones more slowly, on images that change each time."""
    settings, phase, fabric, count = course.settings, course.settings.finetune, course.fabric, len(data.train)
    batch_size = min(phase.batch_size, count)
    steps, done = count // batch_size, settings.features.epochs
    tuned = blocks(body.backbone)[-phase.blocks :]
    body.backbone.requires_grad_(False)
    parts = [([body.head], phase.learning_rate)]
    for depth, modules in enumerate(reversed(tuned)):
        parts.append((modules, phase.learning_rate * phase.layer_decay**depth))
        for module in modules:
            module.requires_grad_(True)
    average = None
    if phase.ema_decay:
        average = AveragedModel(body, multi_avg_fn=get_ema_multi_avg_fn(phase.ema_decay), use_buffers=True)
    model, optimizer = fabric.setup(body, optimizer_of(parts, settings, phase.weight_decay))
    if course.epoch > done:
        body.load_state_dict(course.going_on["weights"])
        optimizer.load_state_dict(course.going_on["optimizer"])
        if average:
            average.load_state_dict(course.going_on["average"])

    progress = Progress(course.network, course.epochs, steps, quiet=not fabric.is_global_zero)
    while course.epoch < course.epochs:
        generator, rng = course.generator(), np.random.default_rng([settings.seed, course.epoch])
        losses, hits = [], torch.zeros((), device=fabric.device)
        set_modes(body, tuned, phase)
        for number, index in enumerate(shuffled(count, batch_size, generator)):
            step = (course.epoch - done) * steps + number
            share = factor(settings.schedule, step, phase.epochs * steps, settings.warmup)
            optimizers.set_rates([optimizer], share)
            x = to_floats(varied(data.train.take(index), phase, settings.side, generator), *data.scaled)
            x, partners, kept = mixed(x, phase, rng)
            mine = slice(fabric.global_rank, None, fabric.world_size)
            labels = data.train.labels[index.to(fabric.device)]
            labels, others = labels[mine], labels[partners.to(fabric.device)][mine]

            logits = model(x[mine]).float()
            loss = shared_loss(logits, labels, others, kept, settings)
            fabric.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            if average:
                average.update_parameters(body)

            losses.append(loss.detach())
            answers = logits.argmax(1)
            hits += kept * (answers == labels).sum() + (1 - kept) * (answers == others).sum()
            progress.step()

        best = average.module if average else body
        judged = judge(fabric, best, lambda index: to_floats(data.val.take(index), *data.scaled), data.val.labels)
        row = {"phase": TUNING, "learning_rate": phase.learning_rate * share}
        going_on = {"weights": body.state_dict(), "optimizer": optimizer.state_dict()}
        going_on["average"] = average.state_dict() if average else {}
        course.end_epoch(row, losses, hits, steps * batch_size, judged, best.state_dict(), going_on, progress)
    progress.close()


def optimizer_of(
    parts: list[tuple[list[nn.Module], float]], settings: TrainingSettings, weight_decay: float
) -> torch.optim.Optimizer:
    """One optimizer over `parts`, each with a peak learning rate of its own."""
    choice = (settings.optimizer, settings.momentum, settings.beta2)
    built: list[torch.optim.Optimizer] = []
    for modules, rate in parts:
        built += optimizers.build(nn.ModuleList(modules), Rates(choice[0], rate, *choice[1:], weight_decay))
    for other in built[1:]:
        for group in other.param_groups:
            built[0].add_param_group(group)
    return built[0]


def shared_loss(logits: Tensor, labels: Tensor, others: Tensor, share: float, settings: TrainingSettings) -> Tensor:
    """The loss of images of which `share` is of their own label, and the rest of their partner's."""
    loss = F.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)
    if share == 1:
        return loss
    return share * loss + (1 - share) * F.cross_entropy(logits, others, label_smoothing=settings.label_smoothing)


def set_modes(body: Transfer, tuned: list[list[nn.Module]], phase: FinetuneSettings) -> None:
    """Training mode for the head and the tuned blocks; what is frozen keeps ImageNet's statistics."""
    body.eval()
    for module in (body.head, *(module for modules in tuned for module in modules)):
        module.train()
    if phase.batch_norm == "frozen":
        for module in body.backbone.modules():
            if isinstance(module, NORMS):
                module.eval()


def seen(data: Data, settings: TrainingSettings, rows: int = 4, columns: int = 8) -> Image:
    """A picture of what the network learns from: images as they change in the loop, or images and stored variants."""
    generator = torch.Generator().manual_seed(settings.seed)
    if settings.method == "finetune":
        index = torch.randperm(len(data.train), generator=generator)[: rows * columns]
        shown = varied(data.train.take(index), settings.finetune, settings.side, generator)
    else:
        shown = data.variants.take(torch.randperm(len(data.variants), generator=generator)[: rows * columns])
    images = shown.round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    return contact_sheet([images[start : start + columns] for start in range(0, len(images), columns)])
