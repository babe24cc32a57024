"""Tracking addresses and artifact locations: what is wrong with one, and what to do if it does not answer as expected.

Imports no MLflow.
"""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

SCHEME, FOLDER = "convzoo", "artifacts"
ROOT = f"{SCHEME}:/{FOLDER}"  # the artifacts beside the database
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
SERVERS = ("http", "https")
OTHERS = ("databricks", "databricks-uc", "uc")
EXPECTED = "expected http://HOST:PORT of a server, or a database such as sqlite:////PATH/mlflow.db"
HOST_AND_PORT = re.compile(r"(localhost|[\w-]+(\.[\w-]+)+|[\w-]+(?=:))(:\d+)?(/.*)?")
# The pip packages of the modules by which SQLAlchemy reaches a database.
DRIVERS = {"psycopg2": "psycopg2-binary", "psycopg": "psycopg[binary]", "MySQLdb": "mysqlclient"}
NOT_OF_MLFLOW = "not one of MLflow's"
LOCAL = "or unset MLFLOW_TRACKING_URI to use mlruns/mlflow.db"
# What the text of an error says, and the remedy; the first that fits is taken.
REMEDIES = [
    (
        r"error code 40[13]\b",
        "it asks for a login: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    ),
    (
        rf"{NOT_OF_MLFLOW}|not in a valid JSON format|error code (404|405|410)\b",
        "what answers there is no MLflow server: check host, port and path in MLFLOW_TRACKING_URI",
    ),
    (r"too many \d+ error responses|error code 5\d\d\b", f"it has an internal problem: look at its log, {LOCAL}"),
    (r"SSLError|SSL:", "check the certificate, or write http:// instead of https:// in MLFLOW_TRACKING_URI"),
    (
        r"failed with exception|could not connect|Can't connect|Connection refused|could not translate host name",
        f"it does not answer: start it, check host and port in MLFLOW_TRACKING_URI, {LOCAL}",
    ),
]


def sqlite_path(uri: str) -> Path | None:
    """The file of a sqlite URI, as SQLAlchemy reads it: it may be relative. None for any other URI."""
    scheme, _, name = uri.partition(":///")
    name = unquote(name.partition("?")[0])
    return Path(name) if scheme.partition("+")[0] == "sqlite" and name and name != ":memory:" else None


def artifact_path(location: str) -> str:
    """The path of an artifact location below the database's folder; it begins with FOLDER. Raises ValueError."""
    parts = urlsplit(location)
    path = decoded = unquote(parts.path).strip("/")
    while (more := unquote(decoded)) != decoded:  # MLflow decodes the path again when it deletes
        decoded = more
    names = re.split(r"[/\\]", decoded)
    is_odd = parts.netloc or parts.query or parts.fragment or {".", ".."} & {*names} or "\0" in decoded
    if parts.scheme != SCHEME or is_odd or names[0] != FOLDER:
        raise ValueError(f"{location}: is not the location of an artifact, expected {ROOT}/NAME; correct it")
    return path


def problem_with(uri: str) -> str | None:
    """What is wrong with an address, what was expected and what to do; None if it can be tried."""
    try:
        parts = urlsplit(uri)
        scheme, is_empty = parts.scheme.partition("+")[0], not parts.hostname
        _ = parts.port if scheme in SERVERS else None
    except ValueError as error:
        return f"is no address ({error}), {EXPECTED}; correct MLFLOW_TRACKING_URI"
    if scheme in SERVERS:
        return f"names no host, {EXPECTED}; correct MLFLOW_TRACKING_URI" if is_empty else None
    if scheme == "sqlite":
        is_lost = parts.path in ("", "/") or ":memory:" in uri
        return f"names no file, so nothing would be kept, {EXPECTED}; correct MLFLOW_TRACKING_URI" if is_lost else None
    if scheme in (*DATABASES, *OTHERS) or uri in OTHERS:
        return None
    if HOST_AND_PORT.fullmatch(uri):
        return f"has no scheme, {EXPECTED}; set MLFLOW_TRACKING_URI=http://{uri}"
    if "://" in uri and scheme != "file":
        return f"has the unknown scheme {scheme or uri.partition(':')[0]}, {EXPECTED}; correct MLFLOW_TRACKING_URI"
    return f"is a folder, which MLflow no longer writes to, {EXPECTED}; correct MLFLOW_TRACKING_URI"


def missing_driver(error: ImportError) -> str:
    """The message about a database whose Python package is not installed."""
    cause: BaseException | None = error
    while cause is not None and not (name := getattr(cause, "name", None)):
        cause = cause.__cause__  # Optuna raises an ImportError of its own
    if cause is None:
        return f"needs a Python package that is not installed ({error}); install it, {LOCAL}"
    package = DRIVERS.get(name, name)
    return (
        f"needs the Python package {package}, which is not installed; run: python -m pip install '{package}', {LOCAL}"
    )


def remedy_for(error: BaseException) -> str | None:
    """What to do about an error of a server or database; None if only its message is known."""
    text = str(error)
    return next((remedy for pattern, remedy in REMEDIES if re.search(pattern, text)), None)
