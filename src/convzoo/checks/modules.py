"""A Python file without its comments and docstrings: what it imports, and the sha256 of the rest."""

import ast
import hashlib
import io
import json
import tokenize
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from convzoo.errors import ConvzooError
from convzoo.files import new_file, project_root

CACHE = Path(".digests", "modules.json")  # in the project's folder; may be deleted at any time
EMPTY = hashlib.sha256(b"").hexdigest()


class Module(NamedTuple):
    """What counts of a file."""

    sha256: str  # of its code
    imports: list[str]  # dotted names, of modules or of what they define

    @property
    def empty(self) -> bool:
        return self.sha256 == EMPTY

    @property
    def packages(self) -> set[str]:
        """The top-level names that it imports."""
        return {name.partition(".")[0] for name in self.imports}


class ModuleCache:
    """Reads modules, and remembers them by the sha256 of their bytes, since parsing takes far longer than hashing."""

    def __init__(self) -> None:
        self.file = project_root() / CACHE
        self.used: set[str] = set()

    def __enter__(self) -> Self:
        # Other code than this may find other things in the same bytes.
        self.version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
        try:
            stored = json.loads(self.file.read_text(encoding="utf-8"))
            self.known = stored["modules"] if stored["version"] == self.version else {}
        except (OSError, ValueError, LookupError, TypeError):  # none yet, or not one of ours: start a new one
            self.known = {}
        self.added = False
        return self

    def forget_others(self) -> None:
        """Drop what was not read since the cache was opened: the modules of earlier states of the code."""
        self.added |= len(self.used) < len(self.known)
        self.known = {key: self.known[key] for key in self.used}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self.added:
            with new_file(self.file) as temporary:
                temporary.write_text(json.dumps({"version": self.version, "modules": self.known}), encoding="utf-8")

    def read(self, file: Path) -> Module:
        """What counts of `file`. Raises ConvzooError for one that is not Python."""
        content = file.read_bytes()
        key = hashlib.sha256(content).hexdigest()
        if key not in self.known:
            try:
                self.known[key] = parse(content.decode("utf-8"))
            except (SyntaxError, ValueError) as error:
                line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
                raise ConvzooError(f"{file}{line}: is not valid Python ({error}), expected code that runs") from None
            self.added = True
        self.used.add(key)
        return Module(*self.known[key])


def parse(source: str) -> Module:
    """What counts of a module's text. Raises SyntaxError, and ValueError for null bytes.

    The digest is of the text itself, not of a syntax tree, whose form differs between versions of Python.
    """
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    lines = source.split("\n")
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            (row, column) = token.start
            lines[row - 1] = lines[row - 1][:column]
    docstrings = [node for node in nodes if isinstance(node, ast.Expr) and _is_text(node.value)]
    for node in docstrings:
        _cut(lines, node)
    # Within a string that goes over several lines, spaces and empty lines belong to its value.
    literal = {
        number
        for node in nodes
        if isinstance(node, ast.Constant | ast.JoinedStr) and node not in {doc.value for doc in docstrings}
        for number in range(node.lineno, node.end_lineno)
    }
    kept = [line if number in literal else line.rstrip() for number, line in enumerate(lines, 1)]
    text = "\n".join(line for number, line in enumerate(kept, 1) if line or number in literal)
    return Module(hashlib.sha256(text.encode()).hexdigest(), sorted(set(_imports(nodes))))


def _imports(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise SyntaxError("relative import, expected an absolute one", ("", node.lineno, 0, ""))
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_text(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _cut(lines: list[str], node: ast.Expr) -> None:
    """Take a statement out; what stands around it keeps its line and its indentation."""
    first, last = node.lineno - 1, node.end_lineno - 1
    before = lines[first].encode()[: node.col_offset].decode()  # positions in a syntax tree count bytes
    after = lines[last].encode()[node.end_col_offset :].decode()
    lines[first : last + 1] = [before + after, *[""] * (last - first)]
