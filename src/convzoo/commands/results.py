"""Print the recorded results of a profile as a Markdown table.

`convzoo repeat NETWORK --record` records them in docs/results/PROFILE/NETWORK.json. A row has the mean over the seeds
with its 95 % confidence interval (Student's t), the mean 95 % interval over the test images, and the training's cost.
Training time and number of seeds are given per machine.
"""

import statistics
from pathlib import Path
from typing import Annotated, Any

import typer

from convzoo.cards.family import family_card
from convzoo.cards.markdown import number
from convzoo.errors import ConvzooError
from convzoo.files import new_file, read_json
from convzoo.settings.load import read_params

EXAMPLES = ("convzoo results", "convzoo results compact --into README.md")
FOLDER = Path("docs/results")
COLUMNS = ("network", "test", "over seeds", "over images", "petaflops", "training", "seeds", "machine")
NO_INTERVAL = "-"


def results(profile: str) -> str:
    """The table of a profile, with a row per recorded network in the order of params.yaml.

    Raises ConvzooError if nothing is recorded, or a file is not a record.
    """
    files = {file.stem: file for file in sorted((FOLDER / profile).glob("*.json"))}
    if not files:
        known = ", ".join(sorted(folder.name for folder in FOLDER.glob("*") if folder.is_dir())) or "none yet"
        raise ConvzooError(
            f"{FOLDER / profile}: has no results; expected a profile with some ({known}), or record them: "
            "convzoo repeat NETWORK --record"
        )
    order = list(read_params().values["networks"])
    names = sorted(files, key=lambda name: (order.index(name) if name in order else len(order), name))
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(_row(files[name]) for name in names)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_into(file: Path, profile: str, table: str) -> None:
    """Put the table of a profile into a Markdown file, between <!-- results PROFILE --> and <!-- end results -->.

    Raises ConvzooError if the file has no such lines or cannot be read or written.
    """
    try:
        text = file.read_text(encoding="utf-8")
        text = with_section(text, table, f"<!-- results {profile} -->", "<!-- end results -->", str(file))
        with new_file(file) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConvzooError(
            f"--into: {file}: {reason}; expected a Markdown file that can be read and written"
        ) from error


def with_section(text: str, section: str, start: str, end: str, place: str) -> str:
    """`text` with `section` in place of what is between the lines `start` and `end`.

    Raises ConvzooError, which names the text's `place`, if one of the lines is missing.
    """
    before, found, rest = text.partition(start)
    _, also_found, after = rest.partition(end)
    if not found or not also_found:
        raise ConvzooError(f"{place}: expected the lines {start} and {end}; restore it (git checkout) or add them")
    return f"{before}{start}\n\n{section}\n\n{end}{after}"


def _row(file: Path) -> tuple[str, ...]:
    try:
        record = read_json(file)
        metric = family_card(record["family"]).main_metrics[0]
        rows: list[dict[str, Any]] = record["rows"]
        values = [row[metric] for row in rows]
        bounds = [[row[f"{metric}_{end}"] for row in rows if f"{metric}_{end}" in row] for end in ("low", "high")]
        name = metric.removeprefix("test_").upper() if metric.endswith(("kid", "psnr")) else "accuracy"
        drawn = " (drawn images)" if record["is_synthetic"] else ""
        return (
            f"`{record['network']}`{drawn}",
            f"{name} {number(metric, statistics.mean(values))}",
            _interval(metric, *_over_seeds(values)) if len(values) > 1 else NO_INTERVAL,
            _interval(metric, *map(statistics.mean, bounds)) if all(bounds) else NO_INTERVAL,
            f"{statistics.mean(row['train_petaflops'] for row in rows):.3g}",
            *_by_machine(rows, record["compute"]["threads"]),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ConvzooError(
            f"{file}: is not a record of results ({error!r}); expected what convzoo repeat NETWORK --record writes, "
            "so record it again"
        ) from None


def _by_machine(rows: list[dict[str, Any]], threads: int | str) -> tuple[str, str, str]:
    """The cells with the median training time, the number of seeds and the machine: one of each per machine.

    The machine's name includes the precision of the training and any limit of threads, since both explain the time.
    """
    limit = "" if threads == "auto" else f", of which a training used {threads}"
    groups: dict[str, list[float]] = {}
    for row in rows:
        measured = row["measured"]
        precision = f", {measured['precision']}" if measured["precision"] else ""
        groups.setdefault(f"{measured['machine']}{limit}{precision}", []).append(row["train_seconds"])
    times = "; ".join(f"{statistics.median(times):.0f} s" for times in groups.values())
    return times, " + ".join(str(len(times)) for times in groups.values()), "; ".join(groups)


def _over_seeds(values: list[float]) -> tuple[float, float]:
    """The 95 % confidence interval of the mean of normally distributed `values`, by Student's t."""
    from scipy.special import stdtrit

    reach = float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / len(values) ** 0.5
    return statistics.mean(values) - reach, statistics.mean(values) + reach


def _interval(metric: str, low: float, high: float) -> str:
    """Both ends with one unit, as in 93.81 to 94.20 %."""
    text = number(metric, high)
    unit = text[text.index(" ") :] if " " in text else ""
    return f"{number(metric, low).removesuffix(unit)} to {text}"


def command(
    profile: Annotated[
        str | None, typer.Argument(metavar="PROFILE", help="The profile. Default: that of params.yaml.")
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also put the table into a Markdown file, between its comments 'results PROFILE' and 'end results', "
            "as in README.md.",
        ),
    ] = None,
) -> None:
    """Print the table."""
    profile = profile or read_params().values["profile"]
    table = results(profile)
    if into:
        write_into(into, profile, table)
    print(table)
