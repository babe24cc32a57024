"""How an entry of pipeline/ runs: only with the code that the stage `check` saw."""

import sys
from collections.abc import Callable
from pathlib import Path

from convzoo import errors
from convzoo.checks.code import FAMILY_STAGES, code_file, stage_code
from convzoo.errors import ConvzooError
from convzoo.files import read_json
from convzoo.settings.load import block, read_params

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
    is_of_family = stage in FAMILY_STAGES
    family = block(read_params(), ("networks", arguments[0], "family")) if is_of_family else None
    file = code_file(stage, family)
    if not file.is_file():
        raise ConvzooError(f"{file}: is missing, expected what the stage check writes; run: dvc repro")
    seen, now = read_json(file), stage_code(stage, family)
    changed = sorted(
        name for part in now for name in seen[part].keys() | now[part] if seen[part].get(name) != now[part].get(name)
    )
    if changed:
        more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        raise ConvzooError(
            f"{stage}: the code changed since check ({', '.join(changed[:NAMED])}{more}), expected the code that it "
            "saw; run: dvc repro"
        )
