"""Published files, from a mirror or their address: resumed after an interruption, checked before use."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests
import tenacity
import urllib3
from filelock import FileLock, Timeout
from tqdm import tqdm

from convzoo.errors import ConvzooError
from convzoo.files import project_root, room_for
from convzoo.settings.sources import ArchiveFile

MIRROR = "CONVZOO_MIRROR"
DOWNLOADS = Path("data/downloads")  # under the project's root: files that have not come as a whole yet
CHUNK = 1 << 18  # bytes
TIMEOUTS = (10, 60)  # seconds to connect, seconds without a byte
ATTEMPTS = 5
BACK_OFF = tenacity.wait_exponential_jitter(initial=1, max=30)  # seconds between attempts
BUSY = {408, 425, 429}  # answers that may be others soon, as may all from 500


class DownloadError(ConvzooError):
    """A file cannot be had as params.yaml describes it."""


class InterruptedDownloadError(DownloadError):
    """The file did not come as a whole this time; another attempt may bring the rest."""


def bring(files: Mapping[str, ArchiveFile], folder: Path, back_off: tenacity.wait.wait_base = BACK_OFF) -> None:
    """Write every file, checked, into `folder`; what came before an error is kept for the next run.

    Raises DownloadError for a file that no place has as params.yaml describes it.
    """
    mirror = os.environ.get(MIRROR, "").strip()
    parts = []
    for name, file in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        mishaps = []
        for place in _places(file, mirror):
            try:
                if isinstance(place, Path):
                    _copy(name, file, place, target)
                else:
                    parts.append(_fetch(name, file, place, back_off))
                    with room_for(target):
                        shutil.copyfile(parts[-1], target)
                break
            except DownloadError as error:
                mishaps.append(error)
                if file.url and place != file.url:
                    print(f"{error}; going on to {_shown(file.url)}", flush=True)
        else:
            raise DownloadError(_failure(name, file, mirror, mishaps))
    for part in parts:
        part.unlink(missing_ok=True)


def _places(file: ArchiveFile, mirror: str) -> Iterator[Path | str]:
    if mirror.startswith(("http://", "https://")):
        yield f"{mirror.rstrip('/')}/{file.mirror}"
    elif "://" in mirror:
        raise DownloadError(f"{MIRROR}: got {_shown(mirror)}, expected a folder or an http(s) address; set it to one")
    elif mirror:
        yield project_root() / Path(mirror).expanduser() / file.mirror
    if file.url:
        yield file.url


def _failure(name: str, file: ArchiveFile, mirror: str, mishaps: list[DownloadError]) -> str:
    size = f"{file.bytes} bytes, " if file.bytes else ""
    wanted = f"a folder or an http(s) address that has {file.mirror} (expected: {size}{file.checksum})"
    if not mishaps:
        return f"{name}: has no address of its own (url: null) and {MIRROR} is not set; set {MIRROR} to {wanted}"
    text = "; ".join(str(mishap) for mishap in mishaps)
    if file.url:
        return f"{text}; run again to go on, or set {MIRROR} to {wanted}"
    return f"{text}; there is no other address (url: null): mend it, or set {MIRROR} to {wanted}"


def _copy(name: str, file: ArchiveFile, source: Path, target: Path) -> None:
    """Copy from a mirror's folder, and check the copy."""
    try:
        with room_for(target):
            shutil.copyfile(source, target)
    except FileNotFoundError:
        raise DownloadError(f"{name}: {MIRROR} does not have it: there is no {source}") from None
    except OSError as error:
        raise DownloadError(f"{name}: {source} cannot be read ({error.strerror})") from None
    _check(name, file, target, str(source))


def _check(name: str, file: ArchiveFile, path: Path, place: str) -> None:
    """Hold a file against its size, where it is known, and the digits of its checksum that are. A file that differs is
    removed.
    """
    kind, expected = file.checksum.split(":")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, kind).hexdigest()
    size = path.stat().st_size
    if size == (file.bytes or size) and found.startswith(expected):
        return
    path.unlink()
    wanted = f"{file.bytes} bytes with {kind} {expected}" if file.bytes else f"{kind} {expected}..."
    raise DownloadError(f"{name}: {place} has {size} bytes with {kind} {found}, expected {wanted}")


def _fetch(name: str, file: ArchiveFile, address: str, back_off: tenacity.wait.wait_base) -> Path:
    """The checked file under a temporary name; an earlier part of it is completed."""
    part = project_root() / DOWNLOADS / (file.checksum.replace(":", "-") + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    with _locked(name, part), requests.Session() as session:
        # Bytes as they are published: no compression on the way.
        session.headers.update({"Accept-Encoding": "identity", "User-Agent": "convzoo"})
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(InterruptedDownloadError),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=back_off,
            before_sleep=_say,
            reraise=True,
        )
        resumed = part.exists()
        attempts(_attempt, session, name, file, address, part)
        try:
            _check(name, file, part, _shown(address))
        except DownloadError:
            if not resumed:
                raise
            # The part from an earlier run may have been of another file.
            attempts(_attempt, session, name, file, address, part)
            _check(name, file, part, _shown(address))
    return part


@contextmanager
def _locked(name: str, part: Path) -> Iterator[None]:
    """Keep a second process, such as one that outlived its parent, from writing to the same part."""
    lock = FileLock(part.with_suffix(".lock"), timeout=1)
    try:
        lock.acquire()
    except Timeout:
        raise DownloadError(
            f"{name}: another process is bringing it, expected one at a time; wait for that one, then run again"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _attempt(session: requests.Session, name: str, file: ArchiveFile, address: str, part: Path) -> None:
    """Bring what is missing of a file."""
    have = part.stat().st_size if part.exists() else 0
    if file.bytes and have > file.bytes:
        part.unlink()
        have = 0
    if have == file.bytes:
        return
    place = f"{name}: {_shown(address)}"
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        response = session.get(address, headers=headers, stream=True, timeout=TIMEOUTS)
    except requests.RequestException as error:
        raise InterruptedDownloadError(f"{place} cannot be reached ({_reason(error)})") from None
    with response:
        start = _start(response, place, file, part, have)
        size = file.bytes or start + int(response.headers.get("Content-Length", 0))
        try:
            with room_for(part):
                _write(response, place, size, part, start)
        except urllib3.exceptions.HTTPError:
            pass  # told by the size
        except OSError as error:
            raise DownloadError(
                f"{part}: cannot be written ({error.strerror}); make room, or mend the rights"
            ) from None
    have = part.stat().st_size
    if have < size:
        raise InterruptedDownloadError(f"{place} broke off after {have} of {size} bytes")


def _start(response: requests.Response, place: str, file: ArchiveFile, part: Path, have: int) -> int:
    """The position of the answer's first byte in the file. Raises DownloadError where it cannot be the file."""
    status, headers = response.status_code, response.headers
    answer = f"{place} answers {status} {response.reason}"
    if status in BUSY or status >= 500:
        raise InterruptedDownloadError(answer)
    if status in {404, 410}:
        raise DownloadError(f"{place} does not have it ({status} {response.reason})")
    if status == 206:
        span, _, total = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if span.partition("-")[0] == str(have):
            _expect(place, file, total)
            return have
    if status in {206, 416}:  # other bytes than those asked for: from the beginning
        part.unlink(missing_ok=True)
        raise InterruptedDownloadError(f"{answer} to a request for the bytes from {have} on")
    if status != 200:
        raise DownloadError(answer)
    if headers.get("Content-Type", "").startswith("text/html"):
        raise DownloadError(f"{place} answers with an HTML page, expected a file of {file.bytes or 'many'} bytes")
    _expect(place, file, headers.get("Content-Length", ""))
    return 0


def _expect(place: str, file: ArchiveFile, size: str) -> None:
    if file.bytes and size.isdecimal() and int(size) != file.bytes:
        raise DownloadError(f"{place} has {size} bytes, expected {file.bytes}")


def _write(response: requests.Response, place: str, size: int, part: Path, have: int) -> None:
    """Write what comes, as it is on the way, to `part` from the byte `have` on. A `size` of 0 is not known."""
    name = place.partition(":")[0]
    with (
        part.open("ab" if have else "wb") as out,
        tqdm(total=size or None, initial=have, desc=name, unit="B", unit_scale=True, disable=None) as bar,
    ):
        # read1 gives what has come: nothing of it is lost when the rest does not come.
        for chunk in iter(lambda: response.raw.read1(CHUNK, decode_content=False), b""):
            have += len(chunk)
            if have > size > 0:
                break
            out.write(chunk)
            bar.update(len(chunk))
    if have > size > 0:
        part.unlink()
        raise DownloadError(f"{place} sends more than the expected {size} bytes")


def _say(state: tenacity.RetryCallState) -> None:
    print(f"{state.outcome.exception()}; again in {state.next_action.sleep:.0f} s", flush=True)


def _shown(address: str) -> str:
    """An address without user and password, and without what follows a question mark, as it may be shown."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _reason(error: BaseException) -> str:
    """What went wrong at the bottom of nested network errors, in a few words."""
    while True:
        inner = getattr(error, "reason", None) or next((a for a in error.args if isinstance(a, BaseException)), None)
        if not isinstance(inner, BaseException):
            return str(error).rpartition("): ")[2] or type(error).__name__
        error = inner
