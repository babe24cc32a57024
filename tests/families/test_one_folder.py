"""A family is one folder: a new one needs no line outside src/convzoo/families/NAME."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.project import ROOT, environment, python

from convzoo.checks.code import CODE
from convzoo.errors import ConvzooError
from convzoo.families.find import family_module, family_names, has_module
from convzoo.files import read_json

# Modules outside families/ in which the name of a family is an import or a text, with the reason.
OPERATIONS = "convzoo bits runs single operations of these families, and a new family need not add any"
NAMING_FAMILIES = {
    "src/convzoo/bits/arrays.py": OPERATIONS,
    "src/convzoo/bits/onnx_files.py": OPERATIONS,
    "src/convzoo/bits/pictures.py": OPERATIONS,
    "src/convzoo/bits/training.py": OPERATIONS,
    "src/convzoo/commands/structure.py": "the command for backbones, which transfer networks have",
    "src/convzoo/weights/backbones.py": "the name of a layer in torchvision's networks",
    "src/convzoo/weights/digits.py": "the committed feature network is a trained classifier",
}

FOLDER = {
    "__init__.py": "",
    "settings.py": """
from typing import Literal

from convzoo.settings.load import Settings
from convzoo.settings.promotion import Ceilings, Promotion


class TrainingSettings(Settings):
    family: Literal["tiny"]
    data: str
    weights: str


class ExportSettings(Settings):
    pass


class EvaluationSettings(Settings):
    pass


class PromotionSettings(Promotion):
    ceilings: Ceilings


def misfits(settings, height, width):
    return []
""",
    "train.py": "def train(network, settings, compute, profile):\n    print(f'trained {network} on {settings.data}')\n",
    "export.py": "def export(network, settings):\n    print(f'exported {network}')\n",
    "evaluate.py": "def evaluate(network, settings):\n    print(f'evaluated {network}')\n",
    "card.py": """
from convzoo.cards.family import FamilyCard

CARD = FamilyCard(
    noun="a tiny network",
    usage="predict {} tiny.png",
    task=lambda files, images, data: f"Is tiny on {images} of {data}",
    result=lambda files, value: value,
    main_label="the size",
    higher_is_better=False,
    comparison=lambda files: None,
    main_metrics=("test_size",),
    intended_use=lambda files, data: [f"For: being tiny on {data}."],
    weaknesses=lambda files, most: ["Is tiny."],
    failures=lambda files: [],
)
""",
    "promote.py": """
class TinyEvaluator:
    main = "size"

    def __init__(self, settings, meta, weights):
        self.settings = settings


evaluator = TinyEvaluator
""",
}
BLOCKS = {
    "networks": "{family: tiny, data: mnist, weights: none}",
    "export": "{}",
    "evaluation": "{}",
    "promotion": "{rule: better, not_worse_by: 0, confidence: 0.9, ceilings: {latency: null, file_size: null}}",
}
USED = """
from pathlib import Path

from convzoo.cards.card import Card
from convzoo.promotion.measuring import evaluator_for
from convzoo.promotion.promote import _settings
from convzoo.shipping.network_files import NetworkFiles

end = {"name": "x", "dtype": "uint8", "shape": [None, 1]}
export = {"dataset": "mnist", "model_sha256": "0" * 64, "input": end, "output": end}
identity = {"fingerprint": "f", "params": {}, "compute": {}, "versions": {}, "data": {}}
metrics = {"test_accuracy": 0.5, "test_size": 1}
files = NetworkFiles("", Path(), "", identity, export, metrics, {}, {})
for network, family in (("mnist-tiny", "tiny"), ("mnist-newer", "newer")):
    folder = Path("models", network)
    Card(files._replace(network=network, folder=folder, family=family), {"stages": {}}).write()
family, settings = _settings("mnist-tiny")
print(family, type(evaluator_for(family, settings, {}, "none")).__name__, settings.rule)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The project's code and params.yaml with one more family, after a check."""
    project = tmp_path_factory.mktemp("project")
    for part in ("src", "pipeline"):
        shutil.copytree(ROOT / part, project / part, ignore=shutil.ignore_patterns("__pycache__"))
    folder = project / "src/convzoo/families/tiny"
    folder.mkdir()
    for name, text in FOLDER.items():
        (folder / name).write_text(text)
    params = (ROOT / "params.yaml").read_text()
    for section, block in BLOCKS.items():
        params, count = re.subn(rf"^{section}:.*", f"{section}:\n  mnist-tiny: {block}", params, flags=re.MULTILINE)
        assert count == 1, section
    (project / "params.yaml").write_text(params)
    assert python(project, "pipeline/check.py") == ""
    return project


def test_a_new_family_has_a_code_file_per_stage(project):
    found = {}
    for file in (project / CODE).glob("*-tiny.json"):
        modules = [Path(path) for path in read_json(file)["modules"]]
        found[file.stem] = {path.stem for path in modules if path.parent.name == "tiny"}
    assert found == {
        "train-tiny": {"train", "settings"},
        "export-tiny": {"export", "settings"},
        "evaluate-tiny": {"evaluate", "settings"},
        "register-tiny": {"card"},
    }


@pytest.mark.parametrize("stage", ["train", "export", "evaluate"])
def test_the_entries_run_a_new_family(project, stage):
    assert "ed mnist-tiny" in python(project, f"pipeline/{stage}.py", "mnist-tiny")


def test_a_new_family_gets_cards_and_promotions_and_an_unknown_one_a_general_card(project):
    assert python(project, "-c", USED, CONVZOO_TRACKING="off") == "tiny TinyEvaluator better\n"
    card = (project / "models/mnist-tiny/card.md").read_text()
    assert "`mnist-tiny`: a tiny network." in card
    assert card.index("| `test_size` | 1 |") < card.index("| `test_accuracy` |"), "its main metrics come first"
    for line in ("- For: being tiny on `mnist`.", "- Is tiny.", "convzoo predict mnist-tiny tiny.png"):
        assert line in card, line
    of_a_newer_project = (project / "models/mnist-newer/card.md").read_text()
    for line in (
        "`mnist-newer`: of the family `newer`.",
        "- For: images like those of `mnist`.",
        "| `test_size` | 1 |",
        "Unknown: they were not measured.",
        "convzoo predict mnist-newer photo.png",
    ):
        assert line in of_a_newer_project, line


@pytest.mark.parametrize("family", family_names())
def test_every_family_has_all_modules(family):
    for name in ("settings", "network", "train", "export", "evaluate", "card", "promote"):
        assert has_module(family, name), name


@pytest.mark.parametrize("family", ["newer", "probabilities", "../families/dcgan", ""])
def test_what_is_no_family_has_no_modules(family):
    assert not has_module(family, "promote")
    with pytest.raises(ConvzooError, match=r"/promote\.py: is missing, expected the module `promote` of this family"):
        family_module(family, "promote")


def test_what_cards_say_is_read_without_heavy_libraries():
    code = f"""
import sys
from convzoo.families.find import family_module
for family in {family_names()}:
    family_module(family, "card")
print(sorted({{"torch", "onnx", "onnxruntime", "mlflow", "numpy", "pydantic"}} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def named_families(file: Path) -> set[str]:
    """The families that a module imports from or has as a text; `probabilities` as the key of a dict names none."""
    names, imports = {*family_names(), "probabilities"}, []
    texts, keys = set(), set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant):
            if node.value != "probabilities" or node not in keys:
                texts.add(node.value)
        elif isinstance(node, ast.Dict):  # comes before its keys
            keys.update(node.keys)
    parts = [name.split(".") for name in imports if name.startswith("convzoo.families.")]
    return names & (texts | {part[2] for part in parts})


def test_nothing_outside_families_names_one():
    files = [*(ROOT / "src/convzoo").rglob("*.py"), *(ROOT / "pipeline").glob("*.py")]
    outside = [file for file in files if ROOT / "src/convzoo/families" not in file.parents]
    found = {file.relative_to(ROOT).as_posix(): named_families(file) for file in outside}
    assert {path: names for path, names in found.items() if names and path not in NAMING_FAMILIES} == {}
    assert all(found[path] for path in NAMING_FAMILIES), "the list has no module that names none"
    assert not re.search(rf"\b({'|'.join(family_names())})\b", (ROOT / "dvc.yaml").read_text())


@pytest.mark.parametrize("family", family_names())
def test_no_family_imports_another(family):
    for file in (ROOT / "src/convzoo/families" / family).glob("*.py"):
        assert named_families(file) <= {family, "probabilities"}, file
