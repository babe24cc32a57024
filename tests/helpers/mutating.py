"""Wrong versions of a source file, one change each, made by the operators of mutmut. Imports nothing of convzoo."""

import difflib
import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import libcst as cst
from mutmut.mutation import mutators

# Kinds that are left out, because no test of behaviour can or should notice them.
MESSAGES = {"print"}  # calls whose strings are only read by people, like all of a `raise`
# Arguments: the platform's default, the names of bars, and what only guards against mistakes in the code itself.
UNREAD = {"encoding", "newline", "progress", "desc", "strict"}
PRECISION = {"np.float32", "np.float64"}  # as arguments: other digits of the same number
SYMMETRIC = {"min", "max", "np.minimum", "np.maximum"}  # calls whose arguments may come in any order


class Mutant(NamedTuple):
    """A file with one change."""

    path: str
    original: str
    code: str

    def diff(self) -> str:
        lines = difflib.unified_diff(self.original.splitlines(), self.code.splitlines(), n=1, lineterm="")
        return "\n".join(list(lines)[2:])


def swapped_arguments(node: cst.Call) -> Iterator[cst.Call]:
    """f(a, b, c) as f(b, a, c): which of two things is which. mutmut has no such operator."""
    ordered = name_of(node.func) not in SYMMETRIC
    if ordered and len(node.args) > 1 and not any(arg.keyword or arg.star for arg in node.args[:2]):
        first, second, *rest = node.args
        swapped = first.with_changes(value=second.value), second.with_changes(value=first.value)
        yield node.with_changes(args=[*swapped, *rest])


def one_string(node: cst.BaseString) -> Iterable[cst.BaseString]:
    """Another text; upper and lower case would only be more of the same."""
    return list(mutators.operator_string(node))[:1]


OPERATORS = [
    *((kind, operator) for kind, operator in mutators.mutation_operators if operator is not mutators.operator_string),
    (cst.BaseString, one_string),
    (cst.Call, swapped_arguments),
]


class Mutations(cst.CSTVisitor):
    """Collects pairs of a node and its replacement."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[cst.CSTNode, cst.CSTNode]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if is_left_out(node):
            return False
        for kind, operator in OPERATORS:
            if isinstance(node, kind):
                self.found += [(node, changed) for changed in operator(node)]
        return True


def is_left_out(node: cst.CSTNode) -> bool:
    """Whether a node and all below it belong to a kind without behaviour."""
    if isinstance(node, cst.Raise | cst.Annotation | cst.Import | cst.ImportFrom | cst.Decorator):
        return True
    if isinstance(node, cst.Arg):
        return name_of(node.keyword) in UNREAD or name_of(node.value) in PRECISION
    if isinstance(node, cst.Call):
        return name_of(node.func) in MESSAGES
    return isinstance(node, cst.Expr) and isinstance(node.value, cst.BaseString)  # a docstring


def name_of(node: cst.CSTNode | None) -> str:
    """A name, or one in a module such as `np.minimum`; empty for everything else."""
    if isinstance(node, cst.Attribute) and isinstance(node.value, cst.Name):
        return f"{node.value.value}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


def without_left_out(node: cst.CSTNode, changed: cst.CSTNode) -> bool:
    """Whether a change of a call keeps its arguments of such kinds."""
    if not isinstance(node, cst.Call) or not isinstance(changed, cst.Call):
        return True
    return [arg for arg in node.args if is_left_out(arg)] == [arg for arg in changed.args if is_left_out(arg)]


def draw(files: dict[str, str], count: int, seed: int) -> tuple[list[Mutant], int]:
    """At most `count` mutants of files (their code by path), all for 0, and how many changes there are to draw from."""
    changes = []
    for path, code in files.items():
        module, visitor = cst.parse_module(code), Mutations()
        module.visit(visitor)
        changes += [(path, module, *pair) for pair in visitor.found if without_left_out(*pair)]
    drawn: dict[str, Mutant] = {}
    for path, module, node, changed in random.Random(seed).sample(changes, len(changes)):
        code = module.deep_replace(node, changed).code  # takes a while, so only for those that are needed
        if code != files[path] and compiles(code):
            drawn[code] = Mutant(path, files[path], code)
        if len(drawn) == count:
            break
    return list(drawn.values()), len(changes)


def compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True
