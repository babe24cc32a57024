"""Every way to train, on a CUDA device that computes on the CPU (tests/helpers/fake_cuda.py): nothing lies on the wrong
device, and no step makes the host wait."""

import math
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
from helpers.fake_cuda import FakeCuda, Wait, cuda_in_name_only, fake_cuda
from helpers.small import COMPUTE, FAMILIES
from pydantic import BaseModel

from convzoo.data import batches
from convzoo.families.find import family_module
from convzoo.files import read_json, sha256_of
from convzoo.settings.compute import ComputeSettings
from convzoo.training.progress import Progress

PER_EPOCH = 8  # waits of an epoch outside of its steps: index, random numbers, losses, counts, validation, checkpoint

# Amounts that switch a part of the training on, and 0 that switches it off; and what makes the trainings short.
AMOUNTS = {
    "classifier": {
        **{"shift": [2, 0], "rotation": [5, 0, 0], "scale": [0.1, 0, 0], "cutout": [4, 0], "epochs": [2]},
        **{"label_smoothing": [0.1, 0], "ema_decay": [0.5, 0], "weight_decay": [0.1, 0], "batch_size": [64]},
    },
    "autoencoder": {"shift": [2, 0], "ema_decay": [0.5, 0], "weight_decay": [0.1, 0], "epochs": [2]},
    "dcgan": {
        **{
            "r1": [10.0, 0],
            "r2": [10.0, 0, 0],
            "r1_every": [2],
            "label_smoothing": [0.1, 0],
            "discriminator_steps": [1, 2],
        },
        **{"augment.shift": [2, 0], "augment.cutout": [0, 9], "augment.saturation": [0.2, 0], "epochs": [2]},
        "collapse.action": ["warn"],
    },
    "transfer": {
        **{"finetune.mixup": [0.2, 0], "finetune.cutmix": [0, 1.0], "finetune.rotation": [10, 0]},
        **{"finetune.ema_decay": [0.5, 0], "finetune.epochs": [2], "features.epochs": [2], "label_smoothing": [0.1, 0]},
    },
}
FIXED = {"family", "data", "weights"}


def choices(model: type[BaseModel], prefix: str = "") -> dict[str, list[Any]]:
    """The values of every setting that has a few: those that params.yaml can name."""
    found: dict[str, list[Any]] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= choices(kind, f"{prefix}{name}.")
        elif get_origin(kind) is Literal and name not in FIXED:
            found[f"{prefix}{name}"] = list(get_args(kind))
        elif kind is bool:
            found[f"{prefix}{name}"] = [True, False]
    return found


def trainings(family: str) -> list[dict[str, Any]]:
    """As few trainings as have every value of every setting."""
    every = choices(type(FAMILIES[family].settings())) | AMOUNTS[family] | {"precision": ["fp32", "bf16"]}
    return [
        {name: values[number % len(values)] for name, values in every.items()}
        for number in range(max(map(len, every.values())))
    ]


CASES = [(family, changes) for family in FAMILIES for changes in trainings(family)]


def training(family: Any, changes: dict[str, Any]) -> str:
    """Train on `cuda` with settings that are named by their path; return the sha256 of the weights."""
    settings, compute = family.settings(), {"device": "cuda", "precision": changes["precision"]}
    for path, value in changes.items():
        if path != "precision":
            settings = changed(settings, path.split("."), value)
    train = family_module(family.name, "train").train
    train(family.network, settings, COMPUTE.model_copy(update=compute), "test")
    return sha256_of(family.folder / "weights.safetensors")


def changed(settings: BaseModel, path: list[str], value: Any) -> BaseModel:
    name, *rest = path
    return settings.model_copy(update={name: changed(getattr(settings, name), rest, value) if rest else value})


class Marks:
    """The ends of steps and epochs, and how often the device had been waited for and copied to by then."""

    def __init__(self) -> None:
        self.marks: list[tuple[str, int, int]] = []
        self.stops = False  # whether Ctrl-C comes at the end of the next epoch

    def add(self, kind: str) -> None:
        self.marks.append((kind, len(FakeCuda.active.waits), FakeCuda.active.asynchronous_copies))
        if kind == "epoch" and self.stops:
            raise KeyboardInterrupt

    def between(self, *kinds: str) -> Iterator[tuple[list[Wait], int]]:
        """The waits and the copies that did not wait, between marks of these kinds that follow each other."""
        for number in range(len(self.marks) - len(kinds) + 1):
            marks = self.marks[number : number + len(kinds)]
            if [kind for kind, *_ in marks] == [*kinds]:
                (_, first, copies), (_, last, more_copies) = marks[0], marks[-1]
                yield FakeCuda.active.waits[first:last], more_copies - copies


@pytest.fixture
def marks(monkeypatch):
    marks, step = Marks(), Progress.step
    monkeypatch.setattr(Progress, "step", lambda progress: (marks.add("step"), step(progress)))
    monkeypatch.setattr(Progress, "epoch", lambda progress, row: marks.add("epoch"))
    return marks


def named(values: list[tuple[str, dict]]) -> list[str]:
    return [f"{family}-{number}" for number, (family, _) in enumerate(values)]


@pytest.mark.parametrize(("family", "changes"), CASES, indirect=["family"], ids=named(CASES))
def test_every_training_stays_on_the_device_and_waits_for_it_between_epochs_only(
    family, project, monkeypatch, marks, changes
):
    is_resident = changes["precision"] == "fp32"
    monkeypatch.setattr(batches, "RESIDENT_BYTES", 2**40 if is_resident else 0)
    marks.stops = True
    with fake_cuda():
        with pytest.raises(KeyboardInterrupt):
            training(family, changes)
        marks.stops = False
        marks.add("resumed")
        weights = training(family, changes)
    steps = [*marks.between("step", "step")]
    assert steps and not any(waits for waits, _ in steps), steps
    # A step copies one batch, except for the phase that trains a head on features.
    by_method = {"features": {0}, "finetune": {0, 1}}
    assert {copies for _, copies in steps} == ({0} if is_resident else by_method.get(changes.get("method"), {1}))
    ends = [waits for waits, _ in marks.between("step", "epoch")]
    assert ends and max(map(len, ends)) <= PER_EPOCH, ends
    assert all(math.isfinite(float(value)) for row in family.history() for value in row.values() if value)
    assert read_json(family.folder / "fingerprint.json")["compute"]["device"] == "cuda"
    if changes == trainings(family.name)[0]:
        with fake_cuda():
            marks.marks.clear()
            assert training(family, changes) == weights, "a training that is not stopped ends with other weights"
        between = [waits for waits, _ in marks.between("step", "epoch", "step")]
        assert between and max(map(len, between)) <= PER_EPOCH, between


@pytest.mark.parametrize("family", FAMILIES)
def test_these_trainings_have_every_value_that_params_yaml_can_name(family):
    cases = trainings(family)
    for name, values in choices(type(FAMILIES[family].settings())).items():
        if name not in AMOUNTS[family]:
            assert {case[name] for case in cases} == set(values), name
    precisions = set(get_args(ComputeSettings.model_fields["precision"].annotation))
    assert {case["precision"] for case in cases} | {"auto"} == precisions


SHORT = {
    "classifier": {"shift": 2, "rotation": 5, "cutout": 4, "epochs": 2},
    "autoencoder": {"flip": "alternating", "shift": 1, "ema_decay": 0.5, "epochs": 2},
    "dcgan": {"epochs": 2},
    # A map of a single pixel has no definite order in memory and is summed up in another one; a side of 64 leaves four.
    "transfer": {"side": 64, "features": {"epochs": 1}, "finetune": {"epochs": 1, "mixup": 0.2, "cutmix": 1}},
}


def test_the_device_computes_what_the_cpu_does(family, project):
    compute, changes = {"deterministic": False}, SHORT[family.name]  # determinism resizes by another formula on CUDA
    on_cpu, history = family.train(compute, **changes), family.history()
    with fake_cuda(foreach=False) as cuda:
        assert family.train(compute | {"device": "cuda"}, **changes) == on_cpu
    assert family.history() == history
    assert cuda.operations > 500


def test_export_and_evaluation_use_the_cpu_alone(family, shipped):
    before = family.outputs()
    with cuda_in_name_only():
        family.export()
        family.evaluate()
    assert family.outputs() == before
