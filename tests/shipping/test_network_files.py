"""The files of a network as a registration reads them: all that are needed, and those that belong together."""

from pathlib import Path

import pytest

from convzoo.errors import ConvzooError
from convzoo.files import DamagedFileError, sha256_of, write_json
from convzoo.shipping.network_files import STAGE_OF, missing_files, read_network, synthetic_note

FOLDER = Path("models/net")
IDENTITY = {"fingerprint": "f" * 64, "data": {"train": "a", "val": "b"}, "params": {}, "code": {}, "versions": {}}
META = {"source": {"kind": "synthetic", "name": "shapes"}, "splits": {"train": "a", "val": "b", "test": "c"}}
METRICS = {"test_accuracy": 0.5, "test_images": 3, "perfect": True, "note": "x", "classes": {"a": 1}}


def write_export(**changes: object) -> None:
    about = {"model_sha256": sha256_of(FOLDER / "model.onnx"), "dataset": "drawn", "input": {}, "output": {}}
    write_json(FOLDER / "export.json", about | changes)


@pytest.fixture(autouse=True)
def network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FOLDER.mkdir(parents=True)
    (FOLDER / "model.onnx").write_bytes(b"model")
    write_export()
    write_json(FOLDER / "architecture.json", {"family": "classifier"})
    write_json(FOLDER / "fingerprint.json", IDENTITY)
    write_json(FOLDER / "evaluation.json", METRICS)
    (FOLDER / "history.csv").write_text("epoch,loss,kid\n1,2.5,\n3,inf,-0.5\n")
    write_json(Path("data/prepared/drawn/meta.json"), META)


def test_everything_is_read():
    found = read_network("net")
    assert (found.network, found.folder, found.family, found.identity) == ("net", FOLDER, "classifier", IDENTITY)
    assert (found.model, found.sha256) == (FOLDER / "model.onnx", sha256_of(FOLDER / "model.onnx"))
    assert found.export["dataset"] == "drawn" and found.metrics == METRICS and found.meta == META
    assert found.history == {1: {"loss": 2.5}, 3: {"kid": -0.5}}  # no empty cells, nothing infinite
    assert found.numbers == {"test_accuracy": 0.5, "test_images": 3}
    assert found.splits == META["splits"] and found.source == META["source"] and found.is_synthetic
    note = "Trained and measured on shapes: images drawn from a seed. Its results say nothing about real images."
    assert synthetic_note(found) == note


def test_without_the_data_nothing_is_known_about_them():
    Path("data/prepared/drawn/meta.json").unlink()
    write_json(FOLDER / "architecture.json", {})
    found = read_network("net")
    assert (found.meta, found.source, found.splits, found.family) == ({}, {}, {}, "network")
    assert not found.is_synthetic and synthetic_note(found) == ""


@pytest.mark.parametrize("split", ["train", "val"])
def test_data_that_changed_since_the_training_have_no_digests(split):
    write_json(Path("data/prepared/drawn/meta.json"), META | {"splits": META["splits"] | {split: "other"}})
    assert read_network("net").splits == {}


def test_a_table_is_read_only_with_its_columns():
    (FOLDER / "plots").mkdir()
    (FOLDER / "plots/table.csv").write_text("id,value\na,1\nb,2\n")
    found = read_network("net")
    assert found.rows("plots/table.csv", "value") == [{"id": "a", "value": "1"}, {"id": "b", "value": "2"}]
    assert found.rows("plots/table.csv", "value", "other") == found.rows("plots/none.csv", "value") == []
    (FOLDER / "plots/empty.csv").write_text("")
    assert found.rows("plots/empty.csv", "value") == found.rows("plots/empty.csv") == []


@pytest.mark.parametrize(("name", "stage"), STAGE_OF.items())
def test_a_missing_file_is_named_with_the_stage_that_writes_it(name, stage):
    assert missing_files("net") == []
    (FOLDER / name).unlink()
    assert missing_files("net") == [name]
    with pytest.raises(ConvzooError, match=rf"^{FOLDER / name}: is missing; run: convzoo repro {stage}@net$"):
        read_network("net")
    assert stage == {"model.onnx": "export", "export.json": "export", "evaluation.json": "evaluate"}.get(name, "train")


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("export.json", ["model_sha256", "dataset", "input", "output"]),
        ("fingerprint.json", ["fingerprint", "data", "params", "code", "versions"]),
    ],
)
def test_a_key_that_is_missing_is_named(name, keys):
    write_json(FOLDER / name, {})
    with pytest.raises(DamagedFileError, match=f"{name}: lacks {', '.join(keys)}, expected"):
        read_network("net")


def test_another_model_than_the_exported_one_is_refused():
    write_export(model_sha256="0" * 64)
    message = r"has sha256 .*, expected 0+ as export\.json says; run: dvc checkout, or convzoo repro -f export@net"
    with pytest.raises(ConvzooError, match=message):
        read_network("net")


@pytest.mark.parametrize(
    "text", ["epoch,loss\n1,x\n", "epoch,loss\n1,2,3\n", "epoch,loss\nx,2\n", 'epoch,loss\n"1"2,"3\n']
)
def test_a_history_that_is_no_table_of_numbers_is_refused(text):
    (FOLDER / "history.csv").write_text(text)
    with pytest.raises(DamagedFileError, match=r"history\.csv: is not a table of numbers by epoch"):
        read_network("net")


def test_a_history_without_a_row_is_refused():
    (FOLDER / "history.csv").write_text("epoch,loss\n")
    with pytest.raises(DamagedFileError, match=r"history\.csv: has no row, expected one for each epoch"):
        read_network("net")
