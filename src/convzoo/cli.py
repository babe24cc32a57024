"""The command `convzoo`. Heavy libraries are imported by the command that needs them."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from convzoo.commands.profiles import profile_names, use_profile
from convzoo.errors import ConvzooError, show
from convzoo.files import project_root
from convzoo.settings.load import read_params
from convzoo.settings.whole import check_all, network_names

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__.split(". ")[0]
)

DRY_RUN_PASSES = 3  # an exit code that is neither success nor a mistake

Network = Annotated[str, typer.Argument(metavar="NETWORK[@ALIAS]", help="A network, or a version of it by its alias.")]


@contextmanager
def _mendable() -> Iterator[None]:
    """Print an error that the user can mend as a line, and end with exit code 1."""
    try:
        yield
    except ConvzooError as error:
        show(error)
        raise typer.Exit(1) from None


@app.command()
def check() -> None:
    """Check the whole of params.yaml."""
    with _mendable():
        check_all(read_params())
        print("params.yaml is well")


@app.command()
def profile(
    name: Annotated[str | None, typer.Argument(help="Its name; without one the profiles are listed.")] = None,
) -> None:
    """Write a profile's values into params.yaml."""
    with _mendable():
        if name is None:
            current = read_params().values.get("profile")
            for known in profile_names():
                print(f"{'*' if known == current else ' '} {known}")
            return
        changed = use_profile(name)
        print(f"params.yaml is the profile {name}" + (f"; changed: {', '.join(changed)}" if changed else " already"))


@app.command()
def predict(
    network: Network,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Image files or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of {file, class, probability}.")] = False,
) -> None:
    """Say what is on images, of any size and mode. Exit code 1 if one of them could not be read."""
    from convzoo.commands.predict import predict as answer
    from convzoo.tracking.versions import find_model

    with _mendable():
        found = find_model(network)
        print(f"{found.title}", file=sys.stderr)
        answers = answer(found.file, paths)
        if as_json:
            print(json.dumps(answers, indent=2))
        else:
            width = max(len(row["file"]) for row in answers)
            for row in answers:
                said = row.get("error") or f"{row['class']}  {row['probability']:.1%}"
                print(f"{row['file']:<{width}}  {said}")
        if any("error" in row for row in answers):
            raise typer.Exit(1)


@app.command()
def reconstruct(
    network: Network,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Image files or folders of them.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write to; made if need be.")],
) -> None:
    """Put images through an autoencoder: what comes back, as PNG, and a contact sheet. Exit code 1 as for predict."""
    from convzoo.commands.reconstruct import SHEET
    from convzoo.commands.reconstruct import reconstruct as run
    from convzoo.tracking.versions import find_model

    with _mendable():
        found = find_model(network)
        print(f"{found.title}", file=sys.stderr)
        answers = run(found.file, paths, out)
        width = max(len(row["file"]) for row in answers)
        for row in answers:
            print(f"{row['file']:<{width}}  {row.get('error') or '{psnr:.2f} dB  {written}'.format(**row)}")
        if any("written" in row for row in answers):
            print(f"all of them side by side: {out / SHEET}.png")
        if any("error" in row for row in answers):
            raise typer.Exit(1)


@app.command()
def sample(
    network: Network,
    count: Annotated[int, typer.Option(help="How many pictures.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A folder that is new or empty.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same pictures.")] = 0,
) -> None:
    """Make new pictures with a generator: PNG files and a grid of them."""
    from convzoo.commands.sample import sample as make
    from convzoo.tracking.versions import find_model

    with _mendable():
        found = find_model(network)
        print(f"{found.title}", file=sys.stderr)
        files = make(found.file, count, seed, out)
        print(f"{count} pictures and {files[-1].name} in {out}")


@app.command()
def sync(
    networks: Annotated[list[str] | None, typer.Argument(help="Without names: all that are trained.")] = None,
) -> None:
    """Bring what stands in models/ into MLflow: runs, metrics, pictures and versions. Twice changes nothing.

    Then names what only one of the two sides has.
    """
    from convzoo.tracking.sync import orphans
    from convzoo.tracking.sync import sync as bring

    with _mendable():
        known = network_names(read_params())
        for name in networks or []:
            if name not in known:
                raise ConvzooError(f"network '{name}': params.yaml has none; expected one of: {', '.join(known)}")
        for line in bring(networks or known):
            print(line)
        for line in orphans(known):
            print(f"orphan: {line}")


@app.command()
def trace(
    network: Network,
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
) -> None:
    """Show where a registered version comes from: run, weights, stages, data, params, packages, machine, commit."""
    from convzoo.commands.trace import as_text
    from convzoo.commands.trace import trace as look

    with _mendable():
        told = look(network)
        print(json.dumps(told, indent=2) if as_json else as_text(told))


@app.command()
def models(
    network: Annotated[str | None, typer.Argument(help="Without one: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
) -> None:
    """List the registered versions: aliases, the measure that counts, and when."""
    from convzoo.tracking.listing import as_text, listing

    with _mendable():
        rows = listing(network)
        print(json.dumps(rows, indent=2) if as_json else as_text(rows))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="NETWORK[@ALIAS], NETWORK@v3 for a version, or a run's id.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Likewise.")],
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
) -> None:
    """Show two versions or runs side by side: params that differ, metrics with intervals, data, lineage."""
    from convzoo.commands.compare import as_text
    from convzoo.commands.compare import compare as look

    with _mendable():
        told = look(a, b)
        print(json.dumps(told, indent=2) if as_json else as_text(told))


@app.command()
def reproduce(network: Network) -> None:
    """Make a registered version again from its commit, in a clone of its own. Exit code 1 where the bytes differ."""
    from convzoo.commands.reproduce import reproduce as again

    with _mendable():
        verdict = again(network)
        print(f"\n{network}:")
        for line in verdict.lines:
            print(line)
        print("verdict: " + ("identical bytes" if verdict.identical else "DIFFERENT"))
        if not verdict.identical:
            raise typer.Exit(1)


@app.command()
def promote(
    network: Annotated[str, typer.Argument(help="A network of params.yaml.")],
    version: Annotated[int | None, typer.Option(min=1, help="Else the one with the alias candidate.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look at val only, and change nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overrule the gate; needs --reason.")] = False,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="For the ledger.")] = None,
) -> None:
    """Make a version the champion if it passes the gate of params.yaml.

    Exit code 0 only where it is the champion afterwards; a dry run ends with 3 where nothing speaks against it, else 1.
    """
    from convzoo.promotion.gate import as_text
    from convzoo.promotion.promote import promote as move

    with _mendable():
        if force and not (reason or "").strip():
            raise ConvzooError("--force: expected a reason that the ledger keeps; add: --reason TEXT")
        outcome = move(network, version, dry_run=dry_run, force=force, reason=reason)
        if outcome.conditions:
            print(as_text(outcome.conditions), end="\n\n")
        print("\n".join(outcome.messages))
        if not outcome.done:
            raise typer.Exit(DRY_RUN_PASSES if dry_run and outcome.fits else 1)


@app.command()
def rollback(
    network: Annotated[str, typer.Argument(help="A network of params.yaml.")],
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="For the ledger.")] = None,
) -> None:
    """Make the version with the alias previous the champion again."""
    from convzoo.promotion.promote import rollback as back

    with _mendable():
        print(back(network, reason))


@app.command()
def repeat(
    network: Annotated[str, typer.Argument(help="A network of params.yaml.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many trainings; seed 0, 1, ...")] = 3,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep what each seed made, in DIR/seed-N.")] = None,
) -> None:
    """Train a network with several seeds, beside the pipeline, and print mean and spread of what they reach."""
    from convzoo.commands.repeat import repeat as run

    with _mendable():
        run(network, seeds, out)


@app.command()
def structure(
    name: Annotated[str, typer.Argument(metavar="NETWORK|BACKBONE", help="flowers-transfer, resnet50, vgg16, ...")],
) -> None:
    """Print the structure of a backbone: its stages, blocks and skip connections, with shapes and weights."""
    from convzoo.commands.structure import structure as table

    with _mendable():
        print(table(name))


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="127.0.0.1 is this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 to 65535.")] = 5000,
) -> None:
    """Open the MLflow UI on this clone's tracking database."""
    from convzoo.tracking.store import open_store

    with _mendable():
        uri = open_store().tracking_uri
        if uri.startswith(("http://", "https://")):
            raise ConvzooError(f"MLFLOW_TRACKING_URI is a server: its UI is at {uri}")
    artifacts = str(project_root() / "mlruns" / "artifacts")
    command = ["-m", "mlflow", "server", "--backend-store-uri", uri, "--default-artifact-root", artifacts]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *command, "--host", host, "--port", str(port)])


if __name__ == "__main__":
    app()
