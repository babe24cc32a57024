"""The entries of dvc.lock: their order, and their repair after DVC was ended while it wrote them.

DVC appends a stage's first entry when the stage has run. Stages that run side by side end in any order, so their
entries are put into the order in which one `dvc repro` visits them: that of dvc.yaml, which lists each stage after
those whose outs it depends on.
"""

import re
from collections.abc import Collection, Sequence

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

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
        name = _name(entry)
        return -1 if name in earlier else places.get(name, len(names))

    with no_dvc_writes() as is_alone:
        head, entries, tail = _parts(LOCK.read_bytes())
        ordered = sorted(entries, key=place)
        if is_alone and ordered != entries:
            _write(head, ordered, tail)


def read_lock() -> bytes:
    """The content of dvc.lock; empty if there is none."""
    with no_dvc_writes():
        return LOCK.read_bytes() if LOCK.is_file() else b""


def repair(earlier: bytes) -> None:
    """Complete dvc.lock from an `earlier` content if it was cut off, as DVC leaves it if it is ended while it writes.

    An entry that was cut off, or is missing, becomes the earlier one, so that DVC sees that its stage has changed.
    Changes nothing if all entries are there.
    """
    with no_dvc_writes() as is_alone:
        content = LOCK.read_bytes() if LOCK.is_file() else b""
        head, known, tail = _parts(earlier)
        _, entries, _ = _parts(content)
        names = {_name(entry) for entry in entries}
        if not is_alone or not known or (all(_name(entry) in names for entry in known) and _is_valid(content)):
            return
        kept = {_name(entry): entry for entry in entries[:-1]}
        kept = {_name(entry): entry for entry in known} | kept
        _write(head, list(kept.values()), tail)


def _is_valid(content: bytes) -> bool:
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # here, like the next: few runs are ended from outside
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(content))
    except (YAMLError, ValueError, Invalid):
        return False
    return True


def _name(entry: str) -> str:
    return entry.partition(":")[0]


def _parts(content: bytes) -> tuple[str, list[str], str]:
    """What comes before the entries of stages, these, and what comes after them; no entries if its form is another."""
    head, found, rest = content.decode(errors="ignore").partition(STAGES)
    end = section.start() if (section := SECTION.search(rest)) else len(rest)
    before, *entries = ENTRY.split(rest[:end])
    return f"{head}{found}", [] if before else entries, rest[end:]


def _write(head: str, entries: Sequence[str], tail: str) -> None:
    with new_file(LOCK) as file:
        file.write_bytes("".join([head, *(f"  {entry}" for entry in entries), tail]).encode())
