"""Remove old runs, versions, snapshots and checkpoints.

Keeps everything that an alias, the ledger of promotions, a commit or models/ needs. Cleans DVC's cache (dvc gc) only if
you name it. MLflow keeps deleted runs and models until you run mlflow gc.
"""

import os
from typing import Annotated

import typer

from convzoo.errors import ConvzooError, did_you_mean, without_account
from convzoo.pruning.prune import BY_AGE, CACHE, KINDS, RUNS, VERSIONS, collect_cache, find_items

EXAMPLES = (
    "convzoo prune --dry-run",
    "convzoo prune runs checkpoints --older-than 90",
    "convzoo prune cache --dry-run",
)


def command(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(metavar="KIND", help=f"What to remove: {', '.join(KINDS)}. Default: all except {CACHE}."),
    ] = None,
    older_than: Annotated[int, typer.Option(metavar="DAYS", min=0, help="Keep what is younger than this.")] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
) -> None:
    """Print a line per removed item."""
    for kind in kinds or ():
        if kind not in KINDS:
            raise ConvzooError(f"'{kind}': {did_you_mean(kind, KINDS)}expected one of: {', '.join(KINDS)}")
    chosen = kinds or BY_AGE
    items = find_items(chosen, older_than)
    verb = "would remove" if dry_run else "removing"
    for item in items:
        age = f"{item.days} day{'' if item.days == 1 else 's'} old"
        print(f"{verb} {item.kind[:-1]} {item.name}: {age}", flush=True)
        if not dry_run:
            item.remove()
    if {*chosen} & {*BY_AGE}:
        print(f"{len(items)} {'would be removed (dry run)' if dry_run else 'removed'}")
    if not dry_run and any(item.kind in (RUNS, VERSIONS) for item in items):
        print(
            "MLflow keeps deleted runs and models, so that they can be restored; to remove all of them for good and "
            f"free their space, run{_collection()}"
        )
    if CACHE in chosen:
        collect_cache(dry_run)


def _collection() -> str:
    """Where to run `mlflow gc`, and its command line."""
    store = without_account(os.environ.get("MLFLOW_TRACKING_URI", "").strip() or "sqlite:///mlruns/mlflow.db")
    if store.startswith(("http:", "https:")):  # mlflow gc needs the database itself
        return " where the server runs: python -m mlflow gc --backend-store-uri DATABASE"
    return f": python -m mlflow gc --backend-store-uri {store}"
