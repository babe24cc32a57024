"""Run the stages that are out of date and show the results.

Runs `dvc repro` with the same arguments and ends with its exit code. Each network runs from its training to the
registry, the shortest first, and several side by side if there are cores, memory or GPUs for them; with options of
`dvc repro`, the order is that of DVC. Shows which stages run and how long the rest will take; DVC's output goes to a
file in .repro/. At the end come the results of all networks, what is new in MLflow, why dvc.lock changed, and what to
do next.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from convzoo.commands import check
from convzoo.errors import ConvzooError
from convzoo.lineage.record import locked_stages
from convzoo.portable import LEVERS
from convzoo.repro.durations import FOLDER, REFERENCE, read_durations, save_durations
from convzoo.repro.entries import put_in_order
from convzoo.repro.jobs import are_stages, due_md5s, dvc, run_networks
from convzoo.repro.machine import job_count, job_environments, visible_gpus
from convzoo.repro.plan import PIPELINE, read_plan
from convzoo.repro.processes import environment
from convzoo.repro.progress import Progress
from convzoo.repro.run import Job, Run
from convzoo.settings.compute import CONTINUE_FROM, compute_settings
from convzoo.settings.load import Params, read_params

EXAMPLES = (
    "convzoo repro",
    "convzoo repro --jobs 2",
    "convzoo repro evaluate@mnist-classifier --force",
    "convzoo repro train@mnist-classifier --continue-from 4f9d2c81",
)
CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}  # options are DVC's
# Options with which DVC asks, prints help or prints what it would do.
NOT_SHOWN = {"-i", "--interactive", "--dry", "-q", "--quiet", "-v", "--verbose", "-h", "--help"}
KEEP_GOING = {"-k", "--keep-going", "--ignore-errors"}
LOGS = 10  # files that are kept
AUTO = "auto"


def command(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENT", help="As for `dvc repro`. Default: all stages.")
    ] = None,
    jobs: Annotated[
        str, typer.Option(metavar="N", help="Networks at once. Default: as many as cores, memory and GPUs allow.")
    ] = AUTO,
    continue_from: Annotated[
        str,
        typer.Option(
            metavar="FINGERPRINT",
            help="Start the training from this checkpoint of another one, which differs in `compute`.",
        ),
    ] = "",
) -> None:
    """Print the progress and the results.

    Raises SettingsError for mistakes in params.yaml, and ConvzooError for a name that is no stage.
    """
    arguments = arguments or []
    if continue_from:
        os.environ[CONTINUE_FROM] = continue_from  # a stage of DVC takes no options
    if not PIPELINE.is_file():
        raise ConvzooError(f"{PIPELINE}: not found; run this command in the project's folder")
    if jobs != AUTO and not (jobs.isdecimal() and int(jobs)):
        raise ConvzooError(f"--jobs: got '{jobs}', expected a whole number of at least 1, or {AUTO}")
    check.command()
    if NOT_SHOWN & set(arguments):
        raise typer.Exit(_exit_code(subprocess.call(dvc(arguments), env=environment({}))))
    params = read_params()
    if compute_settings(params).portable:
        os.environ.update(LEVERS)  # so that no stage has to start itself again with them
    before, by_network = locked_stages(), are_stages(arguments)
    plan = read_plan(params.values, arguments, due_md5s(params) if by_network else {})
    plan.check_targets(arguments)
    profile = params.values["profile"]
    progress = Progress(plan, read_durations(profile), read_durations(profile, REFERENCE))
    log = _new_log()
    with Run(progress, log) as run:
        code = run_networks(run, plan, _places(params, jobs)) if by_network else 0
        if not code and not run.is_stopped:
            code = run.run([Job(dvc(arguments))])
        else:
            code = code or 128 + run.children.signals[0]
    if by_network:
        put_in_order(before, list(plan.stages))
    save_durations(profile, progress.seconds)
    if code and run.is_stopped:
        print(f"stopped; run the same command again to continue; all output is in {log}", file=sys.stderr)
    elif code:
        failed = [name for name, status in progress.status.items() if status == "failed"]
        remedy = "; fix it and run the same command again to continue" if failed else ""
        print(f"failed{': ' if failed else ''}{', '.join(failed)}; all output is in {log}{remedy}", file=sys.stderr)
    if not code or KEEP_GOING & set(arguments):
        from convzoo.repro.committed import committed_stages, compared_models  # here, like the next: most failed
        from convzoo.repro.lock import explained  # runs need none of them
        from convzoo.repro.summary import summary

        now = locked_stages()
        is_portable = compute_settings(params).portable
        models = list(compared_models(params.values["networks"], committed_stages(), now, is_portable))
        print(*summary(progress, params.values, explained(before, now), models), sep="\n")
    raise typer.Exit(code)


def _places(params: Params, jobs: str) -> list[dict[str, str]]:
    """For each job at once, what it adds to the environment."""
    compute = compute_settings(params)
    gpus = visible_gpus(compute)
    count = job_count(compute, gpus) if jobs == AUTO else int(jobs)
    return job_environments(compute, gpus, count)


def _exit_code(code: int) -> int:
    """As a shell has it for a process that was ended by a signal."""
    return code if code >= 0 else 128 - code


def _new_log() -> Path:
    """The file for the output of this run; older ones are removed."""
    FOLDER.mkdir(exist_ok=True)
    for old in sorted(FOLDER.glob("*.log"))[: 1 - LOGS]:
        old.unlink(missing_ok=True)
    return FOLDER / time.strftime("%Y%m%d-%H%M%S.log")
