"""The digests of all operations on this machine, as a file, and the comparison of two such files."""

import hashlib
import json
import platform
from collections.abc import Callable, Collection, Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.errors import ConvzooError
from convzoo.files import new_file, read_json
from convzoo.portable import LEVERS, processor

# The modules with operations, in the order of the pipeline. Each imports what its operations need.
GROUPS = ("pictures", "layers", "training", "onnx_files", "arrays")
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "scikit-image", "onnx", "onnxruntime", "pillow", "matplotlib")
FOLDER = Path("tests/bits")  # in the project: a file per processor that was measured
DIGITS = 16  # of a digest, in hexadecimal


class Comparison(NamedTuple):
    """What two files share and where they differ."""

    equal: list[str]  # operations
    differing: list[str]
    one_sided: list[str]  # operations that only one of the files has
    versions: list[str]  # a line per package, interpreter or C library whose version differs


def record(name: str | None, without: Collection[str], progress: Callable[[str], None]) -> dict[str, Any]:
    """Run all operations except those in `without`, which are recorded as null, and return what a file holds.

    `name` is that of the processor, by default what Linux says. `progress` is called with the name of each operation
    before it runs. Raises ConvzooError for a name in `without` that is no operation.
    """
    import torch  # here: a comparison of two files needs neither torch nor NumPy's kernels

    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.set_num_threads(int(LEVERS["OMP_NUM_THREADS"]))
    operations = {
        operation: function
        for group in GROUPS
        for operation, function in import_module(f"convzoo.bits.{group}").OPERATIONS.items()
    }
    if unknown := sorted(set(without) - operations.keys()):
        raise ConvzooError(f"'{unknown[0]}': there is no such operation, expected one of: {', '.join(operations)}")
    digests: dict[str, str | None] = {}
    for operation, function in operations.items():
        if operation in without:
            digests[operation] = None
            continue
        progress(operation)
        torch.manual_seed(0)
        digests[operation] = _digest(function())
    return {
        "processor": name or processor(),
        "versions": {"python": platform.python_version(), "libc": " ".join(platform.libc_ver())}
        | {package: version(package).partition("+")[0] for package in PACKAGES},
        "environment": LEVERS,
        "operations": digests,
    }


def _digest(results: list[Any]) -> str:
    sha256 = hashlib.sha256()
    for result in results:
        array = result.detach().contiguous().numpy() if hasattr(result, "detach") else np.ascontiguousarray(result)
        sha256.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return sha256.hexdigest()[:DIGITS]


def write_record(file: Path, content: dict[str, Any]) -> None:
    """Write what `record` returns, with the operations in their order: the first difference is the first of them."""
    with new_file(file) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_record(file: Path) -> dict[str, Any]:
    """The content of a file that `record` describes. Raises ConvzooError for a file that is no such record."""
    if not file.is_file():
        raise ConvzooError(f"{file}: there is no such file, expected one that `convzoo bits` wrote; run: convzoo bits")
    return read_json(file, "processor", "versions", "operations")


def compare(one: dict[str, Any], other: dict[str, Any]) -> Comparison:
    """Compare two records. An operation that one of them left out is neither equal nor differing."""
    first, second = one["operations"], other["operations"]
    both = [name for name in first if first[name] is not None and second.get(name) is not None]
    ran = [name for name in [*first, *second] if (first.get(name) or second.get(name)) and name not in both]
    return Comparison(
        [name for name in both if first[name] == second[name]],
        [name for name in both if first[name] != second[name]],
        list(dict.fromkeys(ran)),
        [
            f"{package}: {one['versions'].get(package)} and {other['versions'].get(package)}"
            for package in sorted(one["versions"].keys() | other["versions"].keys())
            if one["versions"].get(package) != other["versions"].get(package)
        ],
    )


def described(comparison: Comparison) -> Iterator[str]:
    """The lines that `convzoo bits` prints about two files."""
    equal, differing, one_sided, versions = comparison
    if differing:
        yield f"first difference: {differing[0]}"
    yield f"{len(equal)} of {len(equal) + len(differing)} operations have the same bits"
    yield from (f"  different: {name}" for name in differing)
    yield from (f"  not compared, only one of the files has it: {name}" for name in one_sided)
    yield from (f"  other versions of {line}" for line in versions)


def first_difference(record: dict[str, Any], folder: Path = FOLDER) -> str:
    """How `record` compares with the files in `folder`: the first operation that differs, and from how many of them."""
    differences: dict[str, list[str]] = {}
    files = sorted(folder.glob("*.json"))
    for file in files:
        known = read_record(file)
        if differing := compare(record, known).differing:
            differences.setdefault(differing[0], []).append(known["processor"])
    if not files:
        return f"{folder} has no files to compare its operations with"
    if not differences:
        return f"all operations of this machine have the bits in {folder}"
    name, processors = max(differences.items(), key=lambda item: len(item[1]))
    return f"the first operation with other bits than on {', '.join(processors)} is: {name}"
