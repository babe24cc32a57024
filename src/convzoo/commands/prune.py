"""Remove old runs, versions, snapshots and checkpoints.

Keeps whatever an alias, the ledger of promotions, a commit or models/ needs. DVC's cache is collected only if it is
named, with dvc gc. MLflow keeps deleted runs and models until mlflow gc.
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
        typer.Argument(metavar="KIND", help=f"What to remove: {', '.join(KINDS)}. Default: all but {CACHE}."),
    ] = None,
    older_than: Annotated[int, typer.Option(metavar="DAYS", min=0, help="Keep what is younger than this.")] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would go, and remove nothing.")] = False,
) -> None:
    """Print a line for everything that goes."""
    for kind in kinds or ():
        if kind not in KINDS:
            raise ConvzooError(f"'{kind}': {did_you_mean(kind, KINDS)}expected one of: {', '.join(KINDS)}")
    chosen = kinds or BY_AGE
    items = find_items(chosen, older_than)
    verb = "would remove" if dry_run else "removing"
    for item in items:
        print(f"{verb} {item.kind[:-1]} {item.name}: {item.days} days old", flush=True)
        if not dry_run:
            item.remove()
    if {*chosen} & {*BY_AGE}:
        print(f"{len(items)} {'would be removed (dry run)' if dry_run else 'removed'}")
    if not dry_run and any(item.kind in (RUNS, VERSIONS) for item in items):
        print(
            "MLflow keeps deleted runs and models, which can be restored; to free their space, run: python -m mlflow "
            f"gc --backend-store-uri {_store()} --older-than {older_than}d"
        )
    if CACHE in chosen:
        collect_cache(dry_run)


def _store() -> str:
    """The address of MLflow's store, as a user would write it."""
    return without_account(os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlruns/mlflow.db")
