"""The files of a small zoo that a report is made of."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from convzoo.files import write_json

PARAMS = "profile: tiny\n"  # all that the report may read of it
FAMILIES = {"second": "classifier", "first": "classifier", "painter": "dreamer"}


def save_picture(path, seed, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size=(size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def make_files():
    Path("params.yaml").write_text(PARAMS)
    for seed, (name, family) in enumerate(FAMILIES.items()):
        folder = Path("models") / name
        save_picture(folder / "plots" / "confusion.png", seed=10 * seed)
        save_picture(folder / "plots" / "worst_cases.png", seed=10 * seed + 1)
        (folder / "plots" / "confusion.csv").write_text(
            "id,actual,predicted\n1,<b>cat</b>,<b>cat</b>\n2,dog,<b>cat</b>\n"
        )
        (folder / "history.csv").write_text(
            "epoch,learning_rate,train_loss,train_accuracy,val_loss,val_accuracy\n1,0.1,2,0.5,2,0.5\n2,0.05,1,0.9,1,0.8\n"
        )
        write_json(folder / "architecture.json", {"family": family, "architecture": "fast", "dataset": "shapes"})
        identity = {
            "fingerprint": str(seed) * 64,
            "versions": {"torch": "2.14.1"},
            "data": {},
            "params": {},
            "code": {},
        }
        write_json(folder / "fingerprint.json", identity)
        export = {
            "dataset": "noise" if name == "painter" else "shapes",
            "bytes": 1_234_567,
            "classes": ["round", "square"],
            "input": {"name": "images", "dtype": "uint8", "shape": [None, 30, 40, 3]},
            "output": {"name": "probabilities", "dtype": "float32", "shape": [None, 2]},
            "model_sha256": hashlib.sha256(name.encode()).hexdigest(),
        }
        (folder / "model.onnx").write_bytes(name.encode())
        write_json(folder / "export.json", export)
        save_file(
            {"linear.weight": np.zeros((40, 30), np.float32), "norm.running_mean": np.zeros(5, np.float32)},
            folder / "weights.safetensors",
        )
        metrics = {"test_accuracy": 0.95, "test_accuracy_low": 0.9, "test_accuracy_high": 0.975, "test_images": 1000}
        write_json(folder / "evaluation.json", {**metrics, "classes": {"round": {"precision": 0.5, "images": 500}}})
    write_json(Path("models/painter/evaluation.json"), {"test_psnr": 31.4159, "test_images": 12})
    Path("models/painter/history.csv").write_text("epoch,d_loss,g_loss,val_psnr\n1,0.5,,20\n2,0.4,,\n3,0.3,,25\n")
    save_picture(Path("models/painter/plots/growth.gif"), seed=50)
    save_picture(Path("models/painter/plots/samples.png"), seed=51)
    for seed, name in enumerate(("shapes", "noise", "unused"), start=60):
        save_picture(Path("data/augmented") / name / "preview.png", seed)
        source = {
            "name": "made",
            "licence": "MIT & friends",
            "homepage": "https://example.org/shapes",
            "kind": "package",
        }
        source["files"] = {"shapes.gz": {"sha256": "cd" * 32, "bytes": 99}}
        meta = {"dataset": name, "classes": [], "counts": {"read": 321, "duplicates_dropped": 21}}
        if name == "noise":
            source |= {"kind": "synthetic"}
            meta |= {"classes": ["hiss", "hum", "roar"], "superclasses": ["high", "low"], "superclass_of": [0, 1, 1]}
        write_json(Path("data/prepared") / name / "meta.json", meta | {"source": source})
        check = {"check": "blank image", "split": "train", "expected": "at least 2", "unexpected": 0, "rows": []}
        bad = {**check, "check": "wrong shape", "unexpected": 2, "rows": [17, 23]}
        write_json(
            Path("reports/data") / f"{name}.json",
            {
                "dataset": name,
                "passed": name != "noise",
                "images": {"train": 40, "augmented": 40 if name == "shapes" else 0},
                "checks": [check, bad] if name == "noise" else [check],
            },
        )
