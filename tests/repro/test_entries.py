"""The order of the entries in dvc.lock."""

from pathlib import Path

import pytest
from dvc.utils.serialize import dump_yaml

from convzoo.repro.entries import put_in_order

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
