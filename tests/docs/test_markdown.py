"""All Markdown files: links lead somewhere, README.md is short, and what it says of versions and stages is true."""

import json
import re
import tomllib

import numpy as np
import pytest
from helpers.markdown import PAGES, anchors, links, read, words_of_prose
from helpers.project import ROOT
from ruamel.yaml import YAML

from convzoo.data.contact_sheet import contact_sheet

README = ROOT / "README.md"
MOST_WORDS = 1000  # of README.md, without code blocks, tables and the addresses of links
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = YAML(typ="safe").load(ROOT / "CITATION.cff")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_anchors_lead_somewhere(page):
    for link in links(page):
        if not link.startswith(("http://", "https://")):
            file, _, anchor = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            assert target.exists(), link
            assert target.is_relative_to(ROOT), f"{link} leads out of the clone"
            assert not anchor or anchor in anchors(target), link


def test_no_pages_are_missing_in_the_index():
    listed = {link.partition("#")[0] for link in links(ROOT / "docs/README.md")}
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert pages - listed == {"README.md"}


def test_the_readme_is_short():
    assert len(words_of_prose(read(README))) <= MOST_WORDS


def test_words_are_counted_without_code_tables_and_addresses():
    text = "# One two\n\n| a | b |\n| --- | --- |\n\nthree [four](five.md) six\n\n```\nseven\n```\n"
    assert words_of_prose(text) == ["#", "One", "two", "three", "[four]", "six"]


def test_the_badges_are_true():
    badges = re.findall(r"^\[!\[([^\]]+)\]", read(README), re.MULTILINE)
    python = PROJECT["requires-python"].removeprefix(">=")
    assert badges == [f"License: {PROJECT['license']}", f"Python {python} or newer"]
    assert "MIT License" in (ROOT / "LICENSE").read_text()


def test_the_diagram_has_the_stages_of_dvc_yaml():
    diagram = re.search(r"```mermaid\n(.*?)```", read(README), re.DOTALL)[1]
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    assert {stage for stage in stages if not re.search(rf"\b{stage}\b", diagram)} == set()
    described = re.findall(r"^\| `(\w+)` \|", read(ROOT / "docs/pipeline.md"), re.MULTILINE)
    assert described[: len(stages)] == list(stages)


def test_the_tables_of_networks_and_profiles_are_complete():
    networks = YAML(typ="safe").load(ROOT / "params.yaml")["networks"]
    introduction = read(README).partition("\n## ")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", introduction, re.MULTILINE) == list(networks)
    measured = re.findall(r"^\| models/([\w-]+)/metrics.json", read(README), re.MULTILINE)
    assert measured == list(networks)
    profiles = re.findall(r"^\| `(\w+)` \|", read(ROOT / "docs/profiles.md"), re.MULTILINE)
    assert sorted(profiles) == sorted(file.stem for file in (ROOT / "profiles").glob("*.yaml"))


def test_the_folders_in_the_readme_exist():
    tree = re.search(r"```text\n(dvc\.yaml.*?)```", read(README), re.DOTALL)[1]
    for line in tree.splitlines():
        names = re.split(r" {3,}", line.strip())[0].split()
        folder = ROOT / "src/convzoo" if line.startswith("  ") else ROOT
        assert all((folder / name).exists() for name in names), line


def test_changelog_citation_and_package_have_the_same_version():
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", read(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == (PROJECT["version"], CITATION["date-released"])
    assert CITATION["version"] == PROJECT["version"]


def test_the_citation_file_has_what_the_format_requires():
    assert CITATION["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= CITATION.keys()
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["authors"] == [{"name": "The convzoo developers"}]


def test_the_notebook_runs_and_shows_what_the_pipeline_measured(rebuilt, monkeypatch, capsys):
    notebook = json.loads((ROOT / "notebooks/first-look.ipynb").read_text())
    assert all(not cell.get("outputs") for cell in notebook["cells"]), "outputs are stripped"
    (rebuilt.folder / "notebooks").mkdir(exist_ok=True)
    monkeypatch.chdir(rebuilt.folder / "notebooks")
    shown = []
    names = {"display": shown.append}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    metrics = json.loads((rebuilt.folder / "models/mnist-classifier/evaluation.json").read_text())
    assert f"accuracy on 1000 test images: {metrics['test_accuracy']:.1%}\n" in capsys.readouterr().out
    mistakes, generated, reconstructed = shown
    digit, picture = np.zeros((28, 28, 1), np.uint8), np.zeros((32, 32, 3), np.uint8)
    row = contact_sheet([[digit] * 6], captions=[["1 -> 7\n100%"] * 6])
    assert mistakes.width == row.width and mistakes.height in (row.height, 2 * row.height - 6)
    assert generated.size == contact_sheet([[digit] * 8] * 3).size
    assert reconstructed.size == contact_sheet([[picture] * 8] * 2).size
