"""The stage `export`, as far as all families share it: ONNX files that agree with the weights, and export.json."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from convzoo.data.arrays import load_split
from convzoo.data.image_statistics import ranges
from convzoo.errors import ConvzooError
from convzoo.files import check_sha256, new_file, new_folder, read_json, sha256_of, write_json
from convzoo.shipping.model import Model, run_in_batches
from convzoo.shipping.onnx import OPSET, evaluation_mode, write_onnx
from convzoo.shipping.parity import Parity, compare
from convzoo.shipping.reference import REFERENCE, write_reference

MODEL = "model.onnx"
INDEX = "parts.json"  # of parts/: what each file takes and returns
BATCH = 250
SPLIT = "val"  # whose images the files are checked on


class Exported(NamedTuple):
    """What becomes an ONNX file."""

    module: nn.Module
    inputs: np.ndarray  # (N, ...), on which the file is checked against the module
    input_name: str
    output_name: str
    unit: str  # of the results, as in convzoo.shipping.parity


def load_trained(module: nn.Module, network: str, described: dict[str, Any], extra: str | None = None) -> None:
    """Load the trained weights of `network`, or the tensors in its file extra/`extra`, into `module`.

    `described` is architecture.json. Raises ConvzooError for a file that is missing, whose sha256 is not the one in
    architecture.json, or whose tensors are not those of the module.
    """
    folder = Path("models", network)
    file = folder / "extra" / extra if extra else folder / "weights.safetensors"
    sha256 = described["extra_sha256"][extra] if extra else described["weights_sha256"]
    advice = f"restore it: dvc checkout, or train again: convzoo repro -f train@{network}"
    if not file.is_file():
        raise ConvzooError(f"{file}: is missing, expected what the training wrote; {advice}")
    check_sha256(file, sha256, advice, reference="as architecture.json says")
    try:
        module.load_state_dict(load_file(file))
    except (RuntimeError, SafetensorError) as error:
        raise ConvzooError(
            f"{file}: is not of the network in architecture.json ({str(error).splitlines()[0]}), expected its weights; "
            f"{advice}"
        ) from error


def val_images(dataset: str, most: int) -> np.ndarray:
    """At most `most` val images (N, H, W, C), spread evenly over the split, which may be sorted by class."""
    images = load_split(Path("data/prepared", dataset, SPLIT)).images
    return np.array(images[np.linspace(0, len(images) - 1, min(most, len(images))).astype(np.int64)])


@torch.no_grad()
def results_of(module: nn.Module, inputs: np.ndarray) -> np.ndarray:
    """What `module` computes in evaluation mode for `inputs` (N, ...), in fp32 on the CPU."""
    starts = range(0, len(inputs), BATCH)
    with evaluation_mode(module):
        return np.concatenate([module(torch.from_numpy(inputs[i : i + BATCH])).numpy() for i in starts])


def export_files(
    network: str,
    described: dict[str, Any],
    body: nn.Module,
    model: Exported,
    parts: dict[str, Exported] | None = None,
    features: str | None = None,
    about: dict[str, Any] | None = None,
    **extras: Any,
) -> None:
    """Write models/NETWORK/model.onnx, `parts` into parts/ with an index, and export.json with `extras` as more keys.

    `described` is architecture.json, `body` the trained network, whose parameters are counted. `about` has more keys
    for what the ONNX files say of themselves. `features` names the part that gives the features of images, for a
    network that takes images: with it, all of val is measured for parts/reference.npz, which `convzoo drift` needs.
    Raises ConvzooError, and writes nothing, if a file does not agree with its module.
    """
    folder = Path("models", network)
    about = {key: described[key] for key in ("family", "dataset", "classes")} | {"network": network} | (about or {})
    if model.inputs.dtype == np.uint8:
        about["resize"] = described["resize"]
    parity, parts = {}, parts or {}
    with new_folder(folder / "parts") as parts_folder, new_file(folder / MODEL) as model_file:
        parity[MODEL] = _write(network, MODEL, model, model_file, about)
        for name, part in parts.items():
            parity[f"parts/{name}"] = _write(network, f"parts/{name}", part, parts_folder / name)
        # Present also if there are no parts, since DVC warns about an empty folder.
        write_json(parts_folder / INDEX, {name: _ends(parts_folder / name) for name in parts})
        ends = _ends(model_file)
        if features:
            extras["reference"] = _reference(network, described, model_file, parts_folder, features)

    write_json(
        folder / "export.json",
        {
            "model_sha256": sha256_of(folder / MODEL),
            "weights_sha256": sha256_of(folder / "weights.safetensors"),
            "parts_sha256": {name: sha256_of(folder / "parts" / name) for name in parts},
            "bytes": (folder / MODEL).stat().st_size,
            "parameters": sum(weight.numel() for weight in body.parameters()),
            "opset": OPSET,
            **ends,
            "dataset": described["dataset"],
            "classes": described["classes"],
            "parity": {
                "split": SPLIT,
                "images": len(model.inputs),
                "files": {name: found.record() for name, found in parity.items()},
            },
            "images": _images(described["dataset"]),
            **extras,
        },
    )


def _reference(network: str, described: dict[str, Any], model: Path, parts: Path, features: str) -> dict[str, Any]:
    """Write the measurements of val, and say how they were made."""
    images = load_split(Path("data/prepared", described["dataset"], SPLIT)).images
    about = {"network": network, "classes": described["classes"], "split": SPLIT}
    found = write_reference(parts / REFERENCE, images, model, parts / features, **about)
    return {
        "file": f"parts/{REFERENCE}",
        "sha256": sha256_of(parts / REFERENCE),
        "features": f"parts/{features}",
        **{key: found[key] for key in ("split", "images", "projection")},
    }


def _images(dataset: str) -> dict[str, Any]:
    """What images the network was trained for: their source, and the ranges of their statistics on val.

    By these `convzoo predict` warns of images that are unlike them.
    """
    source = read_json(Path("data/raw", dataset, "source.json"), "name", "kind")
    images = load_split(Path("data/prepared", dataset, SPLIT)).images
    return {"source": {key: source[key] for key in ("name", "kind")}, "split": SPLIT, "ranges": ranges(images)}


def _ends(file: Path) -> dict[str, Any]:
    """Name, dtype and shape of a file's input and output."""
    model = Model(file)
    return {"input": model.input._asdict(), "output": model.output._asdict()}


def _write(network: str, name: str, exported: Exported, path: Path, about: dict[str, Any] | None = None) -> Parity:
    """Write the file and compare its results with the module's. Raises ConvzooError if they differ."""
    module, inputs, input_name, output_name, unit = exported
    write_onnx(module, torch.from_numpy(inputs[:2]), input_name, output_name, path, about)
    found = compare(results_of(module, inputs), run_in_batches(Model(path, portable=True), inputs, BATCH), unit)
    if not found.holds:
        raise ConvzooError(
            f"{network}: {name} does not agree with the weights: {output_name} differ by {found.measured} (expected "
            f"{found.required}), so nothing was exported; compare your versions of torch, onnx and onnxruntime with "
            "constraints.txt"
        )
    return found
