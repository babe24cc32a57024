"""Trains a DCGAN: settings and checked data in, a generator, its history and pictures out."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import save_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from convzoo.data.arrays import load_split
from convzoo.data.batches import Images, shuffled
from convzoo.data.contact_sheet import BACKGROUND, FONT_SIZE, GAP, INK, LINE, contact_sheet, write_picture
from convzoo.errors import ConvzooError
from convzoo.families.dcgan import network as players
from convzoo.families.dcgan.network import build, samples, to_pixels, to_signed
from convzoo.families.dcgan.selection import FeatureNetwork, alarm, animation, judge, latents, spread_out, walk
from convzoo.families.dcgan.settings import AugmentSettings, TrainingSettings
from convzoo.files import new_file, new_folder, read_json, sha256_of, write_json
from convzoo.lineage.commits import keep
from convzoo.settings.compute import ComputeSettings
from convzoo.tracking.live import LiveRun
from convzoo.training import augmentation, machine, optimizers
from convzoo.training.checkpoints import Checkpoints
from convzoo.training.fingerprint import check_data, fingerprint
from convzoo.training.history import Progress, Row, write_history
from convzoo.training.schedules import factor

WALK_STEPS, WALK_ROWS = 10, 6  # pictures from one latent to the next, and how many such ways
COMPARED = 12  # images in a row of the picture of real, augmented and generated ones


def train(network: str, settings: TrainingSettings, compute: ComputeSettings, profile: str) -> None:
    """Train `network` and write models/NETWORK/: weights.safetensors (the generator's), architecture.json,
    history.csv, fingerprint.json and extra/ (pictures, kept.json, discriminator.safetensors).

    Goes on from the last checkpoint of the same training. Raises ConvzooError for data that were not validated, a
    feature network or a device that is not there, a loss that is not finite, and a collapse that shall fail.
    """
    prepared = Path("data/prepared", settings.data)
    splits = {
        "train": load_split(prepared / "train"),
        "augmented": load_split(Path("data/augmented", settings.data)),
        "val": load_split(prepared / "val"),
    }
    data = check_data(settings.data, Path("data/validated", f"{settings.data}.json"), splits)
    described = describe(settings, read_json(prepared / "train" / "meta.json"))
    features = FeatureNetwork(settings.weights, described["shape"][-1])
    fabric = machine.start(compute, settings.seed)
    params = settings.model_dump() | {"features_sha256": features.sha256}
    identity = fingerprint(params, machine.resolved(compute), data)
    images = Images([splits["train"], *[splits["augmented"]] * settings.stored_variants], fabric.device)
    val = splits["val"].images
    real = features(val[spread_out(len(val), settings.select_images)])
    if fabric.is_global_zero:
        keep(network, identity["fingerprint"])
    with (
        Checkpoints(network, identity["fingerprint"], leader=fabric.is_global_zero) as checkpoints,
        LiveRun(network, identity, {"convzoo.profile": profile}, enabled=fabric.is_global_zero) as run,
    ):
        state = fit(network, settings, described, fabric, images, real, features, checkpoints, run)
        if fabric.is_global_zero:
            folder = Path("models", network)
            with new_folder(folder / "extra") as extra:
                write_extra(extra, settings, described, state, images, features)
            write_json(folder / "fingerprint.json", identity)
            write_history(folder / "history.csv", state["history"])
            with new_file(folder / "weights.safetensors") as temporary:
                save_file(state["kept"]["generator"], temporary)
            described["weights_sha256"] = sha256_of(folder / "weights.safetensors")
            write_json(folder / "architecture.json", described)
            checkpoints.remove()


def describe(settings: TrainingSettings, meta: dict) -> dict:
    """What architecture.json says: enough to build the networks again, and to feed them."""
    size, _, channels = meta["shape"]
    picture = {"size": size, "channels": channels}
    kind = {"norm": settings.discriminator_norm, "spectral": settings.spectral_norm}
    return {
        "family": "dcgan",
        "architecture": settings.variant,
        "generator": picture | {"latents": settings.latents, "width": settings.generator_width},
        "discriminator": picture | {"width": settings.discriminator_width, "leak": settings.leak} | kind,
        **meta,
    }


def fit(
    network: str,
    settings: TrainingSettings,
    described: dict,
    fabric: Fabric,
    images: Images,
    real: np.ndarray,
    features: FeatureNetwork,
    checkpoints: Checkpoints,
    run: LiveRun,
) -> dict[str, Any]:
    """The training itself: `history` (a row an epoch), `kept` (both networks' weights of the epoch that val chose, by
    KID to the features `real`), `frames` (samples of the same latents over the epochs) and `alarms`.

    All that is random in an epoch comes from the seed and the epoch's number, so that a training that goes on after a
    stop ends with the same bits as one that never stopped.
    """
    device, batch_size = fabric.device, min(settings.batch_size, len(images))
    steps_per_epoch = len(images) // batch_size
    steps = steps_per_epoch * settings.epochs
    if settings.discriminator_steps > steps_per_epoch:
        told = f"got {settings.discriminator_steps}, an epoch has {steps_per_epoch} batches; expected that many at most"
        raise ConvzooError(f"{network}: discriminator_steps: {told}")
    mine = slice(fabric.global_rank, None, fabric.world_size)
    in_grid = settings.grid_columns * settings.grid_rows
    shown = latents(max(settings.select_images, in_grid), settings.latents, settings.seed)

    generator, discriminator = (part.to(device) for part in build(described["generator"], described["discriminator"]))
    average = AveragedModel(generator, multi_avg_fn=players.averaging(settings.ema_decay), use_buffers=True)
    [g_optimizer] = optimizers.build(generator, adam(settings, settings.generator_learning_rate))
    [d_optimizer] = optimizers.build(discriminator, adam(settings, settings.discriminator_learning_rate))
    generate, g_optimizer = fabric.setup(generator, g_optimizer)
    discriminate, d_optimizer = fabric.setup(discriminator, d_optimizer)
    parts = {"generator": generator, "discriminator": discriminator, "average": average}
    parts |= {"g_optimizer": g_optimizer, "d_optimizer": d_optimizer}

    state = checkpoints.load()
    if state:
        for name, part in parts.items():
            part.load_state_dict(state.pop(name))
        print(f"resuming {network} at epoch {state['epoch'] + 1}", flush=True)
    else:
        state = {"epoch": 0, "history": [], "kept": {}, "frames": [], "alarms": []}

    progress = Progress(network, settings.epochs, steps_per_epoch, quiet=not fabric.is_global_zero)
    while state["epoch"] < settings.epochs:
        epoch = state["epoch"]
        randomness = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
        d_losses, g_losses, probabilities = [], [], []
        generator.train(), discriminator.train()
        for number, index in enumerate(shuffled(len(images), batch_size, randomness)):
            step = epoch * steps_per_epoch + number
            share = factor(settings.schedule, step, steps, warmup=0)
            optimizers.set_rates([g_optimizer, d_optimizer], share)
            generators_turn = (step + 1) % settings.discriminator_steps == 0
            x = to_signed(images.take(index))[mine]
            z = torch.randn(batch_size, settings.latents, generator=randomness)[mine].to(device)
            with torch.set_grad_enabled(generators_turn):
                fake = generate(z)

            # Discriminator: real towards one, generated towards zero, each a batch of its own for BatchNorm.
            on_real = discriminate(changed(x, settings.augment, randomness)).float()
            on_fake = discriminate(changed(fake.detach(), settings.augment, randomness)).float()
            d_loss = players.discriminator_loss(settings.loss, on_real, on_fake, settings.label_smoothing)
            if settings.r1 and step % settings.r1_every == 0:
                weight = settings.r1_every * settings.r1 / 2
                d_loss = d_loss + weight * players.gradient_penalty(discriminator, x)
            fabric.backward(d_loss)
            d_optimizer.step()
            d_optimizer.zero_grad()
            d_losses.append(d_loss.detach())
            probabilities.append(torch.stack([on_real.detach().sigmoid().mean(), on_fake.detach().sigmoid().mean()]))

            # Generator: judged by the discriminator just updated, which only passes gradients on.
            if generators_turn:
                discriminator.requires_grad_(False)
                judged = discriminate(changed(fake, settings.augment, randomness)).float()
                g_loss = players.generator_loss(settings.loss, judged)
                fabric.backward(g_loss)
                g_optimizer.step()
                g_optimizer.zero_grad()
                discriminator.requires_grad_(True)
                average.update_parameters(generator)
                g_losses.append(g_loss.detach())
            progress.step()

        epoch += 1
        d_losses, g_losses = fabric.all_reduce(torch.stack(d_losses)), fabric.all_reduce(torch.stack(g_losses))
        stop_if_not_finite(network, d_losses, g_losses, epoch, steps_per_epoch, checkpoints)
        means = fabric.all_reduce(torch.stack(probabilities)).mean(0).tolist()
        row: Row = {
            "epoch": epoch,
            "learning_rate": settings.generator_learning_rate * share,
            "train_discriminator_loss": d_losses.mean().item(),
            "train_generator_loss": g_losses.mean().item(),
            "train_real_probability": means[0],
            "train_fake_probability": means[1],
            "val_diversity": None,
            "val_kid": None,
        }
        state |= {"epoch": epoch, "history": [*state["history"], row]}
        if epoch in (1, settings.epochs) or epoch % settings.select_every == 0:
            pictures = samples(average.module, shown)
            kid, diversity = judge(real, features(pictures[: settings.select_images]))
            row |= {"val_diversity": diversity, "val_kid": kid}
            state["frames"] = [*state["frames"], {"epoch": epoch, "images": torch.from_numpy(pictures[:in_grid])}]
            if not state["kept"] or kid < state["kept"]["val_kid"]:
                state["kept"] = {"epoch": epoch, "val_diversity": diversity, "val_kid": kid}
                state["kept"] |= {"generator": players.weights(average.module)}
                state["kept"] |= {"discriminator": players.weights(discriminator)}
            told = alarm(network, settings.collapse, [old for old in state["history"] if old["val_kid"] is not None])
            state["alarms"] = [*state["alarms"], *told]
        checkpoints.save(state | {name: part.state_dict() for name, part in parts.items()})
        row = {name: value for name, value in row.items() if value is not None}
        run.log(epoch, {name: value for name, value in row.items() if name != "epoch"})
        progress.epoch(row)
    progress.close()
    return state


def adam(settings: TrainingSettings, learning_rate: float) -> SimpleNamespace:
    """Adam for one of the players, in the words of optimizers.py."""
    rates = {"learning_rate": learning_rate, "muon_learning_rate": 0.0, "weight_decay": 0.0}
    return SimpleNamespace(optimizer="adam", momentum=settings.beta1, beta2=settings.beta2, **rates)


def changed(x: Tensor, settings: AugmentSettings, randomness: torch.Generator) -> Tensor:
    """Pictures (B, C, H, W) from -1 to 1 as the discriminator sees them, real and generated alike.

    Gradients flow through all of it (Zhao et al. 2020, https://arxiv.org/abs/2006.10738).
    """
    amounts = (torch.rand(3, len(x), 1, 1, 1, generator=randomness) * 2 - 1).to(x.device)
    x = players.recoloured(x, amounts, settings.brightness, settings.saturation, settings.contrast).permute(0, 2, 3, 1)
    if settings.flip or settings.shift:
        order = torch.arange(len(x))
        flips = augmentation.flips("random" if settings.flip else "none", order, 0, len(x), 0, randomness)
        x = augmentation.shift_and_flip(x, flips, settings.shift, randomness)
    if settings.cutout:
        x = augmentation.cutout(x, settings.cutout, randomness)
    return x.permute(0, 3, 1, 2)


def stop_if_not_finite(
    network: str, d_losses: Tensor, g_losses: Tensor, epoch: int, steps: int, checkpoints: Checkpoints
) -> None:
    """Raises ConvzooError, with the step and the last good checkpoint, where a loss of the epoch is not finite."""
    found = []
    for player, losses in (("discriminator", d_losses), ("generator", g_losses)):
        broken = (~losses.isfinite()).nonzero()
        found += (
            [((epoch - 1) * steps + (broken[0].item() + 1) * (steps // len(losses)), player)] if len(broken) else []
        )
    if found:
        step, player = min(found)
        kept = f"epoch {epoch - 1} is kept in {checkpoints.file}" if epoch > 1 else "no epoch was finished"
        told = f"the {player}'s loss is not finite at step {step} (epoch {epoch}); {kept}"
        raise ConvzooError(f"{network}: {told}; lower {player}_learning_rate")


def write_extra(
    folder: Path, settings: TrainingSettings, described: dict, state: dict, images: Images, features: FeatureNetwork
) -> None:
    """Samples over the epochs, images of the kept generator, and the discriminator's weights."""
    kept = state["kept"]
    generator, _ = build(described["generator"], described["discriminator"])
    generator.load_state_dict(kept["generator"])
    facts = {name: kept[name] for name in ("epoch", "val_kid", "val_diversity")} | {"epochs": settings.epochs}
    judged_by = {"name": features.name, "sha256": features.sha256}
    write_json(folder / "kept.json", facts | {"alarms": state["alarms"], "features": judged_by})

    frames = {frame["epoch"]: frame["images"].numpy() for frame in state["frames"]}
    write_progress(folder, frames, kept["epoch"], settings.grid_columns)
    ways = walk(latents(WALK_ROWS + 1, settings.latents, settings.seed), WALK_STEPS)
    write_picture(contact_sheet([samples(generator, way) for way in ways]), folder / "latent_walk.png")

    randomness = torch.Generator().manual_seed(settings.seed)
    real = images.take(torch.randperm(len(images), generator=randomness)[:COMPARED]).cpu()
    made = torch.from_numpy(samples(generator, latents(COMPARED, settings.latents, settings.seed)))
    seen = [to_pixels(changed(to_signed(part), settings.augment, randomness).clamp(-1, 1)) for part in (real, made)]
    titles = ["real", "as the discriminator sees them", "generated", "as the discriminator sees them"]
    rows = [part.numpy() for part in (real, seen[0], made, seen[1])]
    write_picture(contact_sheet(rows, titles), folder / "real_augmented_generated.png")
    save_file(kept["discriminator"], folder / "discriminator.safetensors")


def write_progress(folder: Path, frames: dict[int, np.ndarray], kept: int, columns: int) -> None:
    """Write progress.gif and first_and_last.png: `frames` uint8 (N, H, W, C) by epoch, of the same latents each."""
    sheets = [grid(frame, columns, f"epoch {epoch}") for epoch, frame in frames.items()]
    (folder / "progress.gif").write_bytes(animation(sheets))
    chosen = {epoch: frames[epoch] for epoch in sorted({min(frames), kept, max(frames)})}
    named = {epoch: f"epoch {epoch}" + ", the one kept" * (epoch == kept) for epoch in chosen}
    sheets = [grid(frame, columns, named[epoch]) for epoch, frame in chosen.items()]
    joined = Image.new("RGB", (sum(sheet.width for sheet in sheets), sheets[0].height), BACKGROUND)
    for number, sheet in enumerate(sheets):
        joined.paste(sheet, (number * sheet.width, 0))
    write_picture(joined, folder / "first_and_last.png")


def grid(images: np.ndarray, columns: int, title: str) -> Image.Image:
    """Images uint8 (N, H, W, C) in rows of `columns`, under a title; what does not fill a row is left out."""
    rows = [images[start : start + columns] for start in range(0, len(images) - columns + 1, columns)]
    sheet = contact_sheet(rows)
    titled = Image.new("RGB", (sheet.width, sheet.height + LINE), BACKGROUND)
    font = ImageFont.load_default(FONT_SIZE)
    ImageDraw.Draw(titled).text((GAP, GAP // 2), title, fill=INK, font=font)
    titled.paste(sheet, (0, LINE))
    return titled
