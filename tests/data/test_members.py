"""Archives as they are, and as someone hostile or a broken disk would have them."""

import io
import stat
import struct
import tarfile
import zipfile

import pytest
from helpers.raw_sets import tar, zipped

from convzoo.data.formats import members
from convzoo.data.formats.members import OTHERS, ArchiveError, Limits, contents, listings
from convzoo.errors import ConvzooError

LIMITS = Limits(files=10, bytes=100_000, pixels=1)
FILES = [("b/2.txt", b"two" * 50), ("b/10.txt", b""), ("a.txt", bytes(range(256)) * 9), ("ä/ö.txt", b"umlauts")]
LONG = "folder/" * 40 + "x.txt"  # longer than a tar header's name
KINDS = {"tar.gz": tar, "tar": lambda path, files: tar(path, files, "w"), "zip": zipped}


def read(*files, limits=LIMITS):
    """Names and contents of everything in archives."""
    return [
        (content.name, content.read())
        for listing in listings(files, limits)
        for content in contents(listing, range(len(listing.names)))
    ]


@pytest.fixture(params=KINDS)
def pack(request, tmp_path):
    return lambda files: KINDS[request.param](tmp_path / "archive", files)


def test_files_come_in_the_archives_order_whatever_its_kind_and_name(pack, tmp_path):
    assert read(pack(FILES)) == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_any_rising_choice_of_files_can_be_read(pack):
    (listing,) = listings([pack(FILES)], LIMITS)
    assert [(content.name, content.read()) for content in contents(listing, [1, 2])] == FILES[1:3]
    for content in contents(listing, [2]):
        assert (content.readline(), content.read(3), content.read()) == (*FILES[2][1].partition(b"\x0b\x0c\r"),)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_is_read(tmp_path, form):
    names = ["plain", "x" * 99, "x" * 100, LONG[-200:], "umlaut ä"] + ([] if form == tarfile.USTAR_FORMAT else [LONG])
    with tarfile.open(tmp_path / "a", "w", format=form) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = 700, 1.5
            archive.addfile(entry, io.BytesIO(name.encode()[:1] * 700))
    assert read(tmp_path / "a") == [(name, name.encode()[:1] * 700) for name in names]


def test_paths_get_one_spelling(pack):
    assert [name for name, _ in read(pack([("./a/b", b""), ("a//c", b""), ("./d", b"")]))] == ["a/b", "a/c", "d"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("/etc/passwd", "path is absolute"),
        ("C:/x", "path is absolute"),
        ("C:\\x", "has a backslash"),
        ("a\\..\\x", "has a backslash"),
        ("../x", "leads out of the archive"),
        ("a/../../x", "leads out of the archive"),
        ("a/..", "leads out of the archive"),
        ("a\nb", "is not plain UTF-8 text"),
        ("a\x1b[2J", "is not plain UTF-8 text"),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(pack, name, problem):
    with pytest.raises(ConvzooError, match=f"archive: '.*': its .*{problem}"):
        read(pack([*FILES, (name, b"x")]))


def test_a_name_that_is_no_text_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("caf\udce9"))
    with pytest.raises(ConvzooError, match=r"'caf\\udce9': its name is not plain UTF-8"):
        read(tmp_path / "a")


@pytest.mark.parametrize(
    ("kind", "called"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.GNUTYPE_SPARSE, "neither a file nor a folder"),
    ],
)
def test_a_tar_archive_with_anything_but_files_and_folders_is_refused(tmp_path, kind, called):
    with tarfile.open(tmp_path / "a", "w", format=tarfile.GNU_FORMAT) as archive:
        entry = tarfile.TarInfo("strange")
        entry.type, entry.linkname = kind, "a.txt"
        archive.addfile(entry)
    with pytest.raises(ConvzooError, match=f"a: 'strange': is {called}"):
        read(tmp_path / "a")


def test_tarfiles_data_filter_sees_every_member_and_may_refuse_one(tmp_path, monkeypatch):
    seen = []

    def refuse_last(entry, folder):
        seen.append(entry.name)
        if entry.name == FILES[-1][0]:
            raise tarfile.TarError("outside the destination")
        return entry

    monkeypatch.setattr(members, "DATA_FILTER", refuse_last)
    with pytest.raises(ConvzooError, match=r"a: '\\xe4/\\xf6.txt': cannot be unpacked safely .outside the destination"):
        read(tar(tmp_path / "a", FILES))
    assert seen == [name for name, _ in FILES]


@pytest.mark.parametrize(("mode", "called"), [(stat.S_IFLNK, "a symbolic link"), (stat.S_IFIFO, "neither a file nor")])
def test_a_zip_archive_with_a_link_or_a_pipe_is_refused(tmp_path, mode, called):
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        entry = zipfile.ZipInfo("strange")
        entry.external_attr = (mode | 0o777) << 16
        archive.writestr(entry, "a.txt")
    with pytest.raises(ConvzooError, match=f"a: 'strange': is {called}"):
        read(tmp_path / "a")


def test_a_zip_archive_that_is_encrypted_or_oddly_packed_is_refused(tmp_path):
    content = bytearray(zipped(tmp_path / "a", FILES[:1]).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(ConvzooError, match=r"b: 'b/2.txt': is encrypted"):
        read(tmp_path / "b")
    with zipfile.ZipFile(tmp_path / "c", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x", b"x")
    with pytest.raises(ConvzooError, match="c: 'x': is packed by an unusual method"):
        read(tmp_path / "c")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["a.txt", "./a.txt"])
def test_the_same_name_twice_is_refused(pack, second):
    with pytest.raises(ConvzooError, match=r"archive: a.txt: is there twice"):
        read(pack([*FILES, (second, b"")]))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (LIMITS._replace(files=3), "ä/ö.txt: is more than the allowed 3 files; .*raise limits.files"),
        (LIMITS._replace(bytes=2460), "ä/ö.txt: is more than the allowed 2460 bytes; .*raise limits.bytes"),
    ],
)
def test_more_files_or_bytes_than_allowed_are_refused(pack, limits, message):
    with pytest.raises(ConvzooError, match=f"archive: {message}"):
        read(pack(FILES), limits=limits)
    assert read(pack(FILES), limits=Limits(4, 2461, 1)) == FILES


def test_the_limits_are_for_all_archives_together(tmp_path):
    files = [tar(tmp_path / "a", FILES[:2]), zipped(tmp_path / "b", FILES[2:])]
    assert read(*files) == FILES
    with pytest.raises(ConvzooError, match=r"b: ä/ö.txt: is more than the allowed 3 files"):
        read(*files, limits=LIMITS._replace(files=3))


def test_folders_are_counted_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        for number in range(5):
            archive.writestr(f"{number}/", b"")
    with pytest.raises(ConvzooError, match="a: holds more than the allowed 4 folders"):
        read(tmp_path / "a", limits=LIMITS._replace(files=4))


@pytest.mark.parametrize("claim", [0, 10, 149, 151, 90_000])
def test_a_zip_archive_that_lies_about_a_size_is_refused(tmp_path, claim):
    content = bytearray(zipped(tmp_path / "a", FILES).read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, claim)
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ConvzooError, match=r"a: (b/2.txt: )?is damaged"):
        read(tmp_path / "a")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    bomb = bytes(50_000_000)
    for file in (zipped(tmp_path / "a.zip", [("x", bomb)]), tar(tmp_path / "a.tgz", [("x", bomb)])):
        assert file.stat().st_size < 100_000
        with pytest.raises(ConvzooError, match="x: is more than the allowed 100000 bytes"):
            read(file)


@pytest.mark.parametrize("step", [37, 512])
def test_an_archive_cut_short_anywhere_is_never_taken_for_a_whole_one(pack, tmp_path, step):
    whole = pack(FILES).read_bytes()
    end = len(whole.rstrip(b"\0")) if whole[257:262] == b"ustar" else len(whole)
    for length in range(0, end, step):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(ConvzooError, match=r"cut: .*is damaged .*, expected a whole tar"):
            read(tmp_path / "cut")


def test_a_tar_archive_without_its_end_mark_is_refused(tmp_path):
    whole = tar(tmp_path / "a", FILES[:1], "w").read_bytes()
    (tmp_path / "a").write_bytes(whole[:1024])
    with pytest.raises(ConvzooError, match=r"a: is damaged.*empty header at byte 1024"):
        read(tmp_path / "a")


def test_damage_within_an_archive_is_found(pack, tmp_path):
    whole = pack(FILES).read_bytes()
    middle = whole.index(b"two") if b"two" in whole else len(whole) // 2
    (tmp_path / "a").write_bytes(whole[:middle] + bytes(6) + whole[middle + 6 :])
    if whole[257:262] == b"ustar":  # has no checksum of contents, only of headers
        (tmp_path / "a").write_bytes(whole[:1030] + b"?" + whole[1031:])
    with pytest.raises(ConvzooError, match=r"a: .*is damaged"):
        read(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"<html>", b"x" * 2000, b"%PDF-1.4", bytes(511)])
def test_what_is_no_archive_is_named(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ConvzooError, match=r"a: is damaged .*, expected a whole tar.*download it again"):
        read(tmp_path / "a")


@pytest.mark.parametrize("packing", ["xz", "bzip2", "7-Zip", "RAR", "Zstandard"])
def test_an_archive_packed_in_another_way_is_not_called_damaged(tmp_path, packing):
    mark = next(mark for mark, name in OTHERS.items() if name == packing)
    (tmp_path / "a").write_bytes(mark + bytes(100))
    with pytest.raises(ArchiveError, match=rf"a: is packed with {packing}, expected a tar, tar.gz or zip archive"):
        listings([tmp_path / "a"], LIMITS)


@pytest.mark.parametrize(("mode", "packing"), [("w:xz", "xz"), ("w:bz2", "bzip2")])
def test_what_python_packs_in_another_way_is_recognised(tmp_path, mode, packing):
    with pytest.raises(ArchiveError, match=f"is packed with {packing}"):
        listings([tar(tmp_path / "a", [("1.txt", b"a")], mode)], LIMITS)
