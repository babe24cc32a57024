"""A project whose training takes moments: val_accuracy is highest at a learning rate of 0.1."""

import json
from pathlib import Path

from ruamel.yaml import YAML

from convzoo.settings.load import read_params
from helpers.project import ROOT

NETWORK = "mnist-classifier"
RANGE = "{low: 0.01, high: 0.9, log: true}"  # of the learning rate
# Writes what the real one does: a checkpoint per epoch, history.csv, and lines about itself to trainings.txt.
TRAINING = """
import json, math, os, struct, sys, time
from pathlib import Path

from ruamel.yaml import YAML

settings = YAML(typ="safe").load(Path("params.yaml"))["networks"][sys.argv[1]]
rate, epochs = settings["learning_rate"], settings["epochs"]
seconds = float(os.environ.get("EPOCH_SECONDS", "0.05"))
log = Path(os.environ["TRAININGS"])


def tell(what):
    with log.open("a") as stream:
        stream.write(f"{what} {rate} {os.getpid()}\\n")


file = Path(".checkpoints/net-f/last.safetensors")
rows = []
if file.exists():
    stream = file.open("rb")
    [length] = struct.unpack("<Q", stream.read(8))
    state = dict(json.loads(json.loads(stream.read(length))["__metadata__"]["state"])["pairs"])
    rows = [dict(row["pairs"]) for row in state["history"]]
tell("resumed" if rows else "started")
if rate > 0.9:
    print("error: mnist-classifier: the loss is not finite")
    sys.exit(1)
for epoch in range(len(rows) + 1, epochs + 1):
    time.sleep(seconds)
    rows.append({"epoch": epoch, "val_accuracy": 1 - abs(math.log10(rate) + 1) / 4 - 0.1 / epoch})
    packed = {"pairs": [["history", [{"pairs": list(map(list, row.items()))} for row in rows]]]}
    header = json.dumps({"__metadata__": {"state": json.dumps(packed)}}).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_name("new").write_bytes(struct.pack("<Q", len(header)) + header)
    file.with_name("new").replace(file)
    tell(f"epoch-{epoch}")
folder = Path("models", sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
lines = ["epoch,val_accuracy", *(f"{row['epoch']},{row['val_accuracy']:.6g}" for row in rows)]
(folder / "history.csv").write_text("\\n".join(lines) + "\\n")
tell("finished")
"""


def write_project(folder: Path, epochs: int = 2) -> Path:
    """A project with one network and its search, prepared data in name, and TRAINING instead of the stage `train`."""
    (folder / "pipeline").mkdir(parents=True)
    (folder / "pipeline/train.py").write_text(TRAINING)
    (folder / "src").symlink_to(ROOT / "src", target_is_directory=True)
    values = read_params(ROOT / "params.yaml").values
    for section, name in {"sources": "mnist-package", "weights": "none", "data": "mnist"}.items():
        values[section] = {name: values[section][name]}
    for section in ("networks", "export", "evaluation", "promotion"):
        values[section] = {NETWORK: values[section][NETWORK]}
    values["networks"][NETWORK] |= {"epochs": epochs, "learning_rate": 0.2}
    values["search"] = {NETWORK: {"learning_rate": "SPACE"}}
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.dump(values, folder / "params.yaml")
    text = (folder / "params.yaml").read_text().replace("SPACE", RANGE)
    (folder / "params.yaml").write_text(text.replace("learning_rate: 0.2\n", "learning_rate: 0.2   # of sgd\n"))
    for file, content in {
        "data/validated/mnist.json": {"passed": True},
        "data/prepared/mnist/meta.json": {"source": {"name": "mnist-package"}},
    }.items():
        (folder / file).parent.mkdir(parents=True)
        (folder / file).write_text(json.dumps(content))
    return folder


def trainings(file: Path, epochs: bool = False) -> list[list[str]]:
    """The events that trainings logged, with or without their epochs: what happened, the learning rate, the process."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.split() for line in lines if epochs or not line.startswith("epoch")]
