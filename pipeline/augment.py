"""Make stored variants of a data set's train images: pipeline/augment.py DATASET."""

from pathlib import Path

from convzoo.checks.stage import main
from convzoo.data.augment import augment
from convzoo.settings.data import augment_settings
from convzoo.settings.load import read_params


def run(dataset: str) -> None:
    settings = augment_settings(read_params(), dataset)
    made = augment(dataset, settings, Path("data/prepared", dataset, "train"), Path("data/augmented", dataset))
    print(f"{dataset}: {made} variants")


if __name__ == "__main__":
    main(run)
