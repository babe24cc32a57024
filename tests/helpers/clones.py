"""Two clones whose processes promote at the same moment, and what came of it."""

import json
import subprocess
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple

from convzoo.promotion.ledger import read_ledger
from helpers.promotions import aliases, version
from helpers.shared_server import start

# Waits before the lock until both are there: otherwise the faster measurement would always win.
PROMOTE = """
import contextlib, json, sys
from convzoo.errors import ConvzooError
from convzoo.promotion import promote
locked, contender, contenders = promote.locked, promote._contender, {}

def contender_once(version):  # its files do not change from one try to the next
    number = version.version.version
    if number not in contenders:
        contenders[number] = contender(version)
    return contenders[number]

promote._contender = contender_once

@contextlib.contextmanager
def locked_together(network, purpose):
    print("ready", flush=True)
    sys.stdin.readline()
    with locked(network, purpose) as lock:
        yield lock

promote.locked = locked_together
print("started", flush=True)
for line in sys.stdin:
    network, number = json.loads(line)
    try:
        outcome = promote.promote(network, number)
        answer = [outcome.done, outcome.messages[-1]]
    except ConvzooError as error:
        answer = [False, str(error)]
    print("done " + json.dumps(answer), flush=True)
"""


class Race(NamedTuple):
    """How two promotions at once ended."""

    winners: list[int]  # the versions that were said to be the champion
    messages: list[str]  # of the others
    champion: int


class Racers:
    """A process in each of two clones."""

    def __init__(self, clones: list[Path], **environment: str) -> None:
        self.processes = [start(clone, PROMOTE, **environment) for clone in clones]
        for process in self.processes:
            _read(process, "started")

    def race(self, network: str, numbers: tuple[int, int]) -> Race:
        """Promote one version from each clone, at once."""
        for process, number in zip(self.processes, numbers, strict=True):
            _write(process, json.dumps([network, number]))
        for process in self.processes:
            _read(process, "ready")
        for process in self.processes:
            _write(process, "go")
        answers = [json.loads(_read(process, "done").removeprefix("done ")) for process in self.processes]
        winners = [number for number, (done, _) in zip(numbers, answers, strict=True) if done]
        return Race(winners, [message for done, message in answers if not done], aliases(network)["champion"])

    def close(self) -> None:
        for process in self.processes:
            process.communicate(timeout=60)


def false_promotions(clones: list[Path], network: str, tries: int, **environment: str) -> list[Race]:
    """Promote at once from two clones, again and again; the races that did not end with one winner and one message.

    The gate must be one that every version passes.
    """
    with chdir(clones[0]):
        for seed in range(3):
            version(network, "good", seed=seed)
    racers, wrong, champion = Racers(clones, **environment), [], None
    for _ in range(tries):
        first, second, *_ = (number for number in (1, 2, 3) if number != champion)
        race = racers.race(network, (first, second))
        is_right = [race.champion] == race.winners and len(race.messages) == 1
        if not is_right or f"the champion became version {race.champion} meanwhile" not in race.messages[0]:
            wrong.append(race)
        champion = race.champion
    racers.close()
    return wrong


def ledger_of(clone: Path) -> list[dict]:
    with chdir(clone):
        return read_ledger()


def _write(process: subprocess.Popen, line: str) -> None:
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _read(process: subprocess.Popen, beginning: str) -> str:
    """The next line with this beginning, and nothing that looks like an error before it."""
    skipped = []
    for line in process.stdout:
        if line.startswith(beginning):
            return line.rstrip("\n")
        skipped.append(line)
    raise AssertionError("".join(skipped))
