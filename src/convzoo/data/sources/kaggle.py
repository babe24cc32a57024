"""Picture files of a data set on Kaggle, through the optional package kagglehub."""

from pathlib import Path

import requests

from convzoo.data.sources.packing import pack
from convzoo.errors import ConvzooError
from convzoo.settings.sources import KaggleSource


class KaggleError(ConvzooError):
    """A data set cannot be had from Kaggle as params.yaml describes it."""


def bring(source: KaggleSource, folder: Path) -> None:
    """Pack the pictures of one version of a data set into `folder`; kagglehub keeps what it brought in its own cache.

    Raises KaggleError where kagglehub is not installed or cannot bring it, and PackingError for what it brought.
    """
    name = f"{source.handle} version {source.version}"
    try:
        import kagglehub
    except ImportError:
        raise KaggleError(
            f"{name}: a source of the kind kaggle needs the package kagglehub; pip install -e .[kaggle]"
        ) from None
    try:
        place = kagglehub.dataset_download(f"{source.handle}/versions/{source.version}")
    except Exception as error:  # of its own, of requests, of archives and files: it promises no kind
        raise KaggleError(f"{name}: {_reason(error)}; its page is {source.homepage}") from error
    pack(Path(place), source.layout, source.limits, folder)


def _reason(error: Exception) -> str:
    """What went wrong and what to do, in one line."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 404:
        return "Kaggle has no such data set or version (404); look at handle and version in params.yaml"
    if status in {401, 403}:  # Kaggle's answer for what is not there, too
        return (
            f"Kaggle refuses it ({status}); look at handle and version in params.yaml, sign in as kagglehub's manual "
            "says, or accept the set's terms"
        )
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return f"Kaggle cannot be reached ({type(error).__name__}); look at the network, then run again"
    told = " ".join(str(error).split()) or type(error).__name__
    return f"kagglehub cannot bring it ({told}); run again, or use another source"
