"""The lock in a registry that clones share: one holder at a time, and none that is dead."""

import signal
import threading
import time
from types import SimpleNamespace

import pytest
from helpers.shared_server import start

from convzoo.tracking import locks, store
from convzoo.tracking.locks import LOCK, ServerLock, locked

HOLD = """
import sys
from convzoo.tracking.locks import locked
with locked(sys.argv[1], "promote"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def registered(shared_store, request) -> str:
    """A registered model of this test alone."""
    name = request.node.name[-60:].replace("[", "-").replace("]", "")
    store.use_store().create_registered_model(name)
    return name


def tags_of(network: str) -> list[str]:
    return [tag for tag in store.use_store().get_registered_model(network).tags if tag.startswith(LOCK)]


def test_threads_have_it_one_after_another_and_leave_nothing(registered, monkeypatch):
    monkeypatch.setattr(locks, "POLL", 0.01)
    inside, together, turns = [], [], []

    def work() -> None:
        for _ in range(2):
            with locked(registered, "promote"):
                inside.append(1)
                together.append(len(inside))
                time.sleep(0.01)
                inside.pop()
            turns.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [1] * 6 and len(turns) == 6
    assert tags_of(registered) == []


def test_a_registration_does_not_wait_for_a_promotion(registered):
    with locked(registered, "promote"), locked(registered, "register"):
        assert len(tags_of(registered)) == 2


def test_who_holds_it_for_too_long_is_named(registered, project, shared_store, monkeypatch, capsys):
    holder = start(project, HOLD, registered, MLFLOW_TRACKING_URI=shared_store)
    assert holder.stdout.readline() == "held\n"
    monkeypatch.setattr(locks, "WAIT", 1)
    monkeypatch.setattr(locks, "ANNOUNCE", 0)
    with pytest.raises(store.TrackingError, match=rf"on .* \(process {holder.pid}\) held the lock for 1 s, expected"):
        locked(registered, "promote").__enter__()
    assert f"{registered}: waiting, since " in capsys.readouterr().err
    assert len(tags_of(registered)) == 1, "only that of the holder"
    holder.communicate()
    with locked(registered, "promote"):
        pass
    assert tags_of(registered) == []


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_a_holder_that_dies_or_stands_still_keeps_it_until_it_expires(
    registered, project, shared_store, monkeypatch, request, end
):
    holder = start(project, HOLD, registered, MLFLOW_TRACKING_URI=shared_store)
    request.addfinalizer(lambda: (holder.kill(), holder.communicate()))
    assert holder.stdout.readline() == "held\n"
    holder.send_signal(end)
    [dead] = tags_of(registered)
    monkeypatch.setattr(locks, "EXPIRY", 3)
    seen = []
    alive = ServerLock._alive
    monkeypatch.setattr(ServerLock, "_alive", lambda lock, tags: seen.append({**tags}) or alive(lock, tags))
    with locked(registered, "promote"):
        assert len(seen) > 1 and all(dead in tags for tags in seen), "it waited, and removed the tag afterwards"
        assert dead not in tags_of(registered)


def test_a_connection_that_is_lost_while_it_is_acquired_leaves_no_lock(monkeypatch):
    tags = {f"{LOCK}promote.dead": "of a holder that died"}

    def remove(network: str, key: str) -> None:
        if key.endswith("dead"):
            raise ConnectionError("lost")
        del tags[key]

    client = SimpleNamespace(
        get_registered_model=lambda network: SimpleNamespace(tags={**tags}),
        set_registered_model_tag=lambda network, key, value: tags.update({key: value}),
        delete_registered_model_tag=remove,
    )
    monkeypatch.setattr(locks, "EXPIRY", 0)
    with pytest.raises(ConnectionError):
        ServerLock(client, "net", "promote").acquire()
    assert [*tags] == [f"{LOCK}promote.dead"]


def test_a_holder_that_renews_is_not_dead(registered, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(locks, "_now", lambda: clock[0])
    holder, other = (ServerLock(store.use_store(), registered, "promote") for _ in range(2))
    holder._set()
    for _ in range(3):
        assert [*other._alive(other._tags())] == [holder.key]
        clock[0] += locks.EXPIRY - 1
        assert [*other._alive(other._tags())] == [holder.key]
        holder._set()
    other._alive(other._tags())
    clock[0] += locks.EXPIRY
    assert not other._alive(other._tags())
    holder._set()
    assert [*other._alive(other._tags())] == [holder.key]


def test_a_holder_that_stood_still_notices_and_leaves_the_next_ones_lock_alone(registered, monkeypatch):
    first = ServerLock(store.use_store(), registered, "promote")
    first.acquire()
    first.check()
    monkeypatch.setattr(locks, "EXPIRY", 0.5)
    second = ServerLock(store.use_store(), registered, "promote")
    second.acquire()
    with pytest.raises(store.TrackingError, match="another process may have it"):
        first.check()
    first.release()
    second.check()
    assert tags_of(registered) == [second.key]
    second.release()


def test_a_holder_whose_renewals_fail_writes_nothing_more(registered, monkeypatch):
    monkeypatch.setattr(locks, "RENEW_EVERY", 0.05)
    monkeypatch.setattr(locks, "SAFE", 5)
    with locked(registered, "promote") as lock:
        lock.check()
        with monkeypatch.context() as lost:
            lost.setattr(locks, "SAFE", 0.1)
            lost.setattr(lock, "_set", lambda: (_ for _ in ()).throw(ConnectionError("lost")))
            lock._thread.join(30)
        with pytest.raises(store.TrackingError, match="was not renewed"):
            lock.check()


def test_a_renewal_that_comes_late_does_not_bring_a_lost_lock_back(registered, monkeypatch):
    monkeypatch.setattr(locks, "RENEW_EVERY", 0.05)
    with locked(registered, "promote") as lock:
        monkeypatch.setattr(locks, "SAFE", 0.01)  # each renewal comes later than that
        lock._thread.join(30)
        monkeypatch.setattr(locks, "SAFE", 30)
        with pytest.raises(store.TrackingError, match="was not renewed"):
            lock.check()


def test_tags_that_somebody_wrote_by_hand_expire_too(registered, monkeypatch):
    store.use_store().set_registered_model_tag(registered, f"{LOCK}promote.0", "mine")
    monkeypatch.setattr(locks, "WAIT", 0.1)
    with pytest.raises(store.TrackingError, match="somebody held the lock"):
        locked(registered, "promote").__enter__()
    monkeypatch.setattr(locks, "WAIT", 60)
    monkeypatch.setattr(locks, "EXPIRY", 0.5)
    with locked(registered, "promote"):
        pass
    assert tags_of(registered) == []
