"""The table of recorded results, computed a second time by hand."""

import json
import shutil

import pytest
from helpers.project import ROOT
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.commands.results import FOLDER

RECORD = {"network": "cifar10-classifier", "family": "classifier", "is_synthetic": False}
RECORD |= {"compute": {"threads": "auto"}}
HERE = {"machine": "a CPU, 2 cores", "jobs": 1, "commit": "0" * 40, "precision": "fp32"}
THERE = HERE | {"machine": "another CPU, 8 cores", "precision": "bf16"}


def row(accuracy: float, seconds: float, measured: dict = HERE, **more) -> dict:
    bounds = {"test_accuracy_low": accuracy - 0.01, "test_accuracy_high": accuracy + 0.02}
    return {
        "test_accuracy": accuracy,
        **bounds,
        "train_petaflops": 0.2,
        "train_seconds": seconds,
        "measured": measured,
        **more,
    }


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project with nothing but params.yaml, as the current folder."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / FOLDER / "compact").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


def recorded(network: str, rows: list[dict], **more) -> None:
    record = RECORD | {"network": network, "rows": rows} | more
    (FOLDER / "compact" / f"{network}.json").write_text(json.dumps(record))


def shown(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["results", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_a_row_has_mean_and_both_intervals_and_the_cost():
    recorded("cifar10-classifier", [row(0.94, 100), row(0.95, 300), row(0.96, 140)])
    *_, line = shown("compact").splitlines()
    # Student's t with two degrees of freedom: 4.3027 standard errors of 0.01 / sqrt(3).
    cells = ["`cifar10-classifier`", "accuracy 95.00 %", "92.52 to 97.48 %", "94.00 to 97.00 %", "0.2", "140 s", "3"]
    assert line == f"| {' | '.join([*cells, 'a CPU, 2 cores, fp32'])} |"


def test_a_limit_of_threads_is_named_since_it_explains_the_time():
    recorded("cifar10-classifier", [row(0.94, 100)], compute={"threads": 1})
    assert shown("compact").strip().endswith("| a CPU, 2 cores, of which a training used 1, fp32 |")


def test_times_of_different_machines_are_not_mixed():
    rows = [row(0.94, 100), row(0.95, 900, THERE), row(0.96, 140), row(0.95, 120), row(0.95, 700, THERE)]
    recorded("cifar10-classifier", rows)
    cells = ["120 s; 800 s", "3 + 2", "a CPU, 2 cores, fp32; another CPU, 8 cores, bf16"]
    assert shown("compact").strip().endswith(f"| 0.2 | {' | '.join(cells)} |")


def test_one_seed_says_nothing_of_the_spread_over_seeds():
    recorded("cifar10-classifier", [row(0.94, 100)])
    assert "| accuracy 94.00 % | - | 93.00 to 96.00 % |" in shown("compact")


def test_the_order_is_that_of_params_and_drawn_images_are_named():
    recorded("mnist-classifier", [row(0.99, 9)])
    recorded("cifar10-classifier", [row(0.94, 9)], is_synthetic=True)
    kid = {"test_kid": 0.5, "test_kid_low": 0.4, "test_kid_high": 0.6}
    recorded("mnist-dcgan", [row(0, 5) | kid], family="dcgan")
    names = [line.split(" | ")[0] for line in shown("compact").splitlines()[2:]]
    assert names == ["| `mnist-classifier`", "| `cifar10-classifier` (drawn images)", "| `mnist-dcgan`"]
    assert "| KID 0.5 | - | 0.4 to 0.6 |" in shown("compact")


@pytest.mark.parametrize("damage", ["{", "{}", json.dumps(RECORD | {"rows": []}), json.dumps(RECORD | {"rows": [{}]})])
def test_a_damaged_record_is_named(damage):
    (FOLDER / "compact/cifar10-classifier.json").write_text(damage)
    text = shown("compact", code=1)
    assert f"{FOLDER}/compact/cifar10-classifier.json: is not a record of results" in text and "record it again" in text


def test_a_profile_without_results_is_answered_with_those_that_have_some():
    text = shown("full", code=1)
    assert "docs/results/full: has no results; expected a profile with some (compact)" in text


def test_the_table_goes_between_the_lines_of_a_file(tmp_path):
    recorded("cifar10-classifier", [row(0.94, 100)])
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results compact -->\nold\n<!-- end results -->\nafter\n")
    table = shown("compact", "--into", "page.md").strip()
    expected = f"before\n<!-- results compact -->\n\n{table}\n\n<!-- end results -->\nafter\n"
    assert page.read_text() == expected
    shown("compact", "--into", "page.md")
    assert page.read_text() == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "--into: page.md: No such file or directory; expected a Markdown file"),
        (b"no lines", "page.md: expected the lines <!-- results compact --> and <!-- end results -->; restore it"),
        (b"<!-- end results --> <!-- results compact -->", "page.md: expected the lines <!-- results compact --> and"),
        (b"\xff", "--into: page.md: "),
    ],
)
def test_a_file_without_a_place_for_the_table_stays_as_it_is(tmp_path, content, expected):
    recorded("cifar10-classifier", [row(0.94, 100)])
    page = tmp_path / "page.md"
    if content is not None:
        page.write_bytes(content)
    assert expected in shown("compact", "--into", "page.md", code=1).replace("\n", " ")
    assert (page.read_bytes() if page.exists() else None) == content


@pytest.mark.parametrize("file", ["README.md", "docs/results.md"])
def test_the_committed_tables_are_those_of_the_records(monkeypatch, file):
    monkeypatch.chdir(ROOT)
    table = shown("compact").strip()
    assert f"<!-- results compact -->\n\n{table}\n\n<!-- end results -->" in (ROOT / file).read_text()
