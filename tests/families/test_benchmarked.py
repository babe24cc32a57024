"""The benchmarks run the loops and files of every family."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers.small import CLASSIFIER, COMPUTE, TRANSFER
from onnx import numpy_helper

from benchmarks import compiled, inference, int8, processes, public, training, trainings
from convzoo.files import read_json
from convzoo.settings.load import read_params
from convzoo.shipping.model import Model


@pytest.fixture
def small(family, project):
    """The small training of a family, as the benchmarks run it."""
    changes = family.short | ({"method": "finetune"} if family.name == "transfer" else {})
    return training_of(family, changes)


def training_of(family, changes):
    params = read_params()
    params.values["compute"] = COMPUTE.model_dump()
    return trainings.training(params, family.network, family.settings(**changes).model_dump())


def test_a_loop_is_timed_and_leaves_nothing(family, small, project):
    watch = small.run(limit=1)
    assert len(watch.steps) == len(watch.in_network) == 1
    assert 0 < watch.in_network[0] < watch.steps[0]
    assert not (project / "models").exists()
    assert not list(project.rglob("*.ckpt"))


def test_a_process_of_a_comparison_is_timed(family, project, capsys):
    processes.child(family.network, steps=2, processes=1, threads=1, together=False)
    timed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert timed["batch"] > 0 and timed["seconds"] > 0 and timed["spent"] > 0


@pytest.mark.parametrize("family", [CLASSIFIER])
def test_the_compiled_loop_is_timed(family, small, project, monkeypatch):
    compiled_modules = []
    monkeypatch.setattr(torch, "compile", lambda module: compiled_modules.append(module) or module)
    cells = compiled.row(small, compiled.parsed(["--turns", "2", "--seconds", "0"])).split(" | ")
    assert len(compiled_modules) == 3  # once to compile, and once in each turn
    assert len(cells) == 4 and float(cells[0]) > 0 and float(cells[2]) > 0


SCRIPT = """
import sys, torch, torchvision
from torchvision import transforms
images = torchvision.datasets.MNIST("../data", train=True, download=True, transform=transforms.ToTensor())
network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(4))
optimizer = torch.optim.SGD(network.parameters())
for epoch in range(int(sys.argv[1])):
    for x, y in torch.utils.data.DataLoader(images, 8):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
"""


@pytest.mark.parametrize("family", [CLASSIFIER])
def test_the_steps_of_a_public_script_are_timed(family, project, tmp_path, monkeypatch):
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository/main.py").write_text(SCRIPT)
    for epochs in ("1000", "1"):
        one = public.Implementation("repository", "main.py", (epochs,), 8, 1)
        monkeypatch.setattr(public, "IMPLEMENTATIONS", {family.network: one})
        if epochs == "1":
            with pytest.raises(ValueError, match=r"main.py: ended before 100 s were over"):
                public.public(family.network, tmp_path, 100)
        else:
            assert public.public(family.network, tmp_path, 0.01) > 0


@pytest.mark.parametrize("family", [TRANSFER])
def test_without_fine_tuning_the_features_are_timed(family, project, monkeypatch):
    monkeypatch.setattr(trainings.transfer_features, "BATCH", 16)
    features = training_of(family, {"method": "features"})
    assert features.batch == 16
    watch = features.run()
    assert len(watch.steps) == 48 // 16 - 1 and 0 < watch.in_network[0] < watch.steps[0]


def test_what_a_step_computes_is_counted_as_the_training_counts_it(family, small):
    counts = training.recorded(small)
    convolutions = [op for op in counts if op.name.startswith("convolution")]
    assert convolutions and all(op.flops > 0 for op in convolutions if op.name == "convolution")
    total = sum(op.flops * count for op, count in counts.items()) / small.cycle
    cost = costs(family, small)
    assert total == pytest.approx(cost, rel=1e-9)


def costs(family, small) -> float:
    """The floating-point operations of a step, by what the loop itself writes into its history."""
    row: dict[str, float] = {}
    steps: list[int] = []

    class Counting(trainings.OneEpoch):
        def check_finite(self, losses):
            """Go on."""

        def is_best(self, *arguments, **options):
            return False

        def end_epoch(self, found, progress):
            row.update(found)
            raise trainings.Finished

    class Watch(trainings.Stopwatch):
        def step(self, *_):
            steps.append(1)

        update = step

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trainings, "OneEpoch", Counting)
        if family.name == "dcgan":
            patched.setattr(trainings.dcgan, "validate", lambda *_: {"val_kid": 0.0, "val_diversity": 1.0})
            patched.setattr(trainings.dcgan, "collapse_alarms", lambda *_: [])
        with pytest.raises(trainings.Finished):
            small.loop(small.fabric, Watch(torch.device("cpu")))
    return row["train_petaflops"] * 1e15 / len(steps)


@pytest.mark.parametrize("family", [CLASSIFIER])
def test_a_scale_moves_into_the_convolution_without_changing_the_results(shipped, family):
    file = shipped.folder / "models" / family.network / "model.onnx"
    model = onnx.load(file)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    norms = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    scale = numpy_helper.to_array(tensors[norms[0].input[1]])
    tensors[norms[0].input[1]].CopyFrom(numpy_helper.from_array(-2 * scale, norms[0].input[1]))
    onnx.save(model, "before.onnx")
    onnx.save(int8.equalised(model), "after.onnx")

    batch = inference.inputs(read_json(file.parent / "architecture.json"), 20)
    before, after = Model(Path("before.onnx"))(batch), Model(Path("after.onnx"))(batch)
    assert not np.allclose(before, Model(file)(batch), atol=1e-3)  # of the changed scale
    assert np.allclose(before, after, atol=1e-5)
    for norm in norms:
        assert np.allclose(np.abs(numpy_helper.to_array(tensors[norm.input[1]])), 1, atol=1e-3)


def test_eager_inference_computes_what_the_file_does(shipped, family, monkeypatch):
    monkeypatch.setattr(int8, "BATCHES", (1, 2))
    folder = shipped.folder / "models" / family.network
    described, export = read_json(folder / "architecture.json"), read_json(folder / "export.json")
    batch = inference.inputs(described, 5)
    assert len(batch) == 5
    with torch.inference_mode():
        expected = inference.eager(family.network, described, export)(torch.from_numpy(batch)).numpy()
    result = Model(folder / "model.onnx")(batch)
    assert np.allclose(result.astype(float), expected.astype(float), atol=1 if result.dtype == np.uint8 else 1e-4)
    measured = int8.measure(family.network, Path("bench"), repeats=1, seconds=0.0)
    file = Path("bench", f"{family.network}.int8.onnx")
    if Model(folder / "model.onnx").output.name != "probabilities":
        assert measured is None and not file.exists()
    else:
        assert measured["val_agreement"] > 0.5  # of four classes, by a network that was hardly trained
        assert measured["kept"] == file.exists() == (measured["val_int8"] >= measured["val_float"] - 0.002)
    quality = training.quality(read_params(), family.network)
    assert quality["petaflops"] > 0 and quality["value"] == read_json(folder / "metrics.json")[quality["metric"]]
