"""Every step of a training, taken a second time by a plain loop of PyTorch: history and kept weights are the same."""

import math
from copy import deepcopy
from typing import NamedTuple

import pytest
import torch
from helpers.loops import CLASSES, LOOPS, Recording, noise
from torch import Tensor, nn
from torch.nn.functional import one_hot

IMAGES, VAL = noise(13), noise(67, seed=1)  # of val, transfer judges 50 at a time
EPOCHS, STEPS, RATE, DECAY = 3, 2, 0.05, 0.3  # steps of 6 images, so that one is left over
LINEAR = [1 / 3, 1, 7 / 9, 5 / 9, 3 / 9, 1 / 9]  # in the middle of each step, after a warm-up over a quarter of all
COSINE = [(1 + math.cos(math.pi * share / 12)) / 2 for share in (1, 3, 5, 7, 9, 11)]


class Muon(torch.optim.Optimizer):
    """A step of a filter is its gradient with singular values near one: the quintic of Jordan, three times over."""

    def __init__(self, params, lr, momentum):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                velocity = self.state[weight].setdefault("velocity", torch.zeros_like(weight))
                velocity.copy_(group["momentum"] * velocity + weight.grad)
                gradient = (weight.grad + group["momentum"] * velocity).flatten(1).double()
                u, values, v = torch.linalg.svd(gradient / gradient.norm(), full_matrices=False)
                for _ in range(3):
                    values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
                unit = weight * math.sqrt(len(weight)) / weight.norm()
                weight.copy_(unit - group["lr"] * (u @ values.diag() @ v).float().view_as(weight))


class Case(NamedTuple):
    """A training, and the same in other words."""

    loop: str
    settings: dict
    optimizer: type[torch.optim.Optimizer]
    arguments: dict  # of the optimizer
    rates: dict[str, float]  # peaks, by the start of the names of the parameters that learn; the first one holds
    multipliers: list[float]  # of the rates in each step
    loss: str = "cross-entropy"


SGD, NESTEROV = {"optimizer": "sgd", "momentum": 0.6}, {"momentum": 0.6, "nesterov": True}
BETAS = {"momentum": 0.7, "beta2": 0.8}
ALL, LINEAR_PATH = {"": RATE}, {"linear": 0.002, "": RATE}
HIGHER = {"head": RATE, "backbone.conv2": RATE, "backbone.norm2": RATE}
TWO_BLOCKS = HIGHER | {"backbone.conv1": RATE / 2, "backbone.norm1": RATE / 2}
BY_DEPTH = {"blocks": 2, "layer_decay": 0.5}
LINEAR_SCHEDULE = {"schedule": "linear", "warmup": 0.25}
CONSTANT = [1.0] * EPOCHS * STEPS
Adam, AdamW, RMSprop = torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop

CASES = {
    "classifier, averaged": Case(
        "classifier",
        SGD | LINEAR_SCHEDULE | {"label_smoothing": 0.2, "ema_decay": 0.7},
        torch.optim.SGD,
        NESTEROV,
        ALL,
        LINEAR,
    ),
    "classifier, muon": Case(
        "classifier",
        SGD
        | {
            "optimizer": "muon",
            "muon_learning_rate": 0.02,
            "label_smoothing": 0.1,
            "schedule": "cosine",
            "bias_rate": 8,
        },
        torch.optim.SGD,
        NESTEROV,
        ALL,
        COSINE,
    ),
    "classifier, reference": Case(
        "classifier",
        BETAS | {"architecture": "reference", "reference": {"dropout": 0.0}, "optimizer": "adam", "label_smoothing": 0},
        Adam,
        {"betas": (0.7, 0.8)},
        ALL,
        CONSTANT,
    ),
    "autoencoder, averaged": Case(
        "autoencoder",
        BETAS
        | LINEAR_SCHEDULE
        | {"optimizer": "adamw", "linear_learning_rate": 0.002, "ema_decay": 0.7, "loss": "mse"},
        AdamW,
        {"betas": (0.7, 0.8)},
        LINEAR_PATH,
        LINEAR,
        loss="mse",
    ),
    "autoencoder, l1": Case(
        "autoencoder",
        SGD | {"linear_learning_rate": 0.002, "loss": "l1", "schedule": "step"},
        torch.optim.SGD,
        NESTEROV,
        LINEAR_PATH,
        [1, 1, 1, 0.1, 0.01, 0.01],
        loss="l1",
    ),
    "autoencoder, reference": Case(
        "autoencoder",
        BETAS | {"architecture": "reference", "optimizer": "rmsprop", "loss": "mse", "schedule": "cosine"},
        RMSprop,
        {"alpha": 0.8, "momentum": 0.7},
        ALL,
        COSINE,
        loss="mse",
    ),
    "head": Case(
        "head",
        BETAS | LINEAR_SCHEDULE | {"optimizer": "adamw", "label_smoothing": 0.2},
        AdamW,
        {"betas": (0.7, 0.8)},
        ALL,
        LINEAR,
    ),
    "dense head": Case(
        "head", SGD | {"head": "dense", "dense": 7, "label_smoothing": 0}, torch.optim.SGD, NESTEROV, ALL, CONSTANT
    ),
    "tuning, averaged": Case(
        "tune",
        SGD | BY_DEPTH | LINEAR_SCHEDULE | {"label_smoothing": 0.2, "ema_decay": 0.7},
        torch.optim.SGD,
        NESTEROV,
        TWO_BLOCKS,
        LINEAR,
    ),
    "tuning, mixed": Case(
        "tune",
        BETAS | BY_DEPTH | {"optimizer": "adamw", "label_smoothing": 0.1, "mixup": 1.0, "cutmix": 1.0, "blocks": 1},
        AdamW,
        {"betas": (0.7, 0.8)},
        HIGHER,
        CONSTANT,
    ),
    "tuning, frozen norms": Case(
        "tune",
        SGD | BY_DEPTH | {"batch_norm": "frozen", "schedule": "cosine"},
        torch.optim.SGD,
        NESTEROV,
        TWO_BLOCKS,
        COSINE,
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def test_every_step_is_that_of_a_plain_loop(case):
    settings = {"epochs": EPOCHS, "batch_size": 6, "learning_rate": RATE, "weight_decay": DECAY} | case.settings
    found = LOOPS[case.loop].run(IMAGES, VAL, **settings)
    rows, kept = replay(case, found)
    for row, expected in zip(found.state.history, rows, strict=True):
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    for weights, expected in zip(found.kept, kept, strict=True):
        assert list(weights) == list(expected)
        for name, value in expected.items():
            if value.is_floating_point():
                torch.testing.assert_close(
                    weights[name], value, rtol=1e-4, atol=1e-5, msg=lambda text, n=name: f"{n}: {text}"
                )


def replay(case: Case, found: Recording) -> tuple[list[dict], list[dict]]:
    """The rows of the history and the weights to keep, of all epochs."""
    [start], steps = found.starts.values(), found.steps()
    network = deepcopy(steps[0].network)
    network.load_state_dict(start)
    ema, average = case.settings.get("ema_decay"), None
    optimizers, peaks = built(case, network)
    rows, kept = [], []
    for epoch in range(EPOCHS):
        losses, shares = [], []
        for step in range(epoch * STEPS, (epoch + 1) * STEPS):
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = peaks[group["name"]] * case.multipliers[step]
            set_to_training(network, case)
            loss, share = measured(case, network, steps[step].x, weight_of_labels(case, steps[step].x), "train")
            network.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            losses.append(loss.item()), shares.append(share)
            if average is None or not ema:
                average = deepcopy(network)
            else:
                for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
                    if mean.is_floating_point():
                        mean.copy_(ema * mean + (1 - ema) * value)
        row = {"epoch": epoch + 1, "learning_rate": RATE * case.multipliers[step], "train_loss": sum(losses) / STEPS}
        rows.append(row | on_val(case, average.eval()))
        if case.loss == "cross-entropy":
            rows[-1]["train_accuracy"] = sum(shares) / STEPS
        kept.append({name: value.clone() for name, value in average.state_dict().items()})
    return rows, kept


def built(case: Case, network: nn.Module) -> tuple[list[torch.optim.Optimizer], dict[str, float]]:
    """The optimizers, with a group for each parameter, and the peak learning rates by the name of the parameter."""
    groups, filters, peaks = [], [], {}
    for name, weight in network.named_parameters():
        [rate] = [rate for start, rate in case.rates.items() if name.startswith(start)][:1] or [None]
        if rate is None or name == "stem.weight":  # frozen blocks, and the whitened stem
            weight.requires_grad_(False)
        elif case.settings["optimizer"] == "muon" and weight.ndim == 4:
            peaks[name] = case.settings["muon_learning_rate"]
            filters.append({"params": [weight], "name": name})
        else:
            peaks[name] = rate * (case.settings.get("bias_rate", 1) if name.endswith("bias") else 1)
            decays = weight.ndim > 1 and not name.startswith("linear")
            groups.append({"params": [weight], "name": name, "weight_decay": DECAY if decays else 0.0})
    optimizers = [case.optimizer(groups, lr=1.0, **case.arguments)]
    return optimizers + ([Muon(filters, 1.0, 0.6)] if filters else []), peaks


def set_to_training(network: nn.Module, case: Case) -> None:
    """The blocks that tuning leaves alone keep their statistics, and with frozen norms all blocks do."""
    network.train()
    if case.loop == "tune":
        frozen = case.settings.get("batch_norm") == "frozen"
        for number in range(3):
            learns = f"backbone.norm{number}" in case.rates
            getattr(network.backbone, f"norm{number}").train(learns and not frozen)


def weight_of_labels(case: Case, x: Tensor) -> Tensor:
    """Targets (B, 4): of an image its label, of a mixed one the labels of both by their shares."""
    loop = LOOPS[case.loop]
    return loop.shares(x, IMAGES.images) @ one_hot(torch.from_numpy(IMAGES.labels), CLASSES).float()


def measured(case: Case, network: nn.Module, x: Tensor, targets: Tensor, part: str) -> tuple[Tensor, float]:
    """The loss of a batch, and the share that is classified right."""
    outputs = network(x)
    if case.loss != "cross-entropy":
        errors = (outputs - x).abs()
        return (errors if case.loss == "l1" and part == "train" else errors**2).mean(), 0.0
    smoothing = case.settings.get("label_smoothing", 0.1) if part == "train" else 0.0
    wanted = (1 - smoothing) * targets + smoothing / CLASSES
    right = targets.gather(1, outputs.argmax(1, keepdim=True)).mean().item()
    return -(wanted * outputs.log_softmax(1)).sum(1).mean(), right


@torch.no_grad()
def on_val(case: Case, network: nn.Module) -> dict[str, float]:
    """Measures on all of val at once, in evaluation mode."""
    loop = LOOPS[case.loop]
    x = loop.inputs(VAL.images)
    loss, share = measured(case, network, x, one_hot(torch.from_numpy(VAL.labels), CLASSES).float(), "val")
    if case.loss == "cross-entropy":
        return {"val_loss": loss.item(), "val_accuracy": share}
    levels = loop.levels(network(x)).round().clamp(0, 255).numpy()
    error = ((levels - VAL.images) ** 2).mean()
    return {"val_loss": loss.item(), "val_psnr": 10 * math.log10(255**2 / error)}
