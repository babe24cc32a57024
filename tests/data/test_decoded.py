"""The cache of decoded pictures: only new files are decoded, and nothing in the results depends on it."""

import json
import sqlite3

import numpy as np
import pytest
from helpers.raw_sets import LIMITS, encoded, noise, note, prepared, settings, tar

from convzoo.data.formats import decoded as cache
from convzoo.data.formats import threads
from convzoo.data.prepare import prepare

COLOUR = settings(classes="source", height=8, width=8, channels=3, split="hashed")
IMAGES = noise(130, 8, 8, 3)
FILES = [(f"{'cat' if row % 2 else 'dog'}/{row}.png", encoded(image)) for row, image in enumerate(IMAGES)]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Prepare picture files; returns how many were decoded, the bytes of all outputs, and the splits by id."""
    decoded = []
    decode = threads.decode
    monkeypatch.setattr(threads, "decode", lambda data, target: decoded.append(data) or decode(data, target))

    def prepared_with(files, wanted=COLOUR, cache="pictures.sqlite", **limits):
        decoded.clear()
        raw = note(tmp_path / "raw", format="pictures", layout="{class}/*.png", limits=LIMITS | limits)
        tar(raw / "pictures", files)
        out = tmp_path / "out"
        prepare("made", wanted, raw, out, cache and tmp_path / "cache" / cache)
        contents = {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*")) if file.is_file()}
        splits = {name: {row["id"] for row in rows} for name, (_, _, rows) in prepared(out)[0].items()}
        return len(decoded), contents, splits

    return prepared_with


def database(tmp_path):
    return sqlite3.connect(tmp_path / "cache" / "pictures.sqlite")


def test_only_new_files_are_decoded_old_images_keep_their_split_and_the_bytes_are_those_without_a_cache(run):
    first, _, before = run(FILES[:100])
    again, unchanged, _ = run(FILES[:100])
    grown, with_cache, after = run(FILES)
    uncached, without_cache, _ = run(FILES, cache=None)
    assert (first, again, grown, uncached) == (100, 0, 30, 130)
    assert with_cache == without_cache != unchanged
    assert all(before[split] < after[split] for split in before)


@pytest.mark.parametrize("change", [{"height": 6, "resize": "crop"}, {"channels": 1}, {"resize": "stretch"}])
def test_other_settings_decode_everything_and_only_theirs_is_kept(run, tmp_path, change):
    run(FILES[:20])
    other = COLOUR.model_copy(update=change)
    assert run(FILES[:20], other)[:2] == run(FILES[:20], other, cache=None)[:2]
    run(FILES[:20], other)
    with database(tmp_path) as connection:
        assert connection.execute("SELECT count(*) FROM pictures").fetchone() == (20,)


def test_another_version_of_pillow_decodes_everything(run, monkeypatch):
    run(FILES[:20])
    monkeypatch.setattr("PIL.__version__", "0.1")
    assert run(FILES[:20])[0] == 20


def test_pictures_that_are_gone_are_removed_unless_the_run_failed(run, tmp_path):
    run(FILES[:60])
    with pytest.raises(threads.PicturesError):
        run([("dog/wide.png", encoded(noise(1, 8, 9, 3)[0])), *FILES[:40]])
    with database(tmp_path) as connection:
        assert connection.execute("SELECT count(*) FROM pictures").fetchone() == (60,)
    run(FILES[:40])
    with database(tmp_path) as connection:
        assert connection.execute("SELECT count(*) FROM pictures").fetchone() == (40,)


def test_files_that_cannot_be_read_are_read_again_each_time(run):
    files = [*FILES[:40], ("dog/broken.png", b"nothing")]
    drop = COLOUR.model_copy(update={"unreadable": "drop"})
    assert run(files, drop)[0] == 41
    decoded, with_cache, _ = run(files, drop)
    assert decoded == 1 and with_cache == run(files, drop, cache=None)[1]
    assert json.loads(with_cache["meta.json"])["counts"]["unreadable_dropped"] == 1


def test_a_damaged_picture_is_decoded_again(run, tmp_path):
    _, expected, _ = run(FILES[:40])
    with database(tmp_path) as connection:
        connection.execute("UPDATE pictures SET pixels = zeroblob(192) WHERE rowid = 7")
        connection.execute("UPDATE pictures SET pixels = x'00' WHERE rowid = 8")
    decoded, repaired, _ = run(FILES[:40])
    assert (decoded, repaired) == (2, expected)
    assert run(FILES[:40])[0] == 0


def test_a_damaged_cache_begins_anew(run, tmp_path):
    _, expected, _ = run(FILES[:40])
    file = tmp_path / "cache" / "pictures.sqlite"
    file.write_bytes(b"no database " * 1000)
    decoded, repaired, _ = run(FILES[:40])
    assert (decoded, repaired) == (40, expected)
    assert run(FILES[:40])[0] == 0


def test_a_cache_that_cannot_be_written_costs_a_note(run, tmp_path, capsys):
    _, expected, _ = run(FILES[:40], cache=None)
    (tmp_path / "cache").write_text("a file where the folder should be")
    decoded, same, _ = run(FILES[:40])
    assert (decoded, same) == (40, expected)
    assert "decoded pictures are not kept for the next run (" in capsys.readouterr().out


def test_a_full_disk_costs_a_note(run, tmp_path, capsys, monkeypatch):
    run(FILES[:100])
    connected = cache._connected

    def full(file):
        database = connected(file)
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages}")
        return database

    monkeypatch.setattr(cache, "_connected", full)
    count, with_cache, _ = run(FILES)
    assert count >= 30 and with_cache == run(FILES, cache=None)[1]
    assert "for the next run (database or disk is full); make sure that it can be written" in capsys.readouterr().out


def test_the_images_are_those_of_the_files(run, tmp_path):
    run(FILES[:40])
    run(FILES[:40])
    for images, _, rows in prepared(tmp_path / "out")[0].values():
        numbers = [int(row["id"].split("/")[1].removesuffix(".png")) for row in rows]
        assert np.array_equal(images, IMAGES[numbers])
