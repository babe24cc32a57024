"""The order of the entries in dvc.lock.

DVC appends a stage's first entry when the stage has run. Stages that run side by side end in any order, so their
entries are put into the order in which one `dvc repro` visits them: that of dvc.yaml, which lists each stage after
those whose outs it depends on.
"""

import re
from collections.abc import Collection, Sequence

from convzoo.files import new_file
from convzoo.lineage.dvc_lock import no_dvc_writes
from convzoo.lineage.record import LOCK

STAGES = "\nstages:\n"
ENTRY = re.compile(r"^  (?=\S)", re.MULTILINE)  # where an entry begins: everything inside is indented further
SECTION = re.compile(r"^\S", re.MULTILINE)


def put_in_order(earlier: Collection[str], names: Sequence[str]) -> None:
    """Put the entries of dvc.lock into the order of `names`, after those that are among `earlier`, which stay.

    The entries themselves do not change, and the file does not if they are in that order.
    """
    if not LOCK.is_file():
        return
    places = {name: place for place, name in enumerate(names) if name not in earlier}

    def place(entry: str) -> int:
        name = entry.partition(":")[0]
        return -1 if name in earlier else places.get(name, len(names))

    with no_dvc_writes() as is_alone:
        head, found, rest = LOCK.read_bytes().decode().partition(STAGES)
        end = section.start() if (section := SECTION.search(rest)) else len(rest)
        before, *entries = ENTRY.split(rest[:end])
        ordered = sorted(entries, key=place)
        if not is_alone or not found or before or ordered == entries:
            return
        with new_file(LOCK) as file:
            file.write_bytes("".join([head, found, *(f"  {entry}" for entry in ordered), rest[end:]]).encode())
