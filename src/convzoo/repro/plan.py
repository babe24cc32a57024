"""Which stages a `dvc repro` visits, and which of them it will probably run: for the display, never for a decision.

Reads dvc.yaml, params.yaml and dvc.lock, since DVC's own listing takes seconds.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from convzoo.checks.code import FAMILY_STAGES
from convzoo.errors import ConvzooError, did_you_mean
from convzoo.lineage.record import locked_stages

PIPELINE = Path("dvc.yaml")
REFERENCE = re.compile(r"\$\{([^}]+)\}")
SMALL = 100_000  # bytes of a dep that is worth hashing
ALL_STAGES = {"-P", "--all-pipelines"}  # options that select all stages
SAME_STAGES = {"-f", "--force", "-k", "--keep-going", "--pull", "--allow-missing", "--no-commit", "--no-run-cache"}
SINGLE = {"-s", "--single-item"}
STAGE = re.compile(r"\w[\w-]*(@[\w-]+)?")  # how an argument looks that can only be a stage


class Stage(NamedTuple):
    """A stage of dvc.yaml."""

    cmd: str
    params: list[str]  # dotted keys of params.yaml
    deps: list[str]
    outs: list[str]
    always: bool  # it runs each time, so that it runs does not mean that its outs change


class Plan:
    """The stages that a run visits. `count` is None if their number is unknown."""

    def __init__(
        self,
        stages: dict[str, Stage],
        locked: Mapping[str, Any],
        params: Any,
        arguments: list[str],
        due: Mapping[str, str] | None = None,  # the md5 of files that the run will write first, by path
    ) -> None:
        self.stages, self.locked, self.params, self.due = stages, locked, params, due or {}
        self.needs = _needs(stages)
        self.names = self._selected(arguments)
        self.forced = bool({"-f", "--force"} & set(arguments))

    @property
    def count(self) -> int | None:
        return len(self.names) or None

    def pending(self, status: Mapping[str, str]) -> list[str]:
        """The stages that will probably run, given the `status` of those that were visited: `ran` or anything else."""
        running: dict[str, bool] = {}

        def runs(name: str) -> bool:
            if name not in running:
                running[name] = status.get(name) == "ran"
                if name not in status:
                    needed = self.needs[name] & set(self.names)
                    running[name] = self._is_outdated(name) or any(
                        runs(other) for other in needed if not self.stages[other].always
                    )
            return running[name]

        return [name for name in self.names if name not in status and runs(name)]

    def networks(self, status: Mapping[str, str]) -> dict[str, list[str]]:
        """The stages of each network with something to run, given the `status` of those that were visited.

        Left out are networks that depend on the outs of another one.
        """
        stages: dict[str, list[str]] = {}
        for name in self.names:
            kind, _, network = name.partition("@")
            if kind in FAMILY_STAGES and network in self.params["networks"]:
                stages.setdefault(network, []).append(name)
        pending = set(self.pending(status))
        all_names = {name for names in stages.values() for name in names}
        return {
            network: names
            for network, names in stages.items()
            if not pending.isdisjoint(names) and not any(self.needs[name] & all_names - set(names) for name in names)
        }

    def needed_by(self, names: Iterable[str]) -> list[str]:
        """The stages that `names` depend on, without those that others of them depend on."""
        names = set(names)
        needed = set().union(*(self.needs[name] for name in names)) - names
        return [name for name in self.names if name in needed and not any(name in self._all_needs(n) for n in needed)]

    def _all_needs(self, name: str) -> set[str]:
        found: set[str] = set()
        pending = [name]
        while pending:
            needed = self.needs[pending.pop()] - found
            found |= needed
            pending += needed
        return found

    def check_targets(self, arguments: list[str]) -> None:
        """Raises ConvzooError for an argument of `dvc repro` that looks like a stage, but is none.

        Options, patterns, files, and stages of other files are left to DVC.
        """
        known = {*self.stages, *(name.partition("@")[0] for name in self.stages)}
        for target in arguments if self.stages and "--glob" not in arguments else ():
            if STAGE.fullmatch(target) and target not in known and not Path(target).exists():
                verb = target.partition("@")[0]
                alike = [name for name in self.stages if name.startswith(f"{verb}@")] if verb in known else known
                close = did_you_mean(target, alike)
                raise ConvzooError(
                    f"{target}: there is no such stage, expected a name as in dvc.yaml; {close}all stages: "
                    "python -m dvc stage list"
                )

    def _selected(self, arguments: list[str]) -> list[str]:
        """The stages of the arguments of `dvc repro`, in the order of dvc.yaml; none if they are unknown."""
        options = {argument for argument in arguments if argument.startswith("-")}
        targets = [argument for argument in arguments if argument not in options]
        if options - ALL_STAGES - SAME_STAGES - SINGLE:
            return []
        if not targets or options & ALL_STAGES:
            return list(self.stages)
        names: set[str] = set()
        for target in targets:
            found = {name for name in self.stages if name == target or name.startswith(f"{target}@")}
            if not found:
                return []
            names |= found
        if not options & SINGLE:
            names = names.union(*(self._all_needs(name) for name in names))
        return [name for name in self.stages if name in names]

    def _is_outdated(self, name: str) -> bool:
        """Whether command, params, a small dep or the existence of an out differ from dvc.lock."""
        stage, entry = self.stages[name], self.locked.get(name)
        if self.forced or stage.always or entry is None or entry.get("cmd") != stage.cmd:
            return True
        recorded = entry.get("params", {}).get("params.yaml", {})
        if any(key not in recorded or recorded[key] != _value(self.params, key) for key in stage.params):
            return True
        if not all(Path(out).exists() for out in stage.outs):
            return True
        return any(self._differs(dep["path"], dep.get("md5")) for dep in entry.get("deps", ()))

    def _differs(self, path: str, md5: str | None) -> bool:
        return self.due[path] != md5 if path in self.due else _differs(Path(path), md5)


def read_plan(params: Mapping[str, Any], arguments: list[str], due: Mapping[str, str] | None = None) -> Plan:
    """The plan of `dvc repro ARGUMENTS`; without stages if dvc.yaml uses what this does not know."""
    try:
        stages = dict(resolved_stages(YAML(typ="safe").load(PIPELINE), params))
    except (OSError, YAMLError, LookupError, TypeError, AttributeError, ValueError):
        stages = {}
    return Plan(stages, locked_stages(), params, arguments, due)


def resolved_stages(pipeline: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[tuple[str, Stage]]:
    """The stages of dvc.yaml with their foreach lists resolved. Raises LookupError for a reference to nothing."""
    for name, block in pipeline["stages"].items():
        if "foreach" not in block:
            yield name, _stage(block, params)
            continue
        items = _resolve(block["foreach"], params)
        for key, item in items.items() if isinstance(items, dict) else ((str(item), item) for item in items):
            yield f"{name}@{key}", _stage(block["do"], {**params, "key": key, "item": item})


def _stage(block: Mapping[str, Any], names: Mapping[str, Any]) -> Stage:
    def resolved(*parts: str) -> list[str]:
        entries = [entry for part in parts for entry in block.get(part, ())]
        return [str(_resolve(next(iter(entry)) if isinstance(entry, dict) else entry, names)) for entry in entries]

    return Stage(
        _resolve(block["cmd"], names),
        resolved("params"),
        resolved("deps"),
        resolved("outs", "metrics", "plots"),
        bool(block.get("always_changed")),
    )


def _resolve(text: Any, names: Mapping[str, Any]) -> Any:
    """`text` with its references replaced; a text that is only a reference becomes the value itself."""
    if not isinstance(text, str):
        return text
    if match := REFERENCE.fullmatch(text):
        return _value(names, match[1], strict=True)
    return REFERENCE.sub(lambda match: str(_value(names, match[1], strict=True)), text)


def _value(values: Any, dotted: str, strict: bool = False) -> Any:
    for key in dotted.strip().split("."):
        if not strict and (not isinstance(values, dict) or key not in values):
            return None
        values = values[key]
    return values


def _needs(stages: Mapping[str, Stage]) -> dict[str, set[str]]:
    """By stage, those whose outs it depends on."""
    outs = [(PurePosixPath(out), name) for name, stage in stages.items() for out in stage.outs]
    return {name: {owner for out, owner in outs if _overlap(out, stage.deps)} for name, stage in stages.items()}


def _overlap(out: PurePosixPath, deps: Iterable[str]) -> bool:
    paths = [PurePosixPath(dep) for dep in deps]
    return any(path.is_relative_to(out) or out.is_relative_to(path) for path in paths)


def _differs(file: Path, md5: str | None) -> bool:
    """Whether a small file has another md5 than recorded. A folder or a large file counts as the same."""
    if not file.is_file() or file.stat().st_size > SMALL:
        return False
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() != md5
