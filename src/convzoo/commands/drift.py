"""Check whether requests to a server still resemble the val images.

Compares the log of `convzoo serve --log` with the val images: image statistics, the network's features, predicted
classes and confidence. Writes a page and an MLflow run. The exit code is 3 if something has drifted.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from convzoo.commands.shared import Json, Version, print_result
from convzoo.errors import ConvzooError
from convzoo.text import in_columns

EXAMPLES = ("convzoo drift mnist-classifier", "convzoo drift mnist-classifier@v2 --since 12h --log logs --json")
DRIFTED = 3  # exit code
PAGES = Path("reports/drift")


def command(
    network: Version,
    since: Annotated[str, typer.Option(metavar="TIME", help="How far to look back, as in 7d, 12h or 30m.")] = "7d",
    log: Annotated[Path, typer.Option(metavar="DIR", help="The folder that convzoo serve --log writes to.")] = Path(
        "logs"
    ),
    level: Annotated[
        float,
        typer.Option(min=0, max=1, metavar="X", help="The probability of a false alarm in all tests together."),
    ] = 0.05,
    distance: Annotated[
        float, typer.Option(min=0, max=1, metavar="X", help="Ignore differences below this distance.")
    ] = 0.0,
    as_json: Json = False,
) -> None:
    """Print what differs, and end with exit code 3 if something has drifted."""
    from convzoo.watching.found import examine, find_watched, period  # imports SciPy: the help should not wait
    from convzoo.watching.page import write_page

    period(since)
    watched = find_watched(network)
    print(f"{watched.network}: {watched.title}", file=sys.stderr)
    found, logged = examine(watched, log, since, level, distance)
    page = PAGES / f"{watched.network}.html"
    write_page(page, found, watched.reference, logged)
    found["page"], found["run"] = str(page), _track(found, page)
    print_result(found, as_text, as_json)
    if found["drifted"]:
        raise typer.Exit(DRIFTED)


def as_text(found: dict[str, Any]) -> str:
    """What was found, for a terminal."""
    header = ["measurement", "distance", "p-value", "reference", "log", "drifted"]
    rows = [
        [
            row["name"],
            f"{row['distance']:.3f}",
            f"{row['adjusted']:.2g}",
            *("-" if row[side] is None else f"{row[side]:.4g}" for side in ("reference", "logged")),
            "YES" if row["drifted"] else "no",
        ]
        for row in found["comparisons"]
    ]
    drifted = ", ".join(found["drifted"]) or "nothing"
    lines = [
        f"{found['images']} images from {found['first']} to {found['last']}, against {found['reference_images']} of "
        f"{found['split']}",
        *([f"left out: {sum(found['others'].values())} images of other versions"] if found["others"] else []),
        *([f"not compared, since the log has no values: {', '.join(found['missing'])}"] if found["missing"] else []),
        in_columns([header, *rows]),
        f"drifted: {drifted} (level {found['level']:g}; p-values are corrected for {len(rows)} tests)",
        f"page: {found['page']}" + (f"; MLflow: drift/{found['network']}, {found['run']}" if found["run"] else ""),
    ]
    return "\n".join(lines)


def _track(found: dict[str, Any], page: Path) -> str | None:
    """Log a run and return its name; print a note and return None if MLflow is off, missing or fails."""
    from convzoo.tracking.live import tracking_is_off

    if tracking_is_off():
        print("note: not logged to MLflow, because CONVZOO_TRACKING is off", file=sys.stderr)
        return None
    try:
        from convzoo.tracking.drift import log_drift

        return log_drift(found, page)
    except (ImportError, ConvzooError) as error:
        print(f"warning: not logged to MLflow: {error}", file=sys.stderr)
        return None
