"""The code that stages depend on: found from imports, left out by a rule that stands in one place."""

import ast
import sys
from importlib.metadata import version

import pytest
from helpers.project import ROOT

from convzoo.checks import code
from convzoo.checks.check import STAGES
from convzoo.checks.code import FAMILY_STAGES, LEFT_OUT, VERSIONS, WITHOUT_NUMBERS, is_left_out, stage_code
from convzoo.families.find import family_names

KEYS = [(stage, None) for stage in STAGES] + [(stage, family) for stage in FAMILY_STAGES for family in family_names()]


def name(path: str) -> str:
    return path.removeprefix("src/").removesuffix(".py").replace("/", ".")


@pytest.mark.parametrize("key", KEYS, ids=lambda key: "-".join(filter(None, key)))
def test_a_stage_depends_on_its_entry_and_its_own_family_alone(key):
    stage, family = key
    modules = stage_code(*key)["modules"]
    assert f"pipeline/{stage}.py" in modules
    families = {path.split("/")[3] for path in modules if path.startswith("src/convzoo/families/")}
    expected = set(family_names()) if stage in code.ALL_FAMILIES else {family} if family else set()
    assert families - {"evaluation.py", "find.py", "probabilities"} == expected
    left_out = {module for module in LEFT_OUT if module not in code.COUNTED.get(stage, ())}
    assert not [path for path in modules if is_left_out(name(path), left_out)]


def test_register_counts_tracking_since_it_is_its_work():
    assert "src/convzoo/tracking/store.py" in stage_code("register", "dcgan")["modules"]
    assert not [path for path in stage_code("train", "dcgan")["modules"] if "/tracking/" in path]


@pytest.mark.parametrize("family", family_names())
def test_a_card_concerns_register_and_the_report_and_a_promotion_no_stage(family):
    folder = f"src/convzoo/families/{family}"
    depending = {
        module: [stage for stage in FAMILY_STAGES if f"{folder}/{module}.py" in stage_code(stage, family)["modules"]]
        for module in ("card", "promote")
    }
    assert depending == {"card": ["register"], "promote": []}
    report = stage_code("report")["modules"]
    assert f"{folder}/card.py" in report and not any(path.endswith(("promote.py", "train.py")) for path in report)


def test_templates_and_networks_count_with_the_modules_beside_them():
    assert "src/convzoo/report/report.html.jinja" in stage_code("report")["modules"]
    assert "src/convzoo/weights/digits.onnx" in stage_code("weights")["modules"]


def test_versions_are_those_that_the_numbers_depend_on():
    assert {"scikit-image", "scikit-learn", "scipy"} <= stage_code("evaluate", "autoencoder")["versions"].keys()
    assert {"torch", "torchvision"} <= stage_code("train", "transfer")["versions"].keys()
    evaluate = stage_code("evaluate", "classifier")["versions"]
    assert "onnxruntime" in evaluate and "torch" not in evaluate
    assert all(found == version(package) for package, found in evaluate.items())


def test_every_package_that_is_imported_is_known_to_change_numbers_or_not_to():
    imported = set()
    for file in [*(ROOT / "src").rglob("*.py"), *(ROOT / "pipeline").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.partition(".")[0])
    assert imported - sys.stdlib_module_names - {"convzoo"} == VERSIONS.keys() | WITHOUT_NUMBERS


def test_what_is_left_out_exists_and_has_a_reason():
    for module, reason in LEFT_OUT.items():
        path = ROOT.joinpath("src", *module.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), module
        assert len(reason) > 10
