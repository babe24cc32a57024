"""Show how far the version in the shadow differs from the champion.

Asks a server that runs with --shadow. If the server has a token, set CONVZOO_TOKEN.
"""

import json
import os
import urllib.error
import urllib.request
from typing import Annotated, Any

import typer

from convzoo.commands.shared import Json, complete_network, print_result
from convzoo.errors import ConvzooError
from convzoo.text import in_columns, percent

EXAMPLES = ("convzoo shadow mnist-classifier", "convzoo shadow mnist-classifier --server http://127.0.0.1:8080 --json")
SECONDS = 10  # to wait for the server


def command(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="A network.", autocompletion=complete_network)],
    server: Annotated[str, typer.Option(metavar="URL", help="The address of the server.")] = "http://127.0.0.1:8000",
    as_json: Json = False,
) -> None:
    """Print the comparison since both versions have been loaded."""
    print_result(ask(server, network), as_text, as_json)


def ask(server: str, network: str) -> dict[str, Any]:
    """What a server says about the shadow of a network. Raises ConvzooError if it does not answer, or refuses to."""
    from convzoo.serving.security import TOKEN  # imports starlette: the help should not wait

    token = os.environ.get(TOKEN, "").strip()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = f"{server.rstrip('/')}/v1/{urllib.request.quote(network, safe='')}/shadow"
    try:
        if not server.startswith(("http://", "https://")):
            raise ValueError("is not an http address")
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise ConvzooError(_refusal(error) or f"{server}: answered {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ConvzooError(
            f"{server}: does not answer as `convzoo serve` does ({reason}), expected a server with the network "
            f"{network}; start it: convzoo serve --shadow candidate, or name its address: --server URL"
        ) from None


def as_text(found: dict[str, Any]) -> str:
    """The comparison for a terminal."""
    serving, shadow = (_named(found[side]) for side in ("serving", "shadow"))
    title = f"{found['serving']['network']}: {shadow} in the shadow of {serving}"
    if not found["images"]:
        return f"{title}: nothing compared yet (dropped {found['dropped']}, failed {found['failed']})"
    what = "another class" if found["unit"] == "probability" else "other pixels"
    rows = [
        ["compared", f"{found['images']} images in {found['requests']} requests"],
        [what, f"{found['differing']} images, {percent(found['share_differing'])}"],
        ["mean difference", f"{found['mean_difference']:.4g} {found['unit']}"],
        ["largest difference", f"{found['largest_difference']:.4g} {found['unit']}"],
        ["time per image", f"{found['milliseconds_per_image']:.2f} ms"],
        ["not compared", f"{found['dropped']} requests, since too many waited; {found['failed']} failed"],
    ]
    return f"{title}\n{in_columns(rows)}"


def _named(side: dict[str, Any]) -> str:
    version = side["version"]
    return f"file {side['sha256'][:12]}" if version is None else f"version {version}"


def _refusal(error: urllib.error.HTTPError) -> str | None:
    """The message in the answer of a server that refuses; None if it is not one of ours."""
    try:
        return str(json.load(error)["error"])
    except (ValueError, LookupError, TypeError):
        return None
