"""The parts of a card that a reader copies and runs: how to load a version and how to rebuild it."""

from convzoo.cards.family import family_card
from convzoo.cards.markdown import block
from convzoo.shipping.network_files import NetworkFiles, has_labels

CASTS = (
    "Send whole numbers from 0 to 255. MLflow's server casts all other numbers without an error: an image divided by "
    "255 becomes black."
)
LABELS = "MLflow's model returns `label`, `probability` and all `probabilities`."
STORE = "sqlite:///mlruns/mlflow.db"


def loading(files: NetworkFiles, version: str | None, whole: bool) -> str:
    """How to run it in Python, on the command line and over HTTP; without a version, from the file in models/ only."""
    command = f"convzoo {family_card(files.family).usage.format(_name(files, version))}"
    parts = []
    if version:
        parts += ["In Python:", _from_registry(files, version)]
    if whole or not version:
        parts += ["In Python, from the file in the clone, without MLflow:", _from_file(files)]
    parts += ["On the command line:", block("", command)]
    if version:
        parts += ["Over HTTP:", _served(files, version)]
        parts += [LABELS] if has_labels(files.export) else []
        parts += [CASTS] if files.export["input"]["dtype"] == "uint8" else []
    return "\n\n".join(parts)


def rebuilding(files: NetworkFiles, version: str | None, commit: str | None) -> str:
    """The commands that trace and reproduce it."""
    name = _name(files, version)
    lines = [
        f"convzoo trace {name}      # its lineage",
        f"convzoo reproduce {name}  # rebuild and compare",
    ]
    missing = "" if commit else "\n\n`reproduce` needs the commit that trained it, which is unknown here."
    return block("", *lines) + missing


def _name(files: NetworkFiles, version: str | None) -> str:
    """This version; without one the network, which stands for its champion or candidate."""
    return f"{files.network}@v{version}" if version else files.network


def _from_registry(files: NetworkFiles, version: str) -> str:
    return block(
        "python",
        "import mlflow",
        "import numpy as np",
        "",
        f'mlflow.set_tracking_uri("{STORE}")  # in the clone; or the address of a server',
        f'model = mlflow.pyfunc.load_model("models:/{files.network}/{version}")',
        _example(files),
        f'print(model.predict({files.export["input"]["name"]})["{files.export["output"]["name"]}"])',
    )


def _from_file(files: NetworkFiles) -> str:
    inputs, outputs = files.export["input"]["name"], files.export["output"]["name"]
    return block(
        "python",
        "import numpy as np",
        "import onnxruntime",
        "",
        f'session = onnxruntime.InferenceSession("{files.model.as_posix()}")',
        _example(files),
        f'print(session.run(["{outputs}"], {{"{inputs}": {inputs}}})[0])',
    )


def _example(files: NetworkFiles) -> str:
    tensor = files.export["input"]
    shape, is_raw = (2, *tensor["shape"][1:]), tensor["dtype"] == "uint8"
    values = f"integers(0, 256, {shape}, np.uint8)" if is_raw else f"standard_normal({shape}, np.float32)"
    return f"{tensor['name']} = np.random.default_rng(0).{values}  # or your own"


def _served(files: NetworkFiles, version: str) -> str:
    shape = tuple(files.export["input"]["shape"][1:])
    rows = f"numpy.zeros({(1, *shape)}, int).tolist()"
    return block(
        "",
        f'export MLFLOW_TRACKING_URI="{STORE.replace("///", "///$PWD/")}"',
        f"python -m mlflow models serve -m models:/{files.network}/{version} --env-manager local -p 5001",
        "# in another shell:",
        "curl -s http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' \\",
        f"""  -d "$(python -c 'import json, numpy; print(json.dumps({{"inputs": {rows}}}))')\"""",
    )
