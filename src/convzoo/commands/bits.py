"""Compare the bits that processors compute, operation by operation.

Without arguments, runs each operation that the zoo uses, at the zoo's shapes, and writes a digest per operation, the
processor's name and the package versions to a file. With one such file, compares this machine with it; with two,
compares them and prints the first operation that differs. The exit code is 1 if an operation differs.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from convzoo.bits import record as bits
from convzoo.errors import ConvzooError
from convzoo.portable import missing_features, restart_with_levers

EXAMPLES = (
    "convzoo bits",
    "convzoo bits tests/bits/qemu-haswell.json",
    "convzoo bits tests/bits/qemu-haswell.json tests/bits/qemu-epyc.json",
)
OUT = Path("bits.json")


def command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="One or two files that this command wrote. Default: run all operations."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the digests of this machine.")] = OUT,
    name: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The name of the processor in the file. Default: as Linux names it."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPERATION",
            help="An operation to leave out, for example one that an emulator lacks; can be repeated.",
        ),
    ] = None,
) -> None:
    """Print what is equal and what differs."""
    files = files or []
    if len(files) > 2:
        raise ConvzooError(f"got {len(files)} files, expected at most two; name those that should be compared")
    if len(files) == 1 and files[0].resolve() == out.resolve():
        raise ConvzooError(f"{out}: would be overwritten, expected another file for this machine; add: --out FILE")
    records = [bits.read_record(file) for file in files]
    if len(records) < 2:
        restart_with_levers()
        if problem := missing_features():
            print(f"warning: {problem}; its bits are expected to differ", file=sys.stderr)
        made = bits.record(name, without or (), lambda operation: print(operation, file=sys.stderr, flush=True))
        bits.write_record(out, made)
        print(f"{made['processor']}: {len(made['operations'])} operations; digests in {out}")
        records.append(made)
    if len(records) == 1:
        return
    print(f"{records[0]['processor']} and {records[1]['processor']}:")
    comparison = bits.compare(*records)
    print(*bits.described(comparison), sep="\n")
    if comparison.differing:
        raise typer.Exit(1)
