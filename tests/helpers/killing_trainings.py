"""What the server of killing.py imports before it forks: all that a training needs."""

import os
from pathlib import Path

from convzoo.families.find import family_module
from helpers.small import FAMILIES

for name in FAMILIES:
    family_module(name, "train")


def train(name: str) -> None:
    """Train in the current folder, where a project is made if there is none."""
    family = FAMILIES[name]
    if not Path("params.yaml").exists():
        family.project(Path.cwd())
        print("project made")
    print(f"begins, process {os.getpid()}")
    family.train(**family.long)
