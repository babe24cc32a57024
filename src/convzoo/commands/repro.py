"""Run the stages that are out of date and show the results.

Runs `dvc repro` with the same arguments and ends with its exit code. Shows which stage runs and how long the rest will
take; DVC's output goes to a file in .repro/. At the end come the results of all networks, what is new in MLflow, why
dvc.lock changed, and what to do next.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TextIO

import typer

from convzoo.commands import check
from convzoo.errors import ConvzooError
from convzoo.lineage.record import locked_stages
from convzoo.repro.durations import FOLDER, REFERENCE, read_durations, save_durations
from convzoo.repro.plan import PIPELINE, read_plan
from convzoo.repro.progress import OF_DVC, WARNING, Display, Progress
from convzoo.settings.load import read_params

EXAMPLES = ("convzoo repro", "convzoo repro evaluate@mnist-classifier --force")
CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}  # options are DVC's
# Options with which DVC asks, prints help or prints what it would do.
NOT_SHOWN = {"-i", "--interactive", "--dry", "-q", "--quiet", "-v", "--verbose", "-h", "--help"}
KEEP_GOING = {"-k", "--keep-going", "--ignore-errors"}
LOGS = 10  # files that are kept
TICK = 1.0  # seconds between two updates of the display
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FAILED = ("ERROR: ", "WARNING: failed to run")  # DVC on stderr about the stage that runs
OF_DVC_ITSELF = ("ERROR: ", "WARNING: ")
STOPPED = "stopped"  # what a stage prints at Ctrl-C


def command(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENT", help="As for `dvc repro`. Default: all stages.")
    ] = None,
) -> None:
    """Print the progress and the results.

    Raises SettingsError for mistakes in params.yaml, and ConvzooError for a name that is no stage.
    """
    arguments = arguments or []
    if not PIPELINE.is_file():
        raise ConvzooError(f"{PIPELINE}: not found; run this command in the project's folder")
    check.command()
    if NOT_SHOWN & set(arguments):
        raise typer.Exit(_exit_code(subprocess.call(_dvc(arguments), env=_environment())))
    params = read_params().values
    before, plan = locked_stages(), read_plan(params, arguments)
    plan.check_targets(arguments)
    profile = params["profile"]
    progress = Progress(plan, read_durations(profile), read_durations(profile, REFERENCE))
    log = _new_log()
    code, is_interrupted = _run(arguments, progress, log)
    save_durations(profile, progress.seconds)
    if is_interrupted:
        print(f"stopped; run the same command again to continue; all output is in {log}", file=sys.stderr)
    elif code:
        failed = [name for name, status in progress.status.items() if status == "failed"]
        remedy = "; fix it and run the same command again to continue" if failed else ""
        print(f"failed{': ' if failed else ''}{', '.join(failed)}; all output is in {log}{remedy}", file=sys.stderr)
    if not code or KEEP_GOING & set(arguments):
        from convzoo.repro.lock import explained  # here, like the next: most failed runs need neither
        from convzoo.repro.summary import summary

        print(*summary(progress, params, explained(before, locked_stages())), sep="\n")
    raise typer.Exit(code)


def _run(arguments: list[str], progress: Progress, log: Path) -> tuple[int, bool]:
    """Run `dvc repro`, show its progress and write its output to `log`; its exit code, and whether a signal ended it.

    Errors and warnings of DVC are printed as they come, after what the stage printed to stderr. After a signal, that
    the stage and DVC were stopped is not repeated.
    """
    display, held, signals = Display(progress), [], []
    with log.open("w", encoding="utf-8", buffering=1) as file, _started(_dvc(arguments), signals) as child:
        for stream, line in _lines(child):
            if line is None:
                display.update()
                continue
            file.write(f"{line}\n")
            if stream is sys.stderr and signals:
                if line != STOPPED and not line.startswith(OF_DVC_ITSELF):
                    display.print(line, sys.stderr)
            elif stream is sys.stderr:
                held.append(line)
                if line.startswith(FAILED):
                    progress.fail()
                if line.startswith(OF_DVC_ITSELF):
                    _release(held, display)
            elif progress.read(line):
                held.clear()
                display.update()
            elif WARNING.match(line) or (progress.stage == "check" and not OF_DVC.match(line)):
                display.print(line)
        code = child.wait()
    if not code:
        progress.finish()
        display.update()
    display.clear()
    if code and not signals:
        _release(held, display)
    return _exit_code(code), bool(code and signals)


def _release(held: list[str], display: Display) -> None:
    for line in held:
        display.print(line, sys.stderr)
    held.clear()


@contextlib.contextmanager
def _started(dvc: list[str], signals: list[int]) -> Iterator[subprocess.Popen]:
    """The process in a group of its own: a signal reaches it and its stages once, wherever it was sent to.

    Adds the signals that come to `signals`.
    """
    child = subprocess.Popen(
        dvc,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=_environment(),
        process_group=0,
    )

    def forward(number: int, frame: object) -> None:
        signals.append(number)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    # One that is ignored, as under nohup, stays ignored.
    before = {number: signal.getsignal(number) for number in FORWARDED}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, forward)
    try:
        with child:
            yield child
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _lines(child: subprocess.Popen) -> Iterator[tuple[TextIO, str | None]]:
    """The lines of both streams as they come, with None whenever a second has passed.

    A line of stderr comes after all that was printed to stdout before it.
    """
    streams = {child.stdout: sys.stdout, child.stderr: sys.stderr}
    rests = dict.fromkeys(streams, b"")  # what has no line end yet
    with selectors.DefaultSelector() as selector:
        for pipe in streams:
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            if not selector.select(TICK):
                yield sys.stdout, None
            chunks = {pipe: pipe.readall() for pipe in reversed(streams) if pipe in selector.get_map()}
            for pipe in streams:
                chunk = chunks.get(pipe)
                if chunk is None:  # nothing for now
                    continue
                *lines, rests[pipe] = (rests[pipe] + chunk).split(b"\n")
                if not chunk:  # the end
                    selector.unregister(pipe)
                    lines += [rests[pipe]] if rests[pipe] else []
                for line in lines:
                    yield streams[pipe], line.removesuffix(b"\r").decode("utf-8", "backslashreplace")


def _dvc(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "dvc", "repro", *arguments]


def _environment() -> dict[str, str]:
    """That of DVC: its stages call `python`, which must be this one, and their lines must come at once."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"}


def _exit_code(code: int) -> int:
    """As a shell has it for a process that was ended by a signal."""
    return code if code >= 0 else 128 - code


def _new_log() -> Path:
    """The file for the output of this run; older ones are removed."""
    FOLDER.mkdir(exist_ok=True)
    for old in sorted(FOLDER.glob("*.log"))[: 1 - LOGS]:
        old.unlink(missing_ok=True)
    return FOLDER / time.strftime("%Y%m%d-%H%M%S.log")
