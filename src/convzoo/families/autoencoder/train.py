"""Trains an autoencoder: settings and checked data in, weights and their history out."""

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from lightning_fabric import Fabric
from PIL.Image import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from convzoo.data.arrays import load_split
from convzoo.data.batches import Images, in_order, shuffled
from convzoo.data.contact_sheet import contact_sheet, write_picture
from convzoo.data.pixels import to_floats
from convzoo.errors import ConvzooError
from convzoo.families.autoencoder.network import build, scale
from convzoo.families.autoencoder.selection import judge
from convzoo.families.autoencoder.settings import TrainingSettings
from convzoo.files import new_file, new_folder, read_json, sha256_of, write_json
from convzoo.lineage.commits import keep
from convzoo.settings.compute import ComputeSettings
from convzoo.tracking.live import LiveRun
from convzoo.training import augmentation, machine, optimizers
from convzoo.training.checkpoints import Checkpoints
from convzoo.training.fingerprint import check_data, fingerprint
from convzoo.training.history import Progress, Row, write_history
from convzoo.training.schedules import factor

LOSSES = {"mse": F.mse_loss, "l1": F.l1_loss}
ROWS = 2000  # images at a time, where their covariance is summed up


def train(network: str, settings: TrainingSettings, compute: ComputeSettings, profile: str) -> None:
    """Train `network` and write models/NETWORK/: weights.safetensors, architecture.json, history.csv,
    fingerprint.json and extra/ (pictures).

    Goes on from the last checkpoint of the same training. Raises ConvzooError for data that were not validated as
    they are, for a device that is not there, and for a loss that is not finite.
    """
    prepared = Path("data/prepared", settings.data)
    splits = {
        "train": load_split(prepared / "train"),
        "augmented": load_split(Path("data/augmented", settings.data)),
        "val": load_split(prepared / "val"),
    }
    data = check_data(settings.data, Path("data/validated", f"{settings.data}.json"), splits)
    fabric = machine.start(compute, settings.seed)
    identity = fingerprint(settings.model_dump(), machine.resolved(compute), data)
    described = describe(settings, read_json(prepared / "train" / "meta.json"))
    images = Images([splits["train"], splits["augmented"]], fabric.device)
    val = Images([splits["val"]], fabric.device)

    if fabric.is_global_zero:
        keep(network, identity["fingerprint"])
    with (
        Checkpoints(network, identity["fingerprint"], leader=fabric.is_global_zero) as checkpoints,
        LiveRun(network, identity, {"convzoo.profile": profile}, enabled=fabric.is_global_zero) as run,
    ):
        weights, history = fit(network, settings, described, fabric, images, val, checkpoints, run)
        if fabric.is_global_zero:
            folder = Path("models", network)
            body = build(described["architecture"], described["arguments"])
            body.load_state_dict(weights)
            with new_folder(folder / "extra") as extra:
                write_picture(seen(images, settings), extra / "training_images.png")
                if body.linear_parameters():
                    write_picture(components(body), extra / "linear_path.png")
            write_json(folder / "fingerprint.json", identity)
            write_history(folder / "history.csv", history)
            with new_file(folder / "weights.safetensors") as temporary:
                save_file(weights, temporary)
            described["weights_sha256"] = sha256_of(folder / "weights.safetensors")
            write_json(folder / "architecture.json", described)
            checkpoints.remove()


def describe(settings: TrainingSettings, meta: dict) -> dict:
    """What architecture.json says: enough to build the network again, and to feed it."""
    height, width, channels = meta["shape"]
    arguments = {"height": height, "width": width, "channels": channels, "activation": settings.activation}
    if settings.architecture == "fast":
        arguments |= settings.fast.model_dump(exclude={"pca"})
    else:
        arguments |= settings.reference.model_dump()
    return {"family": "autoencoder", "architecture": settings.architecture, "arguments": arguments, **meta}


def fit(
    network: str,
    settings: TrainingSettings,
    described: dict,
    fabric: Fabric,
    images: Images,
    val: Images,
    checkpoints: Checkpoints,
    run: LiveRun,
) -> tuple[dict[str, Tensor], list[Row]]:
    """The training itself: the weights that are kept, and a history row for each epoch.

    All that is random in an epoch comes from the seed and the epoch's number, so that a training that goes on after a
    stop ends with the same bits as one that never stopped.
    """
    batch_size = min(settings.batch_size, len(images))
    steps_per_epoch = len(images) // batch_size
    steps = steps_per_epoch * settings.epochs

    body = build(described["architecture"], described["arguments"]).to(fabric.device)
    state = checkpoints.load()
    if not state and settings.architecture == "fast" and settings.fast.pca:
        body.start_at(*principal_components(images, settings.fast.latent))
    average = None
    if settings.ema_decay:
        decay = get_ema_multi_avg_fn(settings.ema_decay)
        average = AveragedModel(body, multi_avg_fn=decay, use_buffers=True)
    model, *optimized = fabric.setup(body, *build_optimizers(body, settings))

    epoch, history, best = 0, [], {}
    if state:
        epoch, history, best = state["epoch"], state["history"], state["best"]
        body.load_state_dict(state["weights"])
        for optimizer, saved in zip(optimized, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        if average:
            average.load_state_dict(state["average"])
        print(f"resuming {network} at epoch {epoch + 1}", flush=True)

    progress = Progress(network, settings.epochs, steps_per_epoch, quiet=not fabric.is_global_zero)
    while epoch < settings.epochs:
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
        losses = []
        model.train()
        for number, index in enumerate(shuffled(len(images), batch_size, generator)):
            share = factor(settings.schedule, epoch * steps_per_epoch + number, steps, settings.warmup)
            optimizers.set_rates(optimized, share)
            batch = augmented(images, index, epoch, settings, generator)
            x = to_floats(batch, *scale(fabric.device))[fabric.global_rank :: fabric.world_size]

            loss = LOSSES[settings.loss](model(x).float(), x)
            fabric.backward(loss)
            for optimizer in optimized:
                optimizer.step()
                optimizer.zero_grad()
            if average:
                average.update_parameters(body)

            losses.append(loss.detach())
            progress.step()

        epoch += 1
        losses = fabric.all_reduce(torch.stack(losses))
        stop_if_not_finite(network, losses, epoch, steps_per_epoch, checkpoints)
        val_loss, val_psnr = judge(fabric, average.module if average else body, val)
        row = {
            "epoch": epoch,
            "learning_rate": settings.learning_rate * share,
            "train_loss": losses.mean().item(),
            "val_loss": val_loss,
            "val_psnr": val_psnr,
        }
        history.append(row)
        if settings.keep == "last" or val_psnr > max((old["val_psnr"] for old in history[:-1]), default=-1):
            best = {name: value.clone() for name, value in (average.module if average else body).state_dict().items()}
        checkpoints.save(
            {
                "epoch": epoch,
                "history": history,
                "best": best,
                "weights": body.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimized],
                "average": average.state_dict() if average else {},
            }
        )
        run.log(epoch, {name: value for name, value in row.items() if name != "epoch"})
        progress.epoch(row)
    progress.close()
    return {name: value.cpu().contiguous() for name, value in best.items()}, history


@torch.no_grad()
def principal_components(images: Images, count: int) -> tuple[Tensor, Tensor]:
    """The mean picture (D,) and the first `count` principal components (count, D) of `images`, D = C * H * W.

    From the covariance of all pixels, on a scale of -1 to 1. A component's sign is free: its largest value is made
    positive.
    """
    total, products = 0, 0
    for index in in_order(len(images), ROWS):
        x = to_floats(images.take(index), *scale(images.device)).flatten(1)
        total, products = total + x.double().sum(0), products + (x.T @ x).double()
    mean = total / len(images)
    covariance = products / len(images) - torch.outer(mean, mean)
    _, vectors = torch.linalg.eigh(covariance.float().cpu())
    found = vectors.T.flip(0)[:count]
    largest = found.gather(1, found.abs().argmax(dim=1, keepdim=True))
    return mean.float(), (found * largest.sign()).to(images.device)


def build_optimizers(body: nn.Module, settings: TrainingSettings) -> list[torch.optim.Optimizer]:
    """As params say, with the linear path in a group of its own: its own peak rate, and no weight decay."""
    built = optimizers.build(body, settings)
    linear = {id(weight) for weight in body.linear_parameters()}
    for optimizer in built if linear else ():
        moved = []
        for group in optimizer.param_groups:
            moved += [weight for weight in group["params"] if id(weight) in linear]
            group["params"] = [weight for weight in group["params"] if id(weight) not in linear]
        rate = settings.linear_learning_rate
        optimizer.add_param_group({"params": moved, "lr": rate, "peak": rate, "weight_decay": 0.0})
    return built


def augmented(
    images: Images, index: Tensor, epoch: int, settings: TrainingSettings, generator: torch.Generator
) -> Tensor:
    """The images at `index` as the network sees them in `epoch`: (B, H, W, C), 0 to 255."""
    flipped = augmentation.flips(settings.flip, index, epoch, len(images), settings.seed, generator)
    return augmentation.shift_and_flip(images.take(index), flipped, settings.shift, generator)


def stop_if_not_finite(network: str, losses: Tensor, epoch: int, steps: int, checkpoints: Checkpoints) -> None:
    """Raises ConvzooError, with the step and the last good checkpoint, where a loss of the epoch is not finite."""
    broken = (~losses.isfinite()).nonzero()
    if len(broken):
        step = (epoch - 1) * steps + broken[0].item() + 1
        kept = f"epoch {epoch - 1} is kept in {checkpoints.file}" if epoch > 1 else "no epoch was finished"
        raise ConvzooError(
            f"{network}: the loss is not finite at step {step} (epoch {epoch}); {kept}; lower learning_rate and "
            "linear_learning_rate"
        )


def seen(images: Images, settings: TrainingSettings, rows: int = 4, columns: int = 12) -> Image:
    """A picture of images as the network meets them in its first epoch."""
    generator = torch.Generator().manual_seed(settings.seed)
    index = torch.randperm(len(images), generator=generator)[: rows * columns]
    batch = augmented(images, index, 0, settings, generator).cpu().numpy()
    return contact_sheet([batch[start : start + columns] for start in range(0, len(batch), columns)])


def components(body: nn.Module, columns: int = 12) -> Image:
    """A picture of the linear path's first and last maps: what a latent looks for, and what it paints."""
    weights = {
        "what each of the first latents looks for": body.linear["encoder"].weight[:columns],
        "what each of the first latents paints": body.linear["decoder"].weight.T[:columns],
        "what each of the last latents looks for": body.linear["encoder"].weight[-columns:],
        "what each of the last latents paints": body.linear["decoder"].weight.T[-columns:],
    }
    rows = []
    for found in weights.values():
        scaled = 127.5 + 127.5 * found.detach() / found.detach().abs().amax(dim=1, keepdim=True)
        rows.append(scaled.unflatten(1, body.shape).permute(0, 2, 3, 1).round().to(torch.uint8).numpy())
    return contact_sheet(rows, list(weights))
