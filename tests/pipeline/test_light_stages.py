"""What each entry of pipeline/ imports: no library that takes long and that its work does not need."""

import pytest
from helpers.project import ROOT

from convzoo.settings.load import read_params

PARAMS = read_params(ROOT / "params.yaml").values
# The libraries whose import takes a tenth of a second or more, alone or with what comes with them.
SLOW = {
    *("dvc", "fastapi", "great_expectations", "lightning_fabric", "matplotlib", "mlflow", "onnx", "onnxruntime"),
    *("pandas", "requests", "scipy", "skimage", "sklearn", "sqlalchemy", "sympy", "torch", "torchvision"),
}
MLFLOW = {"mlflow", "fastapi", "pandas", "requests", "scipy", "sqlalchemy"}  # with what it imports itself
LEARN = {"sklearn", "scipy", "pandas"}  # with what scikit-learn imports itself
# By stage, what its work needs: that of all its items, or, by family or weights, of some.
NEEDED: dict[str, set[str] | dict[str, set[str]]] = {
    "check": set(),
    "download": {"requests"},
    "weights": {
        "none": {"requests"},
        "digits": {"requests"},
        "efficientnet-lite0": {"requests", "onnx", "onnxruntime", "torch"},
    },
    "prepare": set(),
    "augment": set(),
    "validate": {"great_expectations", "pandas", "requests", "scipy", "sqlalchemy"},
    "train": {"torch", "sympy", "lightning_fabric", "onnxruntime"} | MLFLOW,  # onnxruntime for DCGANs
    "export": {"torch", "onnx", "onnxruntime"},
    "evaluate": {
        "classifier": {"matplotlib", "onnxruntime"},
        "transfer": {"matplotlib", "onnxruntime"},
        "autoencoder": {"matplotlib", "onnxruntime", "skimage"} | LEARN,
        "dcgan": {"matplotlib", "onnxruntime"} | LEARN,
    },
    "register": {"onnx", "onnxruntime"} | MLFLOW,  # mlflow.onnx imports both to save a model
    "report": {"matplotlib"},
}


def needed(stage: str) -> set[str]:
    """The slow libraries that a stage may import."""
    kind, _, item = stage.partition("@")
    given = NEEDED[kind]
    return given if isinstance(given, set) else given[PARAMS["networks"].get(item, {}).get("family", item)]


def test_every_entry_has_a_list_of_what_it_needs():
    assert NEEDED.keys() == {file.stem for file in (ROOT / "pipeline").glob("*.py")}


def test_no_stage_imports_a_slow_library_that_it_does_not_need(rebuilt):
    files = sorted(rebuilt.steps.glob("* packages"))
    assert {file.name.partition("@")[0].removesuffix(" packages") for file in files} == NEEDED.keys()
    stages = {file.name.removesuffix(" packages"): set(file.read_text().split()) & SLOW for file in files}
    stages.pop("weights@resnet50", None)  # none in the profile of the tests
    assert {stage: sorted(found - needed(stage)) for stage, found in stages.items() if found - needed(stage)} == {}


@pytest.mark.parametrize("kind", ["train", "export", "evaluate", "register", "validate"])
def test_the_lists_name_no_library_that_none_of_these_stages_imports(rebuilt, kind):
    loaded = {name for file in rebuilt.steps.glob(f"{kind}*packages") for name in file.read_text().split()}
    stages = {file.name.removesuffix(" packages") for file in rebuilt.steps.glob(f"{kind}*packages")}
    assert set().union(*(needed(stage) for stage in stages)) <= loaded
