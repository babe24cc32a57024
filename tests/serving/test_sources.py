"""Which versions the registry offers, and when it is asked."""

import sqlite3
from types import SimpleNamespace

import pytest

from convzoo.errors import ConvzooError
from convzoo.serving import sources
from convzoo.serving.champions import Champions
from convzoo.serving.sources import Registry, Release, Snapshot, wanted


def release(alias: str, version: int) -> Release:
    return Release("net", alias, version, None, lambda folder: None)


def test_the_champion_comes_before_the_candidate_and_an_alias_before_both():
    both = {"candidate": release("candidate", 2), "champion": release("champion", 1), "v3": release("v3", 3)}
    assert wanted(both, None).version == 1
    assert wanted({"candidate": both["candidate"]}, None).version == 2
    assert wanted(both, "v3").version == 3
    assert wanted(both, "staging") is wanted({}, None) is None


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """A registry with a database that is only a file, and what it answers."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "mlflow.db").write_text("1")
    monkeypatch.setattr(sources, "_ask", lambda question: Snapshot({"net": {}}))
    return Registry()


def test_a_database_is_read_again_only_when_it_was_written_to(registry, tmp_path):
    assert registry.has_changed()
    registry.snapshot()
    assert not registry.has_changed()
    (tmp_path / "mlflow.db").write_text("22")
    assert registry.has_changed()
    registry.snapshot()
    (tmp_path / "mlflow.db-wal").write_text("what was written last")
    assert registry.has_changed()


def test_a_question_that_failed_is_asked_again(registry, monkeypatch):
    def busy(_: object) -> Snapshot:
        raise ConvzooError("busy")

    monkeypatch.setattr(sources, "_ask", busy)
    with pytest.raises(ConvzooError, match="busy"):
        registry.snapshot()
    assert registry.has_changed()


def test_a_tracking_server_is_asked_every_few_seconds(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(sources.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(sources, "_ask", lambda question: Snapshot())
    registry = Registry()
    assert registry.has_changed()
    registry.snapshot()
    clock.now += sources.SERVER_INTERVAL - 0.1
    assert not registry.has_changed()
    clock.now += 0.1
    assert registry.has_changed()


def test_a_busy_database_is_a_problem_and_mlflow_is_not_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")

    def locked() -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(sources, "Reader", locked)
    monkeypatch.setattr(sources.store, "use_store", lambda: pytest.fail("MLflow was asked"))
    champions = Champions(Registry())
    champions.refresh()
    assert "cannot be read (OperationalError: database is locked)" in champions.problems["registry"]


def test_without_mlflow_a_tracking_server_cannot_be_read(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")

    def missing() -> None:
        raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")

    monkeypatch.setattr(sources.store, "use_store", missing)
    with pytest.raises(ConvzooError, match=r"http://127\.0\.0\.1:9: cannot be read without MLflow ") as error:
        Registry().snapshot()
    assert "secret" not in str(error.value)
