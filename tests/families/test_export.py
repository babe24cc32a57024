"""What holds for the exported files of every family: they do what the weights do, with the same bytes each time."""

import re
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers.small import FAMILIES
from safetensors.torch import save_file

from convzoo.data.arrays import Split, load_split
from convzoo.errors import ConvzooError
from convzoo.families.dcgan.latents import latents
from convzoo.files import read_json, sha256_of, write_json
from convzoo.shipping import export as exporting
from convzoo.shipping.model import Model
from convzoo.shipping.parity import ALLOWED, ALLOWED_SHARE, parity_of

FILES = [(name, file) for name, family in FAMILIES.items() for file in family.files]
of_each_file = pytest.mark.parametrize(("family", "file"), FILES, indirect=["family"])


def inputs_of(model: Model, family, count: int = 20) -> np.ndarray:
    """Test images, or latents."""
    if model.input.dtype == "uint8":
        return np.array(load_split(family.prepared / "test").images[:count])
    return latents(count, model.input.shape[1], 0)


def test_files_say_what_they_are_and_agree_with_the_weights(family, shipped):
    said, meta = read_json(family.folder / "export.json"), read_json(family.prepared / "train/meta.json")
    models = {file: Model(family.folder / file) for file in family.files}
    parts = {file.removeprefix("parts/"): sha256_of(family.folder / file) for file in models if file != "model.onnx"}
    assert said["model_sha256"] == sha256_of(family.folder / "model.onnx")
    assert said["weights_sha256"] == sha256_of(family.folder / "weights.safetensors")
    assert said["parts_sha256"] == parts
    reference = {"reference.npz"} if family.name != "dcgan" else set()  # which has no input to watch
    assert {file.name for file in (family.folder / "parts").iterdir()} == {"parts.json", *parts, *reference}
    for file, port in family.files.items():
        assert (str(models[file].input), str(models[file].output)) == port[:2]
    about = {"family": family.name, "network": family.network, "dataset": meta["dataset"], "classes": meta["classes"]}
    about |= {"resize": meta["resize"]} if models["model.onnx"].input.dtype == "uint8" else {}
    about |= {"conditional": False} if family.name == "dcgan" else {}
    assert models["model.onnx"].described == about
    for end in ("input", "output"):
        port = getattr(models["model.onnx"], end)
        assert said[end] == port._asdict() | {"shape": list(port.shape)}

    assert (said["parity"]["split"], said["parity"]["images"]) == ("val", family.exporting.parity_images)
    parity = parity_of(said)
    assert {file: found.unit for file, found in parity.items()} == {
        file: port.unit for file, port in family.files.items()
    }
    for found in parity.values():
        assert found.largest <= found.allowed
        if found.unit in ALLOWED:
            assert found.allowed == ALLOWED[found.unit]
        if found.unit == "probability":
            assert found.top1_agreement == 1
        if found.unit == "grey level":
            assert found.share <= found.allowed_share == ALLOWED_SHARE


def test_files_run_with_the_bits_that_every_processor_computes(family, shipped, monkeypatch):
    levels, run = [], onnxruntime.InferenceSession.run

    def recorded(session, *arguments):
        levels.append(session.get_session_options().graph_optimization_level)
        return run(session, *arguments)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", recorded)
    family.export()
    family.evaluate()
    assert set(levels) == {onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED}


def test_the_same_weights_give_the_same_bytes_and_nothing_of_this_machine(family, shipped):
    before = family.outputs()
    family.export()
    assert family.outputs() == before
    for file in family.files:
        model = onnx.load(family.folder / file)
        assert [entry.key for entry in model.metadata_props] == ["convzoo"] * (file == "model.onnx")
        assert not [node.name for node in model.graph.node if node.metadata_props or node.doc_string]
        for tensor in model.graph.initializer:  # random bytes of weights may look like anything
            tensor.ClearField("raw_data")
        content = model.SerializeToString()
        assert not [trace for trace in (b"site-packages", b".py", str(shipped.folder).encode()) if trace in content]


@of_each_file
def test_any_number_of_inputs_gives_the_same_results(family, shipped, file):
    model = Model(family.folder / file)
    inputs = inputs_of(model, family)
    together = model(inputs)
    for count in (1, 7):
        results = model(inputs[:count])
        assert (results.shape, results.dtype) == ((count, *model.output.shape[1:]), model.output.dtype)
        np.testing.assert_allclose(
            results.astype(np.float64), together[:count], atol=1 if results.dtype == np.uint8 else 1e-5
        )
    if family.files[file].unit == "probability":
        np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)


@of_each_file
def test_another_type_and_another_shape_are_refused(family, shipped, file):
    model = Model(family.folder / file)
    inputs = inputs_of(model, family, 2)
    kind = r"raw pixels from 0 to 255, not scaled" if inputs.dtype == np.uint8 else "latents"
    other = np.float32 if inputs.dtype == np.uint8 else np.float64
    for wrong in (inputs.astype(other), np.moveaxis(inputs, -1, 0), inputs[..., :-1], np.zeros((2, 5, 5, 1), np.uint8)):
        expected = f"expected {model.input} ({kind}), got {wrong.dtype} {wrong.shape}"
        with pytest.raises(ConvzooError, match=re.escape(expected)):
            model(wrong)


@of_each_file
def test_a_file_that_does_something_else_is_not_exported(family, shipped, monkeypatch, file):
    write, before = exporting.write_onnx, family.outputs()

    def write_other_weights(module, example, input_name, output_name, path, *described):
        if Path(file).name in path.name:
            module = deepcopy(module)
            with torch.no_grad():
                for weight in module.parameters():
                    weight += torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
        write(module, example, input_name, output_name, path, *described)

    monkeypatch.setattr(exporting, "write_onnx", write_other_weights)
    unit = family.files[file].unit
    differ = {
        "probability": r"probabilities differ by .*(, top-1 agreement \d.*)? \(expected <= 0.0001 probability\)",
        "grey level": r"(images|reconstructions) differ by \d+ on .* \(expected <= 1 grey level on 0.001 of them\)",
        "latent": r"latents differ by .* \(expected <= .* latent\)",
        "feature": r"features differ by .* \(expected <= .* feature\)",
    }
    for older in (True, False) if file == "model.onnx" else (True,):
        if not older:
            for name in ("export.json", *family.files):
                before.pop(name), (family.folder / name).unlink()
        with pytest.raises(ConvzooError, match=f"{file} does not agree with the weights: {differ[unit]}"):
            family.export()
        assert family.outputs() == before


def test_weights_that_are_missing_or_not_those_of_the_network_are_refused(family, shipped):
    architecture, before = family.folder / "architecture.json", family.outputs()
    described = read_json(architecture)
    advice = rf"; restore it: dvc checkout, or train again: convzoo repro -f train@{family.network}"
    for name in [name for name in before if name.endswith(".safetensors")]:
        file = family.folder / name
        kept = {path: path.read_bytes() for path in (file, architecture)}

        def refused(message: str, name=name) -> None:
            before = family.outputs()
            with pytest.raises(ConvzooError, match=rf"{name}: {message}{advice}"):
                family.export()
            assert family.outputs() == before

        file.unlink()
        refused("is missing, expected what the training wrote")
        save_file({"a": torch.zeros(1)}, file)
        for content in (file.read_bytes(), b"cut"):
            file.write_bytes(content)
            write_json(architecture, described)
            refused("has sha256 .*, expected .* as architecture.json says")
            digests = {"weights_sha256": sha256_of(file)}
            if name != "weights.safetensors":
                digests = {"extra_sha256": {file.name: sha256_of(file)}}
            write_json(architecture, described | digests)
            refused(r"is not of the network in architecture.json .*, expected its weights")
        for path, content in kept.items():
            path.write_bytes(content)


def test_parity_is_checked_on_all_of_val_even_if_it_is_sorted(family, shipped, monkeypatch):
    images, labels = load_split(family.prepared / "val")
    order = np.argsort(labels, kind="stable")
    monkeypatch.setattr(exporting, "load_split", lambda folder: Split(images[order], labels[order]))
    seen, compute = [], exporting.results_of
    monkeypatch.setattr(exporting, "results_of", lambda *given: seen.append(given[1]) or compute(*given))
    family.export(parity_images=8)
    assert {len(inputs) for inputs in seen} == {8}
    for inputs in [inputs for inputs in seen if inputs.dtype == np.uint8]:
        found = [int(labels[(images == image).all(axis=(1, 2, 3))][0]) for image in inputs]
        assert set(found) == set(labels.tolist())
