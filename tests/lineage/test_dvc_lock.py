"""DVC's lock: who holds it keeps DVC and others from dvc.lock."""

import multiprocessing
from pathlib import Path

import pytest
from dvc.lock import LockError, make_lock

from convzoo.lineage import dvc_lock
from convzoo.lineage.dvc_lock import LOCK, no_dvc_writes


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """The lock of a project in which DVC has run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0.1)  # seconds
    LOCK.parent.mkdir(parents=True)
    LOCK.touch()
    return make_lock(str(LOCK))


def test_dvc_does_not_get_its_lock_meanwhile_and_gets_it_afterwards(lock):
    with no_dvc_writes() as is_alone:
        assert is_alone
        with pytest.raises(LockError):
            lock.lock()
    with lock:
        assert lock.is_locked


def test_it_waits_for_dvc_for_a_limited_time(lock, monkeypatch):
    monkeypatch.setattr(dvc_lock, "LOCK_WAIT", 0.1)
    with lock, no_dvc_writes() as is_alone:
        assert not is_alone


def test_it_is_released_if_its_holder_is_killed(lock):
    def hold(ready) -> None:
        with no_dvc_writes():
            ready.set()
            multiprocessing.Event().wait()

    context = multiprocessing.get_context("fork")
    ready = context.Event()
    holder = context.Process(target=hold, args=(ready,))
    holder.start()
    ready.wait()
    holder.kill()
    holder.join()
    with lock:
        assert lock.is_locked


def test_where_dvc_never_ran_nobody_is_kept_out_and_no_lock_appears(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (None, LOCK.parent):
        if folder:
            folder.mkdir(parents=True)
        with no_dvc_writes() as is_alone:
            assert is_alone and not Path(LOCK).exists()
