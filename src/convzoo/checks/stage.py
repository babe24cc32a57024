"""How an entry of pipeline/ runs: with the name of a block in params.yaml, and with the code that `check` saw."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from convzoo import errors
from convzoo.checks.code import FAMILY_STAGES, NOT_COMPUTING, code_file, stage_inputs
from convzoo.errors import ConvzooError
from convzoo.files import read_json
from convzoo.portable import restart_with_levers
from convzoo.settings.load import block, check, read_params, shown

NAMED = 3  # modules in a message
# By the name of the parameter of an entry's `run`, the section of params.yaml with a block for each possible value.
SECTIONS = {"dataset": "data", "network": "networks", "weights": "weights"}


def main(run: Callable[..., object]) -> None:
    """Call `run` with the arguments of the command line, unless the stage's code changed since the check.

    A stage that computes does so with convzoo.portable.LEVERS; a training only with compute.portable: true. An error
    that the user can fix is printed, with exit code 1.
    """
    stage = Path(sys.argv[0]).stem

    def checked(*arguments: str) -> None:
        if stage not in NOT_COMPUTING and (stage != "train" or _trains_portably()):
            restart_with_levers()
        check_arguments(stage, run, arguments)
        if stage != "check":  # which writes what the others are compared with
            verify(stage, *arguments)
        run(*arguments)

    errors.main(checked)


def _trains_portably() -> bool:
    from convzoo.settings.compute import compute_settings  # here: the other stages do not depend on it

    return compute_settings(read_params()).portable


def check_arguments(stage: str, run: Callable[..., object], arguments: tuple[str, ...]) -> None:
    """Raises ConvzooError unless `arguments` are what `run` takes: nothing, or the name of a block in params.yaml."""
    entry, got = f"pipeline/{stage}.py", f"{len(arguments)} arguments"
    parameters = list(inspect.signature(run).parameters)
    if not parameters:
        if arguments:
            got = f"the argument {shown(arguments[0])}" if len(arguments) == 1 else got
            raise ConvzooError(f"{entry}: got {got}, expected none; run: python {entry}, or convzoo repro {stage}")
        return
    [kind] = parameters
    names = check(read_params(), (SECTIONS[kind],), dict)
    if len(arguments) == 1 and arguments[0] in names:
        return
    if len(arguments) < 2:
        got = f"the {kind} {shown(arguments[0])}" if arguments else f"no {kind}"
    name = kind.upper()
    raise ConvzooError(
        f"{entry}: got {got}, expected one of: {', '.join(names)}; run: python {entry} {name}, or "
        f"convzoo repro {stage}@{name}"
    )


def verify(stage: str, *arguments: str) -> None:
    """Compare the code that `stage` is about to run with what the stage `check` saw.

    DVC records the check's digests with the outputs, also in its cache: an output made by other code would be taken
    for the checked code's from then on. Raises ConvzooError, naming what changed.
    """
    params = read_params()
    family = block(params, ("networks", arguments[0], "family")) if stage in FAMILY_STAGES else None
    file = code_file(stage, family)
    if not file.is_file():
        raise ConvzooError(f"{file}: is missing, expected what the stage check writes; run: convzoo repro")
    seen, now = read_json(file), stage_inputs(stage, family, params)
    for part, names in now.items():
        before = seen.get(part, {})
        changed = sorted(name for name in before.keys() | names if before.get(name) != names.get(name))
        if not changed:
            continue
        noun = "settings" if part == "settings" else "code"
        more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        raise ConvzooError(
            f"{stage}: the {noun} changed since check ({', '.join(changed[:NAMED])}{more}), expected the {noun} "
            "that it saw; run: convzoo repro"
        )
