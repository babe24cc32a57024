"""Trainings and functions in several processes that work together, quick to start: a server forks them."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from convzoo.errors import ConvzooError
from helpers.killing import SERVER, serve


class Fault(NamedTuple):
    """What happens to one process of a training in the first step after it has finished so many epochs."""

    rank: int
    epochs: int
    is_kill: bool  # otherwise an error is raised


def train(family: str, folder: Path, count: int = 2, fault: Fault | None = None, **changes: Any) -> list[int]:
    """Train in `folder` with `count` processes; their exit codes. What each prints is then in folder/output-RANK.txt.

    `changes` are of the settings; `continue_from` among them is the fingerprint of another training.
    """
    started = _start(_train, count, (family, str(folder), count, fault, changes))
    return [_exit_code(process) for process in started]


def output(folder: Path, rank: int = 0) -> str:
    """What a process of `train` printed."""
    return (folder / f"output-{rank}.txt").read_text()


def results(function: Callable[..., Any], folder: Path, count: int = 2, *arguments: Any) -> list[dict[str, Any]]:
    """The tensors, by name, that `function` of a module in tests/helpers returns in each of `count` processes."""
    from safetensors.torch import load_file  # here: the processes that train should not wait for it

    started = _start(_call, count, (function, str(folder), *arguments))
    assert [_exit_code(process) for process in started] == [0] * count
    return [load_file(folder / f"result-{rank}") for rank in range(count)]


def environment(rank: int, count: int, port: int) -> dict[str, str]:
    """The variables by which a process knows the others."""
    return {
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank), "NODE_RANK": "0"},
        **{"RANK": str(rank), "WORLD_SIZE": str(count)},
    }


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start(target: Callable[..., None], count: int, arguments: tuple) -> list[BaseProcess]:
    serve()
    port = free_port()
    started = [
        SERVER.Process(target=target, args=(environment(rank, count, port), *arguments), daemon=True)
        for rank in range(count)
    ]
    for process in started:
        process.start()
    return started


def _exit_code(process: BaseProcess) -> int:
    """Wait for a process; one that still runs after two minutes is ended, and the test fails."""
    process.join(120)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError("a process still waits for the others")
    return process.exitcode


def _train(
    variables: dict[str, str], family: str, folder: str, count: int, fault: Fault | None, changes: dict[str, Any]
) -> None:
    from convzoo.families.find import family_module
    from convzoo.settings.compute import CONTINUE_FROM
    from convzoo.training.history import Row
    from convzoo.training.progress import Progress
    from helpers.small import COMPUTE, FAMILIES

    os.chdir(folder)
    os.environ |= variables | {"CONVZOO_TRACKING": "off", CONTINUE_FROM: changes.pop("continue_from", "")}
    os.environ.pop("DVC_ROOT", None)
    rank, finished, step, epoch = int(variables["RANK"]), [], Progress.step, Progress.epoch

    def faulty(progress: Progress) -> None:
        if fault and rank == fault.rank and len(finished) == fault.epochs:
            if fault.is_kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ConvzooError("broken on purpose")
        step(progress)

    def counted(progress: Progress, row: Row) -> None:
        finished.append(row)
        epoch(progress, row)

    Progress.step, Progress.epoch = faulty, counted
    with (
        Path(f"output-{rank}.txt").open("w", buffering=1) as stream,
        contextlib.redirect_stdout(stream),
        contextlib.redirect_stderr(stream),
    ):
        try:
            small = FAMILIES[family]
            compute = COMPUTE.model_copy(update={"devices": count})
            family_module(family, "train").train(small.network, small.settings(**changes), compute, "test")
        except ConvzooError as error:
            print(f"error: {error}")
            sys.exit(1)


def _call(variables: dict[str, str], function: Callable[..., Any], folder: str, *arguments: Any) -> None:
    import torch
    import torch.distributed as dist
    from safetensors.torch import save_file

    os.environ |= variables
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    result = {name: value.contiguous() for name, value in function(*arguments).items()}
    save_file(result, Path(folder, f"result-{variables['RANK']}"))
    dist.barrier()
