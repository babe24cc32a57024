"""How a version is loaded and made again: the parts of its card that a reader copies and runs."""

from convzoo.cards.markdown import block
from convzoo.shipping.network_files import Files

COMMANDS = {  # by family; a network with class probabilities where it is none of these
    "autoencoder": "reconstruct {} photo.png --out again/",
    "dcgan": "sample {} --count 16 --seed 0 --out samples/",
}
PREDICT = "predict {} photo.png"
STORE = "sqlite:///mlruns/mlflow.db"


def loading(files: Files, family: str, version: str | None, whole: bool) -> str:
    """In Python, on the command line and over HTTP; without a version from the file in models/ alone."""
    command = f"convzoo {COMMANDS.get(family, PREDICT).format(_named(files, version))}"
    parts = []
    if version:
        parts += ["In Python:", _from_registry(files, version)]
    if whole or not version:
        parts += ["In Python, the file in the clone, without MLflow:", _from_file(files)]
    parts += ["On the command line:", block("", command)]
    if version:
        parts += ["Over HTTP:", _served(files, version)]
    return "\n\n".join(parts)


def making(files: Files, version: str | None, commit: str | None) -> str:
    """The commands that trace and reproduce it."""
    name = _named(files, version)
    lines = [
        f"convzoo trace {name}      # where it comes from",
        f"convzoo reproduce {name}  # made again in a clone of its own, the bytes compared",
    ]
    known = "" if commit else "\n\n`reproduce` needs the commit that trained it, which is unknown here."
    return block("", *lines) + known


def _named(files: Files, version: str | None) -> str:
    """This version and no other; without one the network, which is its champion or candidate."""
    return f"{files.network}@v{version}" if version else files.network


def _from_registry(files: Files, version: str) -> str:
    return block(
        "python",
        "import mlflow",
        "import numpy as np",
        "",
        f'mlflow.set_tracking_uri("{STORE}")  # in the clone; or a server',
        f'model = mlflow.pyfunc.load_model("models:/{files.network}/{version}")',
        _example(files),
        f'print(model.predict({files.export["input"]["name"]})["{files.export["output"]["name"]}"])',
    )


def _from_file(files: Files) -> str:
    given, answer = files.export["input"]["name"], files.export["output"]["name"]
    return block(
        "python",
        "import numpy as np",
        "import onnxruntime",
        "",
        f'session = onnxruntime.InferenceSession("{files.model.as_posix()}")',
        _example(files),
        f'print(session.run(["{answer}"], {{"{given}": {given}}})[0])',
    )


def _example(files: Files) -> str:
    given = files.export["input"]
    shape, raw = (2, *given["shape"][1:]), given["dtype"] == "uint8"
    values = f"integers(0, 256, {shape}, np.uint8)" if raw else f"standard_normal({shape}, np.float32)"
    return f"{given['name']} = np.random.default_rng(0).{values}  # or yours"


def _served(files: Files, version: str) -> str:
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
