"""The bits of this machine against those of the processors in tests/bits, and the command that compares them."""

import json
from pathlib import Path

import onnx
import pytest
import torch
from helpers.project import ROOT, convzoo, python
from torch import nn
from typer.testing import CliRunner

from convzoo.bits.record import GROUPS, PACKAGES, compare, read_record, write_record
from convzoo.cli import app
from convzoo.errors import ConvzooError
from convzoo.families.probabilities.network import PixelClassifier
from convzoo.portable import LEVERS, missing_features
from convzoo.shipping.onnx import write_onnx

# What the emulated processors could not run.
NOT_EMULATED = {"rotate and scale", "resized crop"}
FILES = sorted((ROOT / "tests/bits").glob("*.json"))


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> dict:
    """The digests of this machine."""
    file = tmp_path_factory.mktemp("bits") / "here.json"
    python(file.parent, "-m", "convzoo", "bits", "--out", file.name, PYTHONPATH=str(ROOT / "src"))
    return read_record(file)


@pytest.mark.skipif(bool(missing_features()), reason=missing_features())
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_this_machine_has_the_bits_of_every_processor_that_was_seen(here, file):
    comparison = compare(read_record(file), here)
    other = [line for line in comparison.versions if line.partition(":")[0] in PACKAGES]
    assert other == [], "recorded with other versions: run make bits, and convzoo bits on the machines in tests/bits"
    assert comparison.differing == []
    assert len(comparison.equal) > 100 and set(comparison.one_sided) <= NOT_EMULATED


def test_there_are_files_of_intel_and_amd():
    names = {read_record(file)["processor"] for file in FILES}
    assert any("Haswell" in name for name in names) and any("EPYC" in name for name in names)
    assert all(read_record(file)["environment"] == LEVERS for file in FILES)


def test_operations_have_one_name_each():
    from importlib import import_module

    names = [name for group in GROUPS for name in import_module(f"convzoo.bits.{group}").OPERATIONS]
    assert len(names) == len(set(names)) > 100


@pytest.fixture
def records(tmp_path) -> list[Path]:
    """Two files that differ in two operations, of which each lacks one of the other's."""
    common = {"environment": {}, "versions": {"numpy": "2.4.6", "libc": "glibc 2.36"}}
    one = common | {"processor": "One", "operations": {"a": "1", "b": "2", "c": "3", "d": None, "e": "5"}}
    two = common | {"processor": "Two", "operations": {"a": "1", "b": "9", "c": "9", "d": "4", "e": None}}
    two["versions"] = {"numpy": "2.4.6", "libc": "glibc 2.41"}
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for file, record in zip(files, (one, two), strict=True):
        file.write_text(json.dumps(record))
    return files


def test_two_files_show_the_first_difference(records, tmp_path):
    lines = convzoo(tmp_path, "bits", "one.json", "two.json", expected=1, PYTHONPATH=str(ROOT / "src")).splitlines()
    assert lines == [
        "One and Two:",
        "first difference: b",
        "1 of 3 operations have the same bits",
        "  different: b",
        "  different: c",
        "  not compared, only one of the files has it: d",
        "  not compared, only one of the files has it: e",
        "  other versions of libc: glibc 2.36 and glibc 2.41",
    ]


def test_the_first_difference_is_the_first_in_the_order_of_the_file(tmp_path):
    record = {"processor": "One", "versions": {}, "operations": {"b": "1", "a": "2"}}
    write_record(tmp_path / "one.json", record)
    found = compare(read_record(tmp_path / "one.json"), record | {"operations": {"a": "3", "b": "3"}})
    assert found.differing == ["b", "a"]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConvzooError, match=r"none.json: there is no such file, expected one that `convzoo bits` wrote"):
        read_record(tmp_path / "none.json")


def test_an_exported_classifier_has_a_softmax_whose_sum_has_one_order(tmp_path):
    classifier = PixelClassifier(nn.Sequential(nn.Flatten(), nn.Linear(12, 7)), [0.5] * 3, [0.5] * 3, "identity", 0.3)
    images = torch.randint(256, (5, 2, 2, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    write_onnx(classifier, images, "images", "probabilities", tmp_path / "model.onnx")
    kinds = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert "Softmax" not in kinds and {"Exp", "ReduceMax", "ReduceSum"} <= kinds
    torch.testing.assert_close(classifier(images), (classifier.logits(images) / 0.3).softmax(1))


def test_the_file_to_compare_with_is_not_overwritten(records, monkeypatch):
    monkeypatch.chdir(records[0].parent)
    records[0].rename("bits.json")
    before = Path("bits.json").read_bytes()
    said = CliRunner().invoke(app, ["bits", "bits.json"]).stderr
    assert said == "error: bits.json: would be overwritten, expected another file for this machine; add: --out FILE\n"
    assert Path("bits.json").read_bytes() == before
