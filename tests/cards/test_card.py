"""Model cards: each family's in its own numbers, within what mlflow takes, the same twice, and with code that runs."""

import os
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import mlflow
import numpy as np
import pytest
from helpers.family_cards import EXPECTED
from helpers.family_outputs import ANSWERS, CLASSES, COUNTS, MEASURED, PROBABILITIES, SOURCE, save_pixelwise
from helpers.project import ROOT
from helpers.registered import SIDE, identity_of
from onnx import TensorProto

from convzoo.cards import card
from convzoo.cards.markdown import in_brackets
from convzoo.files import read_json, sha256_of, write_json
from convzoo.lineage.record import lineage_of
from convzoo.shipping.model import Model
from convzoo.shipping.network_files import read_network
from convzoo.tracking import runs, store
from convzoo.tracking.live import LiveRun
from convzoo.tracking.registry import register

META = Path("data/prepared/shapes/meta.json")
FAMILIES = sorted(EXPECTED)


@pytest.fixture(autouse=True)
def source_of_shapes():
    """Where the data set `shapes` comes from."""
    write_json(META, {"dataset": "shapes", "source": SOURCE, "counts": COUNTS})
    yield
    META.unlink()


@pytest.fixture
def write_family(write_network):
    """Writes models/FAMILY-SEED as that family's stages do; its name."""

    def write(family: str, seed: int = 1, name: str | None = None) -> str:
        network = name or f"a-{family}-{seed}"
        write_network(network, seed)
        folder = Path("models", network)
        export = read_json(folder / "export.json") | {"classes": list(CLASSES), "parameters": 51, "bytes": 1_230_000}
        if family == "transfer":
            export |= {"weights": {"name": "tiny", "licence": "Apache-2.0"}, "views": "mirror"}
        if family == "autoencoder":
            save_pixelwise(folder / "model.onnx", "images", TensorProto.UINT8, ["N", SIDE, SIDE, 1])
            export["output"] = {"name": "again", "dtype": "uint8", "shape": [None, SIDE, SIDE, 1]}
            (folder / "plots/psnr_per_image.csv").write_text(
                "image,autoencoder,pca\n0,22.0,22.5\n1,24.0,23.0\n2,18,17\n3,26.0,25.0\n"
            )
        if family == "dcgan":
            save_pixelwise(folder / "model.onnx", "latents", TensorProto.FLOAT, ["N", SIDE])
            export["input"] = {"name": "latents", "dtype": "float32", "shape": [None, SIDE]}
            export["output"] = {"name": "again", "dtype": "uint8", "shape": [None, SIDE]}
            kept = {"alarms": ["epoch 3: the samples are alike"], "val_diversity": 0.459}
            write_json(folder / "extra/kept.json", kept)
        if family in ("classifier", "transfer"):
            (folder / "plots/confusion.csv").write_text(ANSWERS)
        write_json(folder / "export.json", export | {"model_sha256": sha256_of(folder / "model.onnx")})
        write_json(folder / "architecture.json", {"family": family})
        write_json(folder / "evaluation.json", MEASURED[family])
        return network

    return write


def card_of(network: str) -> str:
    return Path("models", network, "card.md").read_text(encoding="utf-8")


def described(network: str) -> str:
    return store.open_store().get_model_version_by_alias(network, "candidate").description


def contents() -> dict[str, list]:
    """Every row of the store."""
    with sqlite3.connect("mlruns/mlflow.db") as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: sorted(map(repr, database.execute(f'SELECT * FROM "{table}"'))) for table in tables}


@pytest.mark.parametrize("family", FAMILIES)
def test_description_and_file_tell_each_family_in_its_own_numbers(write_family, family):
    network = write_family(family)
    register(network)
    for text in (described(network), card_of(network)):
        for sentence in (
            f"`{network}` version 1: ",
            "Data set `shapes` from the source `shapes-published` (`archive`), <https://shapes.example.org/about>.",
            "Licence: `CC BY 4.0`.",
            "Images: 1,000 train, 100 val, 200 test. Dropped: 7 duplicates. Data checks: passed.",
            "The data have 3 classes: `bar`, `cross`, `square`.",
            f"convzoo reproduce {network}@v1",
            *(
                line.format(f"{network}@v1" if "{} " in line or line.endswith("{}") else network)
                for line in EXPECTED[family]
            ),
        ):
            assert sentence in text, sentence
        assert "drawn" not in text
    assert len(described(network)) <= card.DESCRIPTION_LENGTH - card.RESERVED
    titles = re.findall("^## (.*)$", card_of(network), re.MULTILINE)
    assert titles == re.findall("^## (.*)$", described(network), re.MULTILINE) and len(titles) == 8


@pytest.mark.parametrize("family", FAMILIES)
def test_the_python_shown_gives_the_answer_of_the_file(write_family, family, monkeypatch):
    network = write_family(family, seed=2)
    register(network)
    monkeypatch.setattr(mlflow, "set_tracking_uri", mlflow.set_tracking_uri)  # as it was, afterwards
    model = Model(Path("models", network, "model.onnx"))
    snippets = re.findall(r"```python\n(.*?)```", card_of(network), re.DOTALL)
    assert len(snippets) == 2 and snippets[0] in described(network)
    for snippet in snippets:
        answers: list = []
        names = {"print": answers.append}
        exec(snippet, names)
        (answer,) = answers
        expected = model(names[model.input.name])
        assert len(expected) == 2 and expected.any()
        np.testing.assert_allclose(answer, expected, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_card_is_made_without_the_files_that_may_be_missing(write_family, family):
    network = write_family(family, seed=3)
    folder = Path("models", network)
    write_json(folder / "evaluation.json", {"test_images": 5})
    for name in ("plots", "extra"):
        shutil.rmtree(folder / name)
    write_json(META, {"source": {}})
    register(network)
    for text in (described(network), card_of(network)):
        assert "Licence: unknown. Images: unknown." in text
        assert "Unknown: they were not measured." in text
        assert "| `test_images` | 5 |" in text


def test_the_licence_of_weights_that_come_without_one_is_unknown(write_family):
    folder = Path("models", write_family("transfer"))
    export = read_json(folder / "export.json")
    # As for torchvision's weights, and for a file of one's own.
    write_json(folder / "export.json", export | {"weights": {"name": "resnet50", "file": "resnet50-11ad3fa6.pth"}})
    register(folder.name)
    sentence = "Pretrained: it started from the published weights `resnet50`, licence: unknown."
    assert sentence in described(folder.name) and sentence in card_of(folder.name)


def test_a_network_of_drawn_images_says_so_first_and_at_its_use(write_family):
    write_json(META, {"source": SOURCE | {"name": "shapes-drawn", "kind": "synthetic"}, "counts": COUNTS})
    network = write_family("classifier", seed=4)
    register(network)
    expected = "Trained and measured on shapes-drawn: images drawn from a seed."
    for text in (described(network), card_of(network).removeprefix(f"# {network}\n\n")):
        sentence, rating, note = text.split("\n\n")[:3]
        assert sentence.startswith(
            "Classifies images of the drawn data set shapes into 3 classes (bar, cross, square);"
        )
        assert rating.startswith("Rating: ") and note.startswith(expected)
    assert "images like those of the synthetic set `shapes`" in card_of(network)


def test_training_has_time_machine_and_all_params_in_the_file_and_the_essential_ones_in_the_description(write_family):
    network = write_family("classifier", seed=5)
    with LiveRun(network, identity_of(5), {"convzoo.profile": "starter"}) as live:
        live.log(1, {"train_loss": 2.5})
    register(network)
    (run,) = store.open_store().search_runs([runs.experiment_of(store.open_store(), network)])
    took = f"Time: {(run.info.end_time - run.info.start_time) / 1000:,.1f} s, started 20"
    for text in (described(network), card_of(network)):
        assert took in text
        assert f"Machine: `{run.data.tags['convzoo.machine']}`" in text
        assert "Profile: `starter`" in text
    assert "`learning_rate` `0.1`" in described(network) and "fast.widths" not in described(network)
    assert "| `fast.widths` | `[4, 8]` |" in card_of(network) and "| `precision` | `fp32` |" in card_of(network)
    assert f"Run in MLflow: `{run.info.run_id}`" in card_of(network)


def test_times_that_are_not_the_trainings_are_unknown(write_family):
    from_files = write_family("classifier", seed=6)
    stopped = write_family("classifier", seed=7)
    LiveRun(stopped, identity_of(7), {}).close("KILLED")
    for network in (from_files, stopped, stopped):  # the second time its run is finished
        register(network)
        assert "Time: unknown." in described(network) and "Time: unknown." in card_of(network)


def test_again_changes_neither_the_store_nor_the_file(write_family):
    network = write_family("dcgan", seed=8)
    with LiveRun(network, identity_of(8), {}):
        pass
    register(network)
    before = contents(), card_of(network)
    register(network)
    assert (contents(), card_of(network)) == before


def test_new_figures_reach_the_description_and_what_a_promotion_wrote_stays(write_family):
    network = write_family("classifier", seed=9)
    register(network)
    client, verdict = store.open_store(), "## Promotion\n\n| condition |\n| --- |\n| accuracy |  \n\nby hand\n"
    client.update_model_version(network, "1", f"{described(network)}\n\n{verdict}")
    before = contents()
    register(network)
    assert contents() == before
    write_json(Path("models", network, "evaluation.json"), PROBABILITIES | {"test_accuracy": 0.75})
    register(network)
    assert "| `test_accuracy` | 75.00 % |" in described(network) and "40.00 %" not in described(network)
    assert described(network).endswith(f"\n\n{verdict}") and described(network).count("## Promotion") == 1
    assert "## Promotion" not in card_of(network)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("promoted", ["", "## Promotion\n" + "x" * 2500])
def test_a_thousand_classes_with_long_names_fit(write_family, family, promoted):
    network = write_family(family, seed=10, name=f"{family}-{'n' * 120}")
    names = [f"{number} {'long | `name` ' * 30}" for number in range(1000)]
    folder = Path("models", network)
    write_json(folder / "export.json", read_json(folder / "export.json") | {"classes": names})
    row = {"recall": 0.1, "psnr": 20.0, "images": 5}
    write_json(folder / "evaluation.json", MEASURED[family] | {"classes": dict.fromkeys(names, row)})
    rows = [f'"{"path/" * 50}{name}","{name}",0.99,"{names[0]}"' for name in names]
    (folder / "plots/confusion.csv").write_text("id,actual,probability,predicted\n" + "\n".join(rows) + "\n")
    identity = identity_of(10)
    identity["params"] |= {f"parameter_{number}": "value" * 50 for number in range(200)}
    write_json(folder / "fingerprint.json", identity)
    known = card.Provenance("12345", machine="m" * 500, commit="c" * 40, changed="d" * 9000, profile="p" * 500)
    files = read_network(network)
    long_card = card.Card(files, lineage_of(files), known)
    text = long_card.description(promoted)
    assert len(text) <= card.DESCRIPTION_LENGTH - (0 if promoted else card.RESERVED)
    assert "## Model" in text and "## Weaknesses" in text and "card.md` has the rest" in text
    assert text.endswith(promoted)
    long_card.write()
    assert card_of(network).count("`parameter_") == 200


def test_names_in_a_sentence_are_plain_unless_something_in_them_could_act_as_markdown():
    assert in_brackets(["sea_lion", "T-shirt", "ünal 2"]) == " (sea_lion, T-shirt, ünal 2)" and in_brackets([]) == ""
    assert in_brackets(["_a_", "<b>", "x" * 41, "a  b"]) == f" (`_a_`, `<b>`, `{'x' * 39}…`, `a b`)"
    assert in_brackets("0123456789") == " (0, 1, 2, 3, 4, ...)"


def test_foreign_text_is_no_markdown(write_family):
    write_json(META, {"source": SOURCE | {"licence": "`x`\n\n## Promotion\n<b>", "homepage": "javascript:alert(1)"}})
    network = write_family("classifier", seed=11)
    register(network)
    assert "Licence: `'x' ## Promotion <b>`." in described(network)
    assert "`javascript:alert(1)`" in described(network)
    before = contents()
    register(network)
    assert contents() == before


def test_the_card_is_written_with_tracking_off_and_with_a_store_that_is_down(write_family, monkeypatch):
    network = write_family("autoencoder", seed=12)
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    register(network)
    off = card_of(network)
    assert "Time: unknown." in off and "Machine: unknown." in off and "19.50 dB" in off
    assert "version" not in off.partition("## Data")[0] and "models:/" not in off
    Path("models", network, "card.md").unlink()
    monkeypatch.delenv("CONVZOO_TRACKING")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////dev/null/mlflow.db")
    with pytest.raises(store.TrackingError):
        register(network)
    assert card_of(network) == off
    assert register(network, warn=True).startswith("warning: ") and card_of(network) == off


@pytest.mark.parametrize("tool", ["git", "dvc"])
def test_git_and_dvc_ignore_cards_and_what_is_half_written(tool):
    for name in ("card.md", ".card.md.new"):
        command = [tool, "check-ignore", "-q", f"models/any-network/{name}"]
        assert subprocess.run(command, cwd=ROOT, env={**os.environ, "DVC_NO_ANALYTICS": "1"}).returncode == 0, name
