"""Bring the raw files of a data set: pipeline/download.py DATASET."""

from pathlib import Path

from convzoo.checks.stage import main
from convzoo.data.download import download
from convzoo.settings.load import block, read_params
from convzoo.settings.sources import source_settings


def run(dataset: str) -> None:
    params = read_params()
    source = block(params, ("data", dataset, "source"))
    download(source, source_settings(params, source), Path("data/raw", dataset))


if __name__ == "__main__":
    main(run)
