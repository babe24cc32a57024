"""What a server logs: every answer, in files that are complete, and never at the cost of a request."""

import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.served import CLASSES, images, wait_until
from PIL import Image

from convzoo.data.image_statistics import statistics
from convzoo.errors import ConvzooError
from convzoo.serving.limits import ImageBounds
from convzoo.shipping.model import Model
from convzoo.watching import log as logging
from convzoo.watching.rows import DAY, FEATURES, SCHEMA


def files(folder: Path, pattern: str = "*.parquet") -> list[Path]:
    return sorted(folder.rglob(pattern))


def rows(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(file) for file in files(folder)])


def test_each_image_gets_a_row_with_what_can_be_computed_from_it(served, open_log, ask, models, tmp_path):
    log, before = open_log(), datetime.now(UTC)
    given = ask(log)
    log.close()
    [file] = files(tmp_path / "log")
    day = datetime.now(UTC).strftime(DAY)
    assert file.parent == tmp_path / "log/pets" / day
    table = pq.read_table(file)
    assert table.schema.equals(SCHEMA) and len(table) == 20
    probabilities = Model(models / "pets/model.onnx")(given)
    features = Model(models / "pets/parts/features.onnx")(given)
    assert table["class"].to_pylist() == [CLASSES[index] for index in probabilities.argmax(axis=1)]
    np.testing.assert_allclose(table["confidence"], probabilities.max(axis=1), rtol=1e-5)
    for name, values in statistics(given).items():
        np.testing.assert_allclose(table[name], values, rtol=1e-6)
    projected = np.stack([table[name].to_numpy() for name in FEATURES], axis=1)
    with np.load(models / "pets/parts/reference.npz") as reference:
        np.testing.assert_allclose(projected, features @ reference["projection"], rtol=1e-4, atol=1e-5)
    assert set(table["sha256"].to_pylist()) == {served.sha256} and set(table["version"].to_pylist()) == {None}
    assert set(table["operation"].to_pylist()) == {"predict"} and set(table["images"].to_pylist()) == {20}
    assert set(table["milliseconds"].to_pylist()) == {250} and set(table["image"].to_pylist()) == {None}
    assert before <= min(table["time"].to_pylist()) <= datetime.now(UTC)
    assert log.counted() == {("pets", "written"): 20}
    assert not files(tmp_path / "log", "*.png")


def test_what_has_no_image_is_not_logged(served, open_log, tmp_path):
    log = open_log()
    log.offer(served, "sample", np.zeros((2, 5), np.float32), images(2), 0.1)
    log.close()
    assert not files(tmp_path / "log") and not log.counted()


def test_a_folder_with_other_files_is_refused_and_left_alone(open_log, tmp_path):
    old = tmp_path / "log/photos/2020-01-01"
    old.mkdir(parents=True)
    with pytest.raises(ConvzooError, match="contains other files, expected a new folder or one that --log wrote"):
        open_log()
    assert old.is_dir()
    shutil.rmtree(old.parent)
    log = open_log()
    old.mkdir(parents=True)
    log.close()
    assert not old.exists(), "in the folder of a log, days that are too old are removed"


def test_rows_are_written_while_the_server_runs_and_a_full_file_is_followed_by_another(
    open_log, ask, monkeypatch, tmp_path
):
    monkeypatch.setattr(logging, "SECONDS", 0.05)
    monkeypatch.setattr(logging, "ROWS", 30)
    log = open_log()
    for seed in range(5):
        ask(log, 20, seed)
        wait_until(lambda seed=seed: log.counted()["pets", "written"] == 20 * (seed + 1))
        assert len(rows(tmp_path / "log")) == 20 * (seed + 1)
    assert [len(pq.read_table(file)) for file in files(tmp_path / "log")] == [40, 40, 20]


def test_a_write_that_fails_leaves_the_complete_file_and_its_rows_are_written_later(
    open_log, ask, monkeypatch, tmp_path, caplog
):
    monkeypatch.setattr(logging, "SECONDS", 0.05)
    log, write, broken = open_log(), pq.write_table, threading.Event()
    ask(log)
    wait_until(lambda: log.counted()["pets", "written"] == 20)

    def half(table, stream, **options):
        if broken.is_set():
            stream.write(b"PAR1 half of it")
            raise OSError(28, "No space left on device")
        write(table, stream, **options)

    monkeypatch.setattr(logging.pq, "write_table", half)
    broken.set()
    ask(log)
    wait_until(lambda: "cannot be written: the disk is full; tried again" in caplog.text)
    time.sleep(0.3)
    assert len(rows(tmp_path / "log")) == 20
    assert caplog.text.count("cannot be written") == 1, "several attempts, one warning"
    broken.clear()
    wait_until(lambda: log.counted()["pets", "written"] == 40)
    assert len(rows(tmp_path / "log")) == 40


def test_rows_that_can_never_be_written_are_dropped_and_counted(open_log, ask, monkeypatch, tmp_path):
    monkeypatch.setattr(logging, "ROWS", 30)
    log = open_log()
    (tmp_path / "log/pets").write_text("a file where a folder is needed")
    for seed in range(4):
        ask(log, 20, seed)
    log.close()
    assert log.counted() == {("pets", "failed"): 80}


def test_if_too_much_waits_rows_are_dropped_at_once(open_log, ask, monkeypatch, tmp_path):
    one = images(20).nbytes + 20 * len(CLASSES) * 4  # and the probabilities
    monkeypatch.setattr(logging, "WAITING_BYTES", 3 * one)
    blocked = threading.Event()
    measure = logging.measure
    monkeypatch.setattr(logging, "measure", lambda *given: blocked.wait(30) and measure(*given))
    log = open_log()
    started = time.perf_counter()
    for seed in range(10):
        ask(log, 20, seed)
    assert time.perf_counter() - started < 10, "nobody waited for the thread that was blocked for 30 s"
    assert log.counted() == {("pets", "busy"): 7 * 20}
    blocked.set()
    log.close()
    assert log.counted() == {("pets", "busy"): 140, ("pets", "written"): 60}
    assert len(rows(tmp_path / "log")) == 60


def test_answers_that_cannot_be_measured_are_counted_and_the_others_logged(open_log, ask, monkeypatch, caplog):
    measure = logging.measure

    def fail_once(given, *more):
        if len(given) == 7:
            raise RuntimeError("odd")
        return measure(given, *more)

    monkeypatch.setattr(logging, "measure", fail_once)
    log = open_log()
    ask(log, 7), ask(log, 20)
    log.close()
    assert log.counted() == {("pets", "failed"): 7, ("pets", "written"): 20}
    assert "cannot be measured: odd" in caplog.text


def test_rows_of_another_day_are_in_another_folder(open_log, ask, monkeypatch, tmp_path):
    class Later(datetime):
        days = 0

        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone) + timedelta(days=cls.days)

    monkeypatch.setattr(logging, "datetime", Later)
    log = open_log()
    ask(log)
    monkeypatch.setattr(Later, "days", 1)
    ask(log)
    log.close()
    days = [(datetime.now(UTC) + timedelta(days=number)).strftime(DAY) for number in (0, 1)]
    assert [file.parent.name for file in files(tmp_path / "log")] == days


def test_images_are_kept_only_if_asked_for_and_are_those_of_the_rows(open_log, ask, tmp_path):
    log = open_log(images=ImageBounds())
    given = ask(log)
    log.close()
    [file] = files(tmp_path / "log")
    names = pq.read_table(file)["image"].to_pylist()
    assert sorted(names) == [path.name for path in files(tmp_path / "log", "*.png")]
    for name, image in zip(names, given, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(file.parent / "images" / name)), image[:, :, 0])


def test_images_stay_within_the_disk_and_the_days_that_were_set(open_log, ask, monkeypatch, tmp_path):
    monkeypatch.setattr(logging, "SECONDS", 0.05)
    log = open_log(images=ImageBounds(bytes=25 * 4096, days=1))
    for seed in range(3):
        ask(log, 20, seed)
    wait_until(lambda: log.counted()["pets", "written"] == 60)
    wait_until(lambda: len(files(tmp_path / "log", "*.png")) == 25)
    log.close()
    newest = rows(tmp_path / "log")["image"].to_pylist()[-25:]
    assert sorted(newest) == [path.name for path in files(tmp_path / "log", "*.png")]
    later = open_log(images=ImageBounds(bytes=25 * 4096, days=1))  # knows the images of the server before
    later._kept.sweep(datetime.now(UTC) + timedelta(days=2))
    assert not files(tmp_path / "log", "*.png")


def test_rows_that_are_too_old_are_removed(open_log, ask, tmp_path):
    today = datetime.now(UTC)
    log = open_log()
    for days in (89, 91):
        (tmp_path / "log/pets" / f"{today - timedelta(days=days):{DAY}}").mkdir(parents=True)
    ask(log)
    log.close()
    kept = sorted(path.name for path in (tmp_path / "log/pets").iterdir())
    assert kept == [f"{today - timedelta(days=days):{DAY}}" for days in (89, 0)]


def test_two_servers_cannot_share_a_folder_and_a_killed_one_leaves_nothing_half_written(open_log, ask, tmp_path):
    log = open_log()
    with pytest.raises(ConvzooError, match=r"--log: .*log: another server writes to this folder, expected one"):
        open_log()
    ask(log)
    log.close()
    half = tmp_path / "log/pets" / datetime.now(UTC).strftime(DAY) / ".half.parquet.new"
    half.write_bytes(b"half")
    open_log()
    assert not half.exists() and len(rows(tmp_path / "log")) == 20
