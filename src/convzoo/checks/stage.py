"""How an entry of pipeline/ runs: only with the code that the stage `check` saw."""

import sys
from collections.abc import Callable
from pathlib import Path

from convzoo import errors
from convzoo.checks.code import FAMILY_STAGES, code_file, stage_inputs
from convzoo.errors import ConvzooError
from convzoo.files import read_json
from convzoo.settings.load import read_params

NAMED = 3  # modules in a message


def main(run: Callable[..., object]) -> None:
    """Call `run` with the arguments of the command line, unless the stage's code changed since the check.

    An error that the user can fix is printed, with exit code 1.
    """

    def checked(*arguments: str) -> None:
        verify(Path(sys.argv[0]).stem, *arguments)
        run(*arguments)

    errors.main(checked)


def verify(stage: str, *arguments: str) -> None:
    """Compare the code that `stage` is about to run with what the stage `check` saw.

    DVC records the check's digests with the outputs, also in its cache: an output made by other code would be taken
    for the checked code's from then on. Raises ConvzooError, naming what changed.
    """
    params, family = read_params(), None
    if stage in FAMILY_STAGES:
        from convzoo.settings.networks import family_of  # here, since the other stages do not depend on it

        family = family_of(params, arguments[0])
    file = code_file(stage, family)
    if not file.is_file():
        raise ConvzooError(f"{file}: is missing, expected what the stage check writes; run: dvc repro")
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
            "that it saw; run: dvc repro"
        )
