"""Downloads against a server that misbehaves, and mirrors."""

import hashlib
import json
import random
from types import SimpleNamespace

import pytest
from filelock import FileLock
from helpers.bad_server import CONTENT

from convzoo.data.download import download
from convzoo.data.sources import archive
from convzoo.errors import ConvzooError
from convzoo.settings.sources import ArchiveFile, CifarSource, IdxSource, PictureSource
from convzoo.settings.weights import WeightsFile

MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
NAME = "digits.gz"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(archive, "BACK_OFF", 0)
    monkeypatch.delenv("CONVZOO_MIRROR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bring(folder, url, checksum=MD5):
    folder.mkdir(exist_ok=True)
    file = ArchiveFile(url=url, mirror=f"some/{NAME}", checksum=checksum, bytes=len(CONTENT))
    archive.fetch({NAME: file}, folder)
    return (folder / NAME).read_bytes()


def bring_weights(folder, url, digits=8):
    """A file of which only the first digits of its sha256 are known."""
    folder.mkdir(exist_ok=True)
    checksum = SHA256[: len("sha256:") + digits]
    file = WeightsFile(url=url, mirror=f"weights/{NAME}", checksum=checksum, bytes=None)
    archive.fetch({NAME: file}, folder)
    return (folder / NAME).read_bytes()


def parts(project):
    return list((project / "data/downloads").glob("*.part"))


@pytest.mark.parametrize("checksum", [MD5, SHA256])
@pytest.mark.parametrize("kind", ["good", "no_ranges", "no_length", "cut", "busy_twice", "encoded"])
def test_a_file_arrives_whole_and_leaves_no_part(project, server, kind, checksum):
    assert bring(project / "raw", f"{server.address}/{kind}", checksum) == CONTENT
    assert parts(project) == []


@pytest.mark.parametrize("kind", ["good", "no_ranges", "no_length", "cut", "stalls", "busy_twice", "encoded"])
def test_a_file_of_unknown_size_arrives_whole_and_leaves_no_part(project, server, monkeypatch, kind):
    monkeypatch.setattr(archive, "TIMEOUTS", (1, 0.1))
    assert bring_weights(project / "raw", f"{server.address}/{kind}") == CONTENT
    assert parts(project) == []


@pytest.mark.parametrize("earlier", [CONTENT[:5000], b"of another file", CONTENT + b"too long", CONTENT])
def test_a_part_of_a_file_of_unknown_size_is_completed_or_replaced(project, server, earlier):
    part = project / "data/downloads" / (SHA256[:15].replace(":", "-") + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(earlier)
    assert bring_weights(project / "raw", f"{server.address}/good") == CONTENT


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("absent", "does not have it (404"),
        ("html", "an HTML page, expected a file"),
        ("wrong", f"expected sha256 {SHA256[7:15]}..."),
        ("always_cut", "broke off after 1000 of 102400 bytes"),
    ],
)
def test_what_cannot_be_the_file_of_unknown_size_is_an_error(project, server, kind, message):
    with pytest.raises(ConvzooError, match="set CONVZOO_MIRROR to a folder") as caught:
        bring_weights(project / "raw", f"{server.address}/{kind}")
    assert message in str(caught.value)


def test_a_cut_connection_goes_on_where_it_broke_off(project, server):
    bring(project / "raw", f"{server.address}/cut")
    step = len(CONTENT) // 5 + 1
    assert server.ranges == [None, *(f"bytes={step * n}-" for n in range(1, 5))]


@pytest.mark.parametrize("kind", ["good", "no_ranges", "refuses_ranges", "other_range"])
@pytest.mark.parametrize("earlier", [CONTENT[:5000], b"of another file", CONTENT + b"too long", CONTENT])
def test_a_part_of_an_earlier_run_is_completed_or_replaced(project, server, kind, earlier):
    part = project / "data/downloads" / (MD5.replace(":", "-") + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(earlier)
    assert bring(project / "raw", f"{server.address}/{kind}") == CONTENT
    if kind == "good" and earlier == CONTENT[:5000]:
        assert server.ranges == ["bytes=5000-"]
    if earlier == CONTENT:
        assert server.ranges == []


@pytest.mark.parametrize(
    ("kind", "attempts", "message"),
    [
        ("absent", 1, "does not have it (404"),
        ("forbidden", 1, "answers 403"),
        ("html", 1, "an HTML page, expected a file of 102400 bytes"),
        ("long", 1, "has 102401 bytes, expected 102400"),
        ("endless", 1, "sends more than the expected 102400 bytes"),
        ("wrong", 1, "expected 102400 bytes with " + MD5.replace(":", " ")),
        ("broken", archive.ATTEMPTS, "answers 500"),
        ("silent", archive.ATTEMPTS, "broke off after 0 of 102400 bytes"),
        ("always_cut", archive.ATTEMPTS, "broke off after 1000 of 102400 bytes"),
        ("busy_or_cut", archive.ATTEMPTS, "answers 503"),
        ("long_wait/soon", 1, "cannot be reached (Invalid Retry-After header: soon)"),
        ("long_wait/" + "9" * 5000, 1, "cannot be reached (Exceeds the limit"),
    ],
)
def test_what_cannot_be_the_file_is_an_error_with_names_and_a_way_out(
    project, server, monkeypatch, kind, attempts, message
):
    monkeypatch.setattr(archive, "TIMEOUTS", (1, 0.1))
    with pytest.raises(ConvzooError) as caught:
        bring(project / "raw", f"{server.address}/{kind}")
    text = str(caught.value)
    assert NAME in text and server.address in text and message in text and "set CONVZOO_MIRROR to a folder" in text
    assert server.asked[kind.partition("/")[0]] == attempts
    assert not (project / "raw" / NAME).exists()


LAST = len(CONTENT) - 1


@pytest.mark.parametrize("cut", [0, 1, LAST, *sorted(random.Random(0).sample(range(2, LAST), 12))])
def test_a_connection_that_is_cut_at_any_byte_goes_on_with_that_byte(project, server, cut):
    assert bring(project / "raw", f"{server.address}/breaks/{cut}") == CONTENT
    assert server.ranges == [None, f"bytes={cut}-" if cut else None]
    assert parts(project) == []


def test_addresses_that_lead_in_a_circle_are_told(project, server):
    with pytest.raises(ConvzooError, match=r"circles cannot be reached \(Exceeded 30 redirects"):
        bring(project / "raw", f"{server.address}/circles")


def test_a_server_that_falls_silent_is_asked_again_for_the_rest(project, server, monkeypatch):
    monkeypatch.setattr(archive, "TIMEOUTS", (1, 0.1))
    assert bring(project / "raw", f"{server.address}/stalls") == CONTENT
    assert server.ranges == [None, "bytes=2000-"]


@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        ("always_cut", [2, 4, 8]),
        ("broken", [2, 4, 8]),
        ("busy_or_cut", [2, 4, 8]),
        ("long_wait/7", [7, 7, 7, 7]),
        ("long_wait/86400", [30, 30, 30, 30]),
    ],
)
def test_attempts_wait_longer_each_time_or_as_the_server_asks_within_limits(project, server, monkeypatch, kind, waits):
    slept = []
    monkeypatch.setattr(archive, "BACK_OFF", 1)
    monkeypatch.setattr("urllib3.util.retry.time", SimpleNamespace(sleep=slept.append))
    with pytest.raises(ConvzooError):
        bring(project / "raw", f"{server.address}/{kind}")
    assert slept == waits


def test_the_rest_of_an_answer_that_is_not_the_file_is_not_read(project, server):
    assert bring(project / "raw", f"{server.address}/long_explanation") == CONTENT
    assert server.asked == {"long_explanation": 2}


def test_a_refused_connection_is_tried_again_and_named(project, server, capsys):
    with pytest.raises(ConvzooError, match=r"127.0.0.1:1/x cannot be reached \(.*refused"):
        bring(project / "raw", "http://127.0.0.1:1/x")
    assert capsys.readouterr().out.count("again in") == archive.ATTEMPTS - 1


def test_what_came_is_kept_for_the_next_run(project, server):
    with pytest.raises(ConvzooError, match="run again to continue"):
        bring(project / "raw", f"{server.address}/always_cut")
    assert [part.stat().st_size for part in parts(project)] == [1000]
    bring(project / "raw", f"{server.address}/good")
    assert server.ranges[-1] == "bytes=1000-"


def test_a_part_in_use_by_another_process_is_left_alone(project, server):
    lock = project / "data/downloads" / (MD5.replace(":", "-") + ".lock")
    lock.parent.mkdir(parents=True)
    with FileLock(lock), pytest.raises(ConvzooError, match=f"{NAME}: another process"):
        bring(project / "raw", f"{server.address}/good")


@pytest.fixture
def mirror(project):
    (project / "mirror/some").mkdir(parents=True)
    (project / "mirror/some" / NAME).write_bytes(CONTENT)
    return project / "mirror"


@pytest.mark.parametrize("place", ["mirror", "./mirror/", "{project}/mirror"])
def test_a_mirror_folder_comes_first_and_is_relative_to_the_project(project, server, mirror, monkeypatch, place):
    monkeypatch.setenv("CONVZOO_MIRROR", place.format(project=project))
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    assert bring(project / "raw", f"{server.address}/good") == CONTENT
    assert not server.asked


def test_a_mirror_address_comes_first(project, server, monkeypatch):
    monkeypatch.setenv("CONVZOO_MIRROR", f"{server.address}/good/")
    assert bring(project / "raw", f"{server.address}/wrong") == CONTENT
    assert server.asked == {"good": 1}


@pytest.mark.parametrize("place", ["mirror", "nowhere", "{server}/wrong", "{server}/absent", "{server}/broken"])
def test_a_bad_mirror_is_said_in_one_line_and_passed_over(project, server, mirror, monkeypatch, capsys, place):
    (mirror / "some" / NAME).write_bytes(CONTENT[::-1])
    monkeypatch.setenv("CONVZOO_MIRROR", place.format(server=server.address))
    assert bring(project / "raw", f"{server.address}/good") == CONTENT
    lines = [line for line in capsys.readouterr().out.splitlines() if "again in" not in line]
    assert len(lines) == 1 and f"going on to {server.address}/good" in lines[0]


def test_a_bad_mirror_without_another_address_is_an_error_with_both_checksums(project, mirror, monkeypatch):
    (mirror / "some" / NAME).write_bytes(CONTENT[::-1])
    monkeypatch.setenv("CONVZOO_MIRROR", "mirror")
    with pytest.raises(ConvzooError) as caught:
        bring(project / "raw", None)
    for part in (str(mirror), MD5.split(":")[1], hashlib.md5(CONTENT[::-1]).hexdigest(), "set CONVZOO_MIRROR"):
        assert part in str(caught.value)


def test_no_mirror_and_no_address_says_what_to_set(project):
    with pytest.raises(ConvzooError, match=f"set CONVZOO_MIRROR to a folder .* has some/{NAME} .*{MD5}"):
        bring(project / "raw", None)


def test_a_mirror_of_another_kind_is_refused(project, monkeypatch):
    monkeypatch.setenv("CONVZOO_MIRROR", "ftp://me:secret@host/data")
    with pytest.raises(ConvzooError, match=r"got ftp://host/data, expected a folder or an http\(s\) address"):
        bring(project / "raw", None)


@pytest.mark.parametrize("kind", ["absent", "broken", "always_cut", "port 1"])
def test_no_message_shows_a_password(project, server, monkeypatch, capfd, caplog, kind):
    monkeypatch.setenv("CONVZOO_MIRROR", server.address.replace("//", "//me:secret@") + "/broken")
    address = "http://127.0.0.1:1/x" if kind == "port 1" else f"{server.address}/{kind}"
    with pytest.raises(ConvzooError) as caught:
        bring(project / "raw", f"{address}?token=secret")
    assert "secret" not in str(caught.value) + caplog.text + "".join(capfd.readouterr())


ABOUT = {"kind": "archive", "format": "idx", "licence": "CC0", "homepage": "https://example.org"}
LIMITS = {"files": 9, "bytes": 99, "pixels": 9}


def source_of(address, kind=IdxSource, **more):
    file = ArchiveFile(url=address, mirror=f"some/{NAME}", checksum=MD5, bytes=len(CONTENT))
    return kind(**ABOUT | more, files={NAME: file})


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (IdxSource, {}),
        (CifarSource, {"format": "cifar", "limits": LIMITS}),
        (PictureSource, {"format": "pictures", "limits": LIMITS, "layout": "{class}/*.jpg"}),
    ],
)
def test_a_download_says_where_it_came_from_and_what_it_is(project, server, kind, more):
    download("digits", source_of(f"{server.address}/good", kind, **more), project / "data/raw/digits")
    note = json.loads((project / "data/raw/digits/source.json").read_text())
    files = {NAME: {"sha256": SHA256.split(":")[1], "bytes": len(CONTENT)}}
    assert note == {"name": "digits", **ABOUT, **more, "files": files}
