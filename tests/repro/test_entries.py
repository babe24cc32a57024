"""The order of the entries in dvc.lock."""

from pathlib import Path

import pytest
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import dump_yaml, load_yaml

from convzoo.repro.entries import put_in_order, read_lock, repair

ORDER = ["check", "prepare", "train@a", "train@b", "report"]


@pytest.fixture
def write_lock(tmp_path, monkeypatch):
    """Writes dvc.lock with entries for stages, as DVC does."""
    monkeypatch.chdir(tmp_path)

    def write(*names: str) -> bytes:
        stages = {
            name: {"cmd": f"a long command {name} " * 6, "outs": [{"path": "x y", "md5": "0" * 32}]} for name in names
        }
        dump_yaml("dvc.lock", {"schema": "2.0", "stages": stages, "datasets": [{"name": "d", "type": "dvc"}]})
        return Path("dvc.lock").read_bytes()

    return write


@pytest.mark.parametrize(
    ("names", "earlier", "expected"),
    [
        (["check", "train@b", "prepare", "train@a"], [], ["check", "prepare", "train@a", "train@b"]),
        (["train@b", "check", "report", "train@a"], ["train@b", "check"], ["train@b", "check", "train@a", "report"]),
        (["gone", "report", "prepare"], ["gone"], ["gone", "prepare", "report"]),
        (["other", "report", "prepare"], [], ["prepare", "report", "other"]),
    ],
)
def test_new_entries_follow_the_earlier_ones_in_the_order_of_one_repro(write_lock, names, earlier, expected):
    sorted_bytes = write_lock(*expected)
    write_lock(*names)
    put_in_order(earlier, ORDER)
    assert Path("dvc.lock").read_bytes() == sorted_bytes


def test_a_lock_in_order_is_not_written_again(write_lock):
    write_lock(*ORDER)
    before = Path("dvc.lock").stat()
    put_in_order([], ORDER)
    assert Path("dvc.lock").stat().st_ino == before.st_ino


@pytest.mark.parametrize("content", ["", "schema: '2.0'\n", "<<<<<<< HEAD\nstages:\n  b: 1\n", "stages: {}\n"])
def test_a_lock_of_another_form_stays_as_it_is(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    put_in_order([], ORDER)
    assert not Path("dvc.lock").exists()
    Path("dvc.lock").write_text(content)
    put_in_order([], ORDER)
    assert Path("dvc.lock").read_text() == content


def test_a_lock_that_was_cut_off_anywhere_gets_its_entries_back(write_lock):
    """At any length that DVC can leave of it; what was written since the earlier state stays if the cut comes later."""
    earlier = write_lock("check", "train@a", "train@b")
    content = write_lock("check", "train@a", "train@b", "report").replace(b"command train@a", b"other command", 1)
    for length in range(0, len(content), 7):
        Path("dvc.lock").write_bytes(content[:length])
        repair(earlier)
        stages = COMPILED_LOCKFILE_SCHEMA(load_yaml("dvc.lock"))["stages"]
        assert list(stages)[:3] == ["check", "train@a", "train@b"], length
        if length > content.index(b"  train@b:") + len("  train@b:"):
            assert "other command" in stages["train@a"]["cmd"], length


def test_a_lock_that_is_whole_is_not_repaired(write_lock):
    earlier, content = write_lock("check"), write_lock("check", "train@a")
    repair(earlier)
    assert read_lock() == content
    Path("dvc.lock").unlink()
    repair(b"")
    assert read_lock() == b"" and not Path("dvc.lock").exists()
