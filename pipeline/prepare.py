"""Make arrays, splits and manifests from a data set's raw files: pipeline/prepare.py DATASET."""

from pathlib import Path
from time import perf_counter

from convzoo.checks.stage import main
from convzoo.data.prepare import prepare
from convzoo.settings.data import prepare_settings
from convzoo.settings.load import read_params


def run(dataset: str) -> None:
    settings = prepare_settings(read_params(), dataset)
    started = perf_counter()
    decoded = Path(".decoded", f"{dataset}.sqlite")
    counts = prepare(dataset, settings, Path("data/raw", dataset), Path("data/prepared", dataset), decoded)
    speed = counts["read"] / (perf_counter() - started)
    print(f"{dataset}: " + ", ".join(f"{name} {count}" for name, count in counts.items()) + f"; {speed:,.0f} images/s")


if __name__ == "__main__":
    main(run)
