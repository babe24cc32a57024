"""Picture files of a data set on Kaggle, through the optional package kagglehub."""

from pathlib import Path

import requests

from convzoo.data.sources.packing import pack
from convzoo.errors import ConvzooError
from convzoo.settings.sources import KaggleSource


class KaggleError(ConvzooError):
    """A data set that cannot be downloaded from Kaggle as params.yaml describes it."""


def fetch(source: KaggleSource, folder: Path) -> None:
    """Pack the pictures of one version of a data set into `folder`; kagglehub caches the download.

    Raises KaggleError if kagglehub is not installed or the download fails, and PackingError if its files cannot be
    packed.
    """
    name = f"{source.handle} version {source.version}"
    try:
        import kagglehub
    except ImportError:
        raise KaggleError(
            f"{name}: a source of the kind kaggle needs the package kagglehub; pip install -e .[kaggle]"
        ) from None
    try:
        origin = kagglehub.dataset_download(f"{source.handle}/versions/{source.version}")
    except Exception as error:  # kagglehub, requests, archives and files all raise different exceptions
        raise KaggleError(f"{name}: {_reason(error)}; its page is {source.homepage}") from error
    pack(Path(origin), source.layout, source.limits, folder)


def _reason(error: Exception) -> str:
    """What went wrong and what to do, in one line."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 404:
        return "Kaggle has no such data set or version (404); look at handle and version in params.yaml"
    if status in {401, 403}:  # Kaggle's answer also if the data set does not exist
        return (
            f"Kaggle refuses the download ({status}); look at handle and version in params.yaml, sign in as described "
            "in kagglehub's manual, or accept the set's terms"
        )
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return f"Kaggle cannot be reached ({type(error).__name__}); check the network connection, then run again"
    problem = " ".join(str(error).split()) or type(error).__name__
    return f"kagglehub cannot download it ({problem}); run again, or use another source"
