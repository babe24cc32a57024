"""The code that a stage runs: which modules it imports, and a digest of each one.

DVC does not follow Python imports. The stage `check` writes what `stage_code` finds to one small file per stage and
family, and every stage depends on its own file. So a stage runs again if, and only if, code that it runs has changed,
or an installed version that its numbers depend on.
"""

import functools
from importlib.metadata import version
from pathlib import Path
from typing import Any

from convzoo.checks.modules import Module, ModuleCache
from convzoo.files import sha256_of
from convzoo.settings.load import Params

ROOT = Path(__file__).resolve().parents[3]  # of the tree that this code is in, wherever it runs
PACKAGE = "convzoo"
CODE = Path("data/code")  # what the stage `check` writes
# Stages with a code file per family: the modules in the family's folder that they find by the family's name.
FAMILY_STAGES = {
    "train": ("train", "settings"),
    "export": ("export", "settings"),
    "evaluate": ("evaluate", "settings"),
    "register": ("card",),
}
NOT_COMPUTING = ("check", "register")  # stages that digest files and move them; all others run with LEVERS
ALL_FAMILIES = {"report": ("card",)}  # stages that find modules of every family

# Modules that cannot change what a stage writes, with the reason. Whatever only they import does not count either.
LEFT_OUT = {
    "convzoo.checks": "decides whether a stage may run, not what it writes",
    "convzoo.errors": "messages on the console",
    "convzoo.lineage.commits": "keeps a snapshot of the code in git",
    "convzoo.lineage.dvc_lock": "makes others wait while dvc.lock is read",
    "convzoo.processes": "tells whether the holder of a lock still runs",
    "convzoo.tracking": "shows in MLflow what a stage wrote",
    "convzoo.training.progress": "progress on the console",
}
COUNTED = {"register": ("convzoo.tracking",)}  # by stage, what counts all the same: here tracking is the work

# Packages whose version can change a number or a pixel that a stage writes, by the name under which they are imported.
# With a package come those that it computes with.
VERSIONS = {
    "PIL": ("pillow",),
    "great_expectations": ("great-expectations",),
    "jinja2": ("jinja2",),
    "lightning_fabric": ("lightning-fabric",),
    "markdown_it": ("markdown-it-py",),
    "matplotlib": ("matplotlib",),
    "numpy": ("numpy",),
    "onnx": ("onnx",),
    "onnxruntime": ("onnxruntime",),
    "pandas": ("pandas",),
    "safetensors": ("safetensors",),
    "scipy": ("scipy",),
    "skimage": ("scikit-image", "scipy"),
    "sklearn": ("scikit-learn", "scipy"),
    "torch": ("torch",),
    "torchvision": ("torchvision",),
}
# Imported packages that only read settings and files whose bytes are checked, move bytes, or show progress.
WITHOUT_NUMBERS = {
    *("click", "dvc", "fastapi", "fastapi_offline", "filelock", "kagglehub", "mlflow", "mlxtend", "model_signing"),
    *("optuna", "packaging", "prometheus_client", "psutil", "pyarrow", "pydantic", "pydantic_core"),
    *("requests", "ruamel", "sqlalchemy", "starlette"),
    *("threadpoolctl", "tqdm", "typer", "urllib3", "uvicorn", "voluptuous", "webdataset"),
}


DATA_BLOCKS = ("prepare", "validate")  # of each data set, that the stage `validate` reads


def code_file(stage: str, family: str | None = None) -> Path:
    """The file in data/code that `stage` depends on."""
    return CODE / f"{f'{stage}-{family}' if family else stage}.json"


def roots(stage: str, family: str | None) -> list[str]:
    """The modules that a stage starts from: its entry, and those that the entry finds by the family's name."""
    found = [f"pipeline/{stage}.py"]
    if stage not in NOT_COMPUTING:
        found.append(f"{PACKAGE}.portable")  # which convzoo.checks imports, whose imports do not count
    if family:
        found += [f"{PACKAGE}.families.{family}.{name}" for name in FAMILY_STAGES[stage]]
    if stage not in ALL_FAMILIES:
        return found
    from convzoo.families.find import family_names  # here: the other stages do not run it

    return found + [f"{PACKAGE}.families.{other}.{name}" for other in family_names() for name in ALL_FAMILIES[stage]]


def stage_code(stage: str, family: str | None = None, cache: ModuleCache | None = None) -> dict[str, Any]:
    """`modules`: the sha256 of every module and data file that `stage` runs, by path from the project's folder;
    `versions`: the installed version of each package of VERSIONS that these modules import.

    Comments, docstrings and blank lines do not count. `family` is given for the stages of FAMILY_STAGES. Raises
    ConvzooError for a module that is not valid Python.
    """
    if cache is None:
        with ModuleCache() as cache:
            return stage_code(stage, family, cache)
    left_out = {name for name in LEFT_OUT if name not in COUNTED.get(stage, ())}
    modules = _closure(roots(stage, family), left_out, cache)
    imported = {name for module in modules.values() for name in module.packages}
    packages = sorted({package for name in imported & VERSIONS.keys() for package in VERSIONS[name]})
    digests = {path: module.sha256 for path, module in modules.items()}
    folders = {Path(path).parent for path in modules if path.startswith("src/")}
    digests |= {_relative(file): sha256_of(file) for folder in folders for file in data_files(folder)}
    return {
        "modules": dict(sorted(digests.items())),
        "versions": {package: _installed(package) for package in packages},
    }


def stage_inputs(
    stage: str, family: str | None, params: Params, cache: ModuleCache | None = None
) -> dict[str, dict[str, Any]]:
    """The content of a stage's file: `stage_code`, and for the stage `validate` its settings, by their path."""
    content = stage_code(stage, family, cache)
    if stage == "validate":
        data = params.values["data"]
        content["settings"] = {f"data.{name}.{key}": data[name][key] for name in sorted(data) for key in DATA_BLOCKS}
    return content


def data_files(folder: Path) -> list[Path]:
    """The files of a package that are neither Python nor a page to read: templates, networks."""
    files = (file for file in (ROOT / folder).iterdir() if file.is_file() and not file.name.startswith("."))
    return [file for file in files if file.suffix not in (".py", ".pyc", ".md")]


def is_left_out(module: str, names: set[str]) -> bool:
    """Whether a dotted module name is one of `names` or below one."""
    return any(module == name or module.startswith(f"{name}.") for name in names)


def module_file(name: str) -> Path | None:
    """The file of a dotted name of this project; None for what is no module, such as a function."""
    path = ROOT.joinpath("src", *name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def _closure(roots: list[str], left_out: set[str], cache: ModuleCache) -> dict[str, Module]:
    """The roots and all modules of this project that they import, by path; also imports within functions."""
    found: dict[str, Module] = {}
    names, seen = list(roots), set()
    while names:
        name = names.pop()
        if name in seen:
            continue
        seen.add(name)
        if name.endswith(".py"):
            file: Path | None = ROOT / name
        else:
            parents = name.split(".")[:-1]
            names += [".".join(parents[:depth]) for depth in range(1, len(parents) + 1)]
            file = None if is_left_out(name, left_out) else module_file(name)
        if file is None or _relative(file) in found:
            continue
        module = cache.read(file)
        names += [other for other in module.imports if other.split(".")[0] == PACKAGE]
        if not module.empty:
            found[_relative(file)] = module
    return found


@functools.cache
def _installed(package: str) -> str:
    return version(package)


def _relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()
