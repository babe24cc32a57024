"""Downloads published files from a mirror or their address; resumes interrupted downloads, and checks every file."""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from filelock import FileLock, Timeout
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3 import BaseHTTPResponse, Retry
from urllib3.exceptions import HTTPError

from convzoo.errors import ConvzooError
from convzoo.files import project_root, room_for
from convzoo.settings.sources import ArchiveFile

MIRROR = "CONVZOO_MIRROR"
DOWNLOADS = Path("data/downloads")  # under the project's root: incomplete downloads
CHUNK = 1 << 18  # bytes
TIMEOUTS = (10, 60)  # seconds to connect, seconds without a byte
ATTEMPTS = (
    5  # requests for a file at one address, whichever fails: the connection, the response or the rest of the file
)
BACK_OFF = 1  # seconds; urllib3 retries immediately, then after 2, 4 and 8 times this
LONGEST = 30  # seconds that a server may ask to wait
BUSY = {408, 425, 429, *range(500, 600)}  # statuses that may be temporary

# urllib3 would log each retry with the whole address, which may contain a token; _Retry prints it without.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


class DownloadError(ConvzooError):
    """A file that cannot be downloaded as params.yaml describes it."""


class InterruptedDownloadError(DownloadError):
    """An incomplete download; another attempt may complete it."""


class _Retry(Retry):
    """urllib3's retries, each announced in a printed line that begins with `place`."""

    def __init__(self, *args: Any, place: str, **settings: Any):
        super().__init__(*args, **settings | {"retry_after_max": LONGEST})
        self.place = place

    def new(self, **changes: Any) -> "_Retry":
        return super().new(place=self.place, **changes)

    def increment(
        self, *request: Any, response: BaseHTTPResponse | None = None, error: Exception | None = None, **more: Any
    ) -> "_Retry":
        retry = super().increment(*request, response=response, error=error, **more)
        seconds = retry.get_backoff_time()
        if response is not None:
            problem = f"{self.place} answers {response.status} {response.reason}"
            seconds = retry.get_retry_after(response) or seconds
            response.close()  # urllib3 would read the rest of the response, which may never end
        elif isinstance(error, InterruptedDownloadError):
            problem = str(error)
        else:
            problem = f"{self.place} cannot be reached ({_reason(error)})"
        print(f"{problem}; again in {seconds:.0f} s", flush=True)
        return retry


def fetch(files: Mapping[str, ArchiveFile], folder: Path) -> None:
    """Write every file, checked, to `folder`; an incomplete download is kept for the next run.

    Raises DownloadError for a file that no place has as params.yaml describes it.
    """
    mirror = os.environ.get(MIRROR, "").strip()
    parts = []
    for name, file in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        problems = []
        for place in _places(file, mirror):
            try:
                if isinstance(place, Path):
                    _copy(name, file, place, target)
                else:
                    parts.append(_download(name, file, place))
                    with room_for(target):
                        shutil.copyfile(parts[-1], target)
                break
            except DownloadError as error:
                problems.append(error)
                if file.url and place != file.url:
                    print(f"{error}; going on to {_shown(file.url)}", flush=True)
        else:
            raise DownloadError(_failure(name, file, mirror, problems))
    for part in parts:
        part.unlink(missing_ok=True)


def _places(file: ArchiveFile, mirror: str) -> Iterator[Path | str]:
    if mirror.startswith(("http://", "https://")):
        yield f"{mirror.rstrip('/')}/{file.mirror}"
    elif "://" in mirror:
        raise DownloadError(f"{MIRROR}: got {_shown(mirror)}, expected a folder or an http(s) address; set it to one")
    elif mirror:
        try:
            yield project_root() / Path(mirror).expanduser() / file.mirror
        except RuntimeError as error:  # ~name of a user that does not exist
            raise DownloadError(f"{MIRROR}: {mirror}: {error}, expected a folder; write its whole path") from None
    if file.url:
        yield file.url


def _failure(name: str, file: ArchiveFile, mirror: str, problems: list[DownloadError]) -> str:
    size = f"{file.bytes} bytes, " if file.bytes else ""
    wanted = f"a folder or an http(s) address that has {file.mirror} (expected: {size}{file.checksum})"
    if not problems:
        return f"{name}: has no address (url: null) and {MIRROR} is not set; set {MIRROR} to {wanted}"
    text = "; ".join(str(problem) for problem in problems)
    if file.url:
        return f"{text}; run again to continue, or set {MIRROR} to {wanted}"
    return f"{text}; there is no other address (url: null): fix it, or set {MIRROR} to {wanted}"


def _copy(name: str, file: ArchiveFile, source: Path, target: Path) -> None:
    """Copy a file from a mirror's folder, and check the copy."""
    try:
        with room_for(target):
            shutil.copyfile(source, target)
    except FileNotFoundError:
        raise DownloadError(f"{name}: {MIRROR} does not have it: there is no {source}") from None
    except OSError as error:
        raise DownloadError(f"{name}: {source} cannot be read ({error.strerror})") from None
    _check(name, file, target, str(source))


def _check(name: str, file: ArchiveFile, path: Path, place: str) -> None:
    """Compare a file with the known size and digits of its checksum; a file that differs is removed."""
    kind, expected = file.checksum.split(":")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, kind).hexdigest()
    size = path.stat().st_size
    if size == (file.bytes or size) and digest.startswith(expected):
        return
    path.unlink()
    wanted = f"{file.bytes} bytes with {kind} {expected}" if file.bytes else f"{kind} {expected}..."
    raise DownloadError(f"{name}: {place} has {size} bytes with {kind} {digest}, expected {wanted}")


def _download(name: str, file: ArchiveFile, address: str) -> Path:
    """Download a file to a temporary name, completing an earlier part, and check it."""
    part = project_root() / DOWNLOADS / (file.checksum.replace(":", "-") + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    with _locked(name, part):
        resumed = part.exists()
        _complete(name, file, address, part)
        try:
            _check(name, file, part, _shown(address))
        except DownloadError:
            if not resumed:
                raise
            # The part from an earlier run may belong to another file.
            _complete(name, file, address, part)
            _check(name, file, part, _shown(address))
    return part


@contextmanager
def _locked(name: str, part: Path) -> Iterator[None]:
    """Prevent a second process, such as one that outlived its parent, from writing to the same part."""
    try:
        with FileLock(part.with_suffix(".lock"), timeout=1):
            yield
    except Timeout:
        raise DownloadError(
            f"{name}: another process is downloading it, expected one at a time; wait for that one, then run again"
        ) from None


def _complete(name: str, file: ArchiveFile, address: str, part: Path) -> None:
    """Download the missing part of a file: urllib3 retries requests, and the remaining attempts resume the body."""
    place = f"{name}: {_shown(address)}"
    retry = _Retry(ATTEMPTS - 1, status_forcelist=BUSY, raise_on_status=False, backoff_factor=BACK_OFF, place=place)
    adapter = HTTPAdapter(max_retries=retry)
    with requests.Session() as session:
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        # The published bytes, without compression in transit.
        session.headers.update({"Accept-Encoding": "identity", "User-Agent": "convzoo"})
        while True:
            try:
                return _attempt(session, place, file, address, part)
            except InterruptedDownloadError as error:
                if not adapter.max_retries.total:
                    raise
                adapter.max_retries = adapter.max_retries.increment("GET", address, error=error)
                adapter.max_retries.sleep()


def _attempt(session: requests.Session, place: str, file: ArchiveFile, address: str, part: Path) -> None:
    """Request the missing part of a file, and write it."""
    have = part.stat().st_size if part.exists() else 0
    if file.bytes and have > file.bytes:
        part.unlink()
        have = 0
    if have == file.bytes:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        response = session.get(address, headers=headers, stream=True, timeout=TIMEOUTS)
    except (requests.RequestException, ValueError, OverflowError) as error:  # the last two: an invalid header
        raise DownloadError(f"{place} cannot be reached ({_reason(error)})") from None
    session.get_adapter(address).max_retries = response.raw.retries
    with response:
        start = _start(response, place, file, part, have)
        size = file.bytes or start + int(response.headers.get("Content-Length", 0))
        try:
            with room_for(part):
                _write(response, place, size, part, start)
        except HTTPError:
            pass  # the size shows it
        except OSError as error:
            raise DownloadError(
                f"{part}: cannot be written ({error.strerror}); make room, or fix its permissions"
            ) from None
    have = part.stat().st_size
    if have < size:
        raise InterruptedDownloadError(f"{place} broke off after {have} of {size} bytes")


def _start(response: requests.Response, place: str, file: ArchiveFile, part: Path, have: int) -> int:
    """The position in the file of the response's first byte. Raises DownloadError if the response is not the file."""
    status, headers = response.status_code, response.headers
    answer = f"{place} answers {status} {response.reason}"
    if status in {404, 410}:
        raise DownloadError(f"{place} does not have it ({status} {response.reason})")
    if status == 206:
        span, _, total = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if span.partition("-")[0] == str(have):
            _check_size(place, file, total)
            return have
    if status in {206, 416}:  # not the requested bytes: start again from the beginning
        part.unlink(missing_ok=True)
        raise InterruptedDownloadError(f"{answer} to a request for the bytes from {have} on")
    if status != 200:
        raise DownloadError(answer)
    if headers.get("Content-Type", "").startswith("text/html"):
        raise DownloadError(f"{place} answers with an HTML page, expected a file of {file.bytes or 'many'} bytes")
    _check_size(place, file, headers.get("Content-Length", ""))
    return 0


def _check_size(place: str, file: ArchiveFile, size: str) -> None:
    if file.bytes and size.isdecimal() and int(size) != file.bytes:
        raise DownloadError(f"{place} has {size} bytes, expected {file.bytes}")


def _write(response: requests.Response, place: str, size: int, part: Path, have: int) -> None:
    """Write the raw body to `part` from the byte `have` on; a `size` of 0 is unknown."""
    name = place.partition(":")[0]
    with (
        part.open("ab" if have else "wb") as out,
        tqdm(total=size or None, initial=have, desc=name, unit="B", unit_scale=True, disable=None) as bar,
    ):
        # read1 returns the bytes received so far, so none of them are lost if the connection breaks.
        for chunk in iter(lambda: response.raw.read1(CHUNK, decode_content=False), b""):
            have += len(chunk)
            if have > size > 0:
                break
            out.write(chunk)
            bar.update(len(chunk))
    if have > size > 0:
        part.unlink()
        raise DownloadError(f"{place} sends more than the expected {size} bytes")


def _shown(address: str) -> str:
    """An address without user, password and query, safe to print."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _reason(error: BaseException) -> str:
    """The cause of nested network errors, in a few words."""
    while True:
        inner = getattr(error, "reason", None) or next((a for a in error.args if isinstance(a, BaseException)), None)
        if not isinstance(inner, BaseException):
            return str(error).rpartition("): ")[2] or type(error).__name__
        error = inner
