"""Networks that run one by one or side by side, each in a `dvc repro` for its stages.

First come the stages that the networks depend on, then the networks, the shortest first, and then a `dvc repro` as it
was asked for, which runs what is left and leaves nothing out of date. DVC holds its lock except while the command of a
stage runs; with --wait-for-lock, its processes wait for each other.
"""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence

from convzoo.checks.check import due_files
from convzoo.repro.entries import read_lock
from convzoo.repro.plan import ALL_STAGES, STAGE, Plan
from convzoo.repro.progress import Progress
from convzoo.repro.run import Job, Run
from convzoo.settings.load import Params

ALONE = ("-s",)  # without the stages that those named depend on
WAITING = ("--wait-for-lock",)


def dvc(arguments: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """The command `dvc OPTIONS repro ARGUMENTS`."""
    return [sys.executable, "-m", "dvc", *options, "repro", *arguments]


def are_stages(arguments: Sequence[str]) -> bool:
    """Whether all arguments of a `dvc repro` are stages: options of DVC may mean any stage, or all of them again."""
    return all(STAGE.fullmatch(argument) or argument in ALL_STAGES for argument in arguments)


def due_md5s(params: Params) -> dict[str, str]:
    """The md5 that each file in data/code will have after the stage `check`, by path."""

    def md5(content: object) -> str:
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"  # as files.write_json
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    return {str(file): md5(content) for file, content in due_files(params).items()}


def run_networks(run: Run, plan: Plan, places: Sequence[Mapping[str, str]]) -> int:
    """Run the networks with something to run, one at a time in each place, after what they need; an exit code.

    Runs nothing if there are fewer than two of them.
    """
    progress = run.progress
    networks = plan.networks(progress.status)
    if len(networks) < 2:
        return 0
    progress.places = len(places)
    progress.queue = list(networks.values())
    needed = plan.needed_by(name for names in networks.values() for name in names)
    if needed and (code := run.run([Job(dvc(needed))])):
        return code
    run.lock = read_lock()
    networks = shortest_first(plan.networks(progress.status), progress)
    jobs = [Job(dvc([*ALONE, *names], WAITING), network, names) for network, names in networks]
    progress.queue = []
    return run.run(jobs, places)


def shortest_first(networks: Mapping[str, list[str]], progress: Progress) -> list[tuple[str, list[str]]]:
    """The networks with their stages, in the order of the time that they will take; unknown ones last."""
    pending = set(progress.plan.pending(progress.status))

    def seconds(names: Sequence[str]) -> float:
        expected = progress.expected([name for name in names if name in pending])
        return float("inf") if expected is None else expected

    return sorted(networks.items(), key=lambda item: seconds(item[1]))
