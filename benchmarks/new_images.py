"""What a hundred new images cost: make bench-new-images.

Draws JPEG files, adds them to a temporary clone with `convzoo add-data`, and runs the stage `prepare`; then adds some
files and runs it again, with the cache of decoded pictures and without.
"""

import argparse
import csv
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from dvc.utils.serialize import load_yaml
from PIL import Image

from convzoo.repro.lock import processor

ROOT = Path(__file__).resolve().parents[1]
NAME = "photos"
CLASSES = 4
SIZE = (640, 480)
GRID = (20, 15)  # random colours that are enlarged to a picture


def main() -> None:
    """Print a table of the three runs, and what they changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", type=int, default=10_000, help="pictures that are there at first")
    parser.add_argument("--new", type=int, default=100, help="pictures that are added")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="new-images-") as folder:
        clone, photos = Path(folder, "clone"), Path(folder, NAME)
        subprocess.run(["git", "clone", "-q", "--shared", str(ROOT), str(clone)], check=True)
        draw(photos, range(options.old))
        run(clone, "-m", "convzoo", "add-data", str(photos), "--name", NAME)
        rows = [(f"{options.old:,} pictures", *prepare(clone))]
        before, splits = stages(clone), splits_of(clone)

        draw(photos, range(options.old, options.old + options.new))
        rows.append((f"{options.new:,} more", *prepare(clone)))
        after, grown = stages(clone), splits_of(clone)
        shutil.rmtree(clone / ".decoded")
        rows.append(("the same without the cache", *prepare(clone, "--force")))

        print(f"{processor()}; JPEG files of {SIZE[0]}x{SIZE[1]} pixels\n")
        print("| run of `prepare` | seconds | what DVC and the imports add |\n| --- | --- | --- |")
        for name, total, stage in rows:
            print(f"| {name} | {stage:.1f} | {total - stage:.1f} |")
        kept = sum(grown[image] == split for image, split in splits.items())
        changed = sorted(name for name in after if after[name] != before.get(name))
        print(f"\n{kept:,} of {len(splits):,} old images kept their split.")
        print(f"dvc.lock: changed are {', '.join(changed)}.")
        print(f"Without the cache: {'the same bytes' if stages(clone) == after else 'OTHER BYTES'}.")


def draw(folder: Path, numbers: range) -> None:
    """Write one JPEG file per number, into a folder per class."""
    for number in numbers:
        colours = np.random.default_rng(number).integers(0, 256, (*GRID[::-1], 3), np.uint8)
        file = folder / f"class-{number % CLASSES}" / f"{number:06}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colours).resize(SIZE, Image.Resampling.BICUBIC).save(file, quality=90)


def prepare(clone: Path, *options: str) -> tuple[float, float]:
    """Run the stage; seconds of the whole command, and of the stage's work."""
    run(clone, "-m", "dvc", "repro", "-q", f"download@{NAME}")
    started = time.perf_counter()
    output = run(clone, "-m", "dvc", "repro", "-s", *options, f"prepare@{NAME}")
    seconds = time.perf_counter() - started
    count, speed = re.search(rf"^{NAME}: read (\d+), .*; ([\d,]+) images/s$", output, re.MULTILINE).groups()
    return seconds, int(count) / int(speed.replace(",", ""))


def stages(clone: Path) -> dict[str, Any]:
    """The stages in dvc.lock."""
    return load_yaml(str(clone / "dvc.lock"))["stages"]


def splits_of(clone: Path) -> dict[str, str]:
    """The split of each image, by id."""
    found = {}
    for split in ("train", "val", "test"):
        with (clone / "data/prepared" / NAME / split / "manifest.csv").open(newline="") as stream:
            found |= {row["id"]: split for row in csv.DictReader(stream)}
    return found


def run(clone: Path, *arguments: str) -> str:
    """Run Python in the clone; returns what it prints."""
    result = subprocess.run([sys.executable, *arguments], cwd=clone, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{' '.join(arguments)}:\n{result.stdout}{result.stderr}")
    return result.stdout


if __name__ == "__main__":
    main()
