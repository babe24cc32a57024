"""What a run ends with: a table of all networks, what is new, and what to do next."""

import configparser
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from convzoo.cards.family import Rating, family_card
from convzoo.cards.outcome import Outcome, outcome_of
from convzoo.cards.verdict import verdict_of
from convzoo.errors import ConvzooError
from convzoo.lineage.commits import git
from convzoo.report.tables import words
from convzoo.repro.plan import Plan
from convzoo.repro.progress import Progress, duration
from convzoo.shipping.network_files import read_network
from convzoo.text import in_columns

NONE = "-"
HEAD = ["network", "data", "main metric", "target", "rating", "time"]
REPORT = Path("reports/index.html")
REPORT_STAGE = "report"
RESULTS = ("dvc.lock", "params.yaml", "models", "promotions.jsonl")  # what git keeps of a run
COMMANDS = 3
NEWS = re.compile(r"version \d+ registered| moved here ")  # in what the stage `register` prints


def summary(
    progress: Progress, params: Mapping[str, Any], lock_lines: list[str], model_lines: list[str]
) -> Iterator[str]:
    """The lines. `params` are the values of params.yaml, `lock_lines` say what changed in dvc.lock, and `model_lines`
    which models are those of the last commit.
    """
    counts = {status: list(progress.status.values()).count(status) for status in ("ran", "cached", "unchanged")}
    yield (
        f"{sum(counts.values())} stages in {duration(progress.clock() - progress.begun)}: {counts['ran']} ran, "
        f"{counts['cached']} restored from DVC's cache, {counts['unchanged']} unchanged"
    )
    results, broken = _results(params)
    if results:
        yield from ("", in_columns([HEAD, *(_row(outcome, rating, progress) for outcome, rating in results)]))
    if model_lines:
        yield from ("", *model_lines)
    outcomes = [outcome for outcome, _ in results]
    failures = [f"{outcome.network}: {'; '.join(outcome.failures)}" for outcome in outcomes if outcome.failures]
    news = _registrations(progress)
    sections = {
        "Failed trainings, by their measurements:": failures,
        "Without a result:": broken,
        "New in MLflow:": list(news.values()),
        "Changed in dvc.lock:": lock_lines,
        "Next:": list(_commands(outcomes, set(news), progress.plan, params.get("promotion", {}))),
    }
    for title, lines in sections.items():
        if lines:
            yield from ("", title, *(f"  {line}" for line in lines))


def _results(params: Mapping[str, Any]) -> tuple[list[tuple[Outcome, Rating]], list[str]]:
    """The networks that were evaluated with the rating that the report shows, and a line for each of the others."""
    results, broken = [], []
    for network in params["networks"]:
        try:
            files = read_network(network)
            results.append((outcome_of(files, params), verdict_of(files, params).rating))
        except (ConvzooError, OSError) as error:
            broken.append(str(error))
    return results, broken


def _row(outcome: Outcome, rating: Rating, progress: Progress) -> list[str]:
    return [
        outcome.network,
        f"{outcome.dataset} (drawn)" if outcome.is_synthetic else outcome.dataset,
        f"{words(outcome.metric.removeprefix('test_'))} {outcome.value_text}",
        outcome.required or NONE,
        rating.upper() if rating is Rating.FAILED else rating,
        _time(outcome.network, progress),
    ]


def _time(network: str, progress: Progress) -> str:
    """How long the network's stages took; if none ran, why."""
    names = [name for name in progress.status if name.partition("@")[2] == network]
    seconds = [progress.seconds[name] for name in names if name in progress.seconds]
    if seconds:
        return duration(sum(seconds))
    statuses = {progress.status[name] for name in names}
    return "from cache" if "cached" in statuses else "unchanged" if statuses else NONE


def _registrations(progress: Progress) -> dict[str, str]:
    """By network, what the stage `register` printed about a new version or an alias that moved."""
    return {
        stage.removeprefix("register@"): line
        for stage, lines in progress.messages.items()
        for line in lines
        if stage.startswith("register@") and NEWS.search(line)
    }


def _commands(outcomes: list[Outcome], new: set[str], plan: Plan, promotions: Collection[str]) -> Iterator[str]:
    """The commands that help most now, with what they do.

    `new` are the networks with a new version, `promotions` those with a block under `promotion`.
    """
    convzoo, good = _convzoo(), [outcome.network for outcome in outcomes if outcome.is_good]
    found: list[tuple[str, str]] = []
    changed = [file for file in RESULTS if git("status", "--porcelain", "--", file)]
    if "dvc.lock" in changed:
        found.append(
            (f"git add {' '.join(changed)} && git commit -m 'Results'", "keep digests and metrics of these results")
        )
    if _has_remote():
        found.append(("dvc push", "copy the results to the remote storage"))
    if new and plan.count and REPORT_STAGE not in plan.names:
        found.append((f"{convzoo} repro", "also add it to the report"))
    else:
        found.append((f"{convzoo} ui", f"runs, curves and models in the browser; {REPORT} has all results on one page"))
    for network in [network for network in good if network in new and network in promotions][:1]:
        found.append((f"{convzoo} promote {network}", "make its candidate the champion if it passes the gate"))
    for network in good[:1]:
        usage = family_card(read_network(network).family).usage.format(network)
        found.append((f"{convzoo} {usage}", "use it"))
    found.append((f"{convzoo} models", "the registered versions"))
    shown = found[:COMMANDS]
    width = max(len(command) for command, _ in shown)
    yield from (f"{command.ljust(width)}   # {purpose}" for command, purpose in shown)


def _convzoo() -> str:
    """The command as the user can type it: by name in an active environment, otherwise by its path."""
    script = Path(sys.executable).with_name("convzoo")
    if os.environ.get("VIRTUAL_ENV") == sys.prefix or not script.is_file():
        return "convzoo"
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)


def _has_remote() -> bool:
    """Whether DVC's settings of this project name a remote storage."""
    config = configparser.ConfigParser()
    try:
        config.read([".dvc/config", ".dvc/config.local"], encoding="utf-8")
    except configparser.Error:  # DVC prints it
        return False
    return any("remote " in section for section in config.sections())
