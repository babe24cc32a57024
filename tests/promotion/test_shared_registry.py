"""Clones that share a tracking server: who wins, what each knows of the others, and what a lost connection leaves."""

import json
from contextlib import chdir

import pytest
import requests
from helpers.clones import false_promotions, ledger_of
from helpers.promotions import aliases, version, write_params
from helpers.shared_server import copy_of, new_clone, start

from convzoo.errors import ConvzooError
from convzoo.promotion import outcome, promote
from convzoo.promotion.attempt import RECORD, recorded_lines
from convzoo.promotion.ledger import FORCED, PROMOTED, REFUSED, ROLLED_BACK
from convzoo.tracking import store

TRIES = 4
KILLED = """
import os, sys
from convzoo.promotion import gate, promote
evaluate = gate.evaluate_split
gate.evaluate_split = lambda split, *rest: os._exit(9) if split == "test" else evaluate(split, *rest)
promote.promote(sys.argv[1], 1)
"""


@pytest.fixture
def clones(shared_store, network, tmp_path):
    """Two clones of a project whose gate every version passes if it is not much worse."""
    first = new_clone(tmp_path / "first", network)
    with chdir(first):
        write_params(network, rule="not_worse_by", not_worse_by=0.9)
    return [first, copy_of(first, tmp_path / "second")]


@pytest.fixture
def registered(clones, network):
    """The name of a network with two versions."""
    with chdir(clones[0]):
        for seed in range(2):
            version(network, "good", seed=seed)
    return network


def records_of(network: str) -> list[dict]:
    return recorded_lines(store.use_store(), network)


def test_of_two_that_promote_at_once_one_wins_and_the_other_gets_a_message(clones, network, shared_store):
    assert false_promotions(clones, network, TRIES, MLFLOW_TRACKING_URI=shared_store) == []
    won = [line for clone in clones for line in ledger_of(clone)]
    assert len(won) == TRIES and {line["what"] for line in won} == {PROMOTED}
    records = records_of(network)
    assert len(records) == 2 * TRIES, "those that lost looked at test too"
    assert {line["id"] for line in won} == {line["id"] for line in records if line["what"] == PROMOTED}


def test_looks_at_test_are_counted_over_all_clones_and_ledgers(clones, registered, shared_store):
    first, second = clones
    with chdir(first):
        promote.promote(registered, 1)
    with chdir(second):
        result = promote.promote(registered, 2)
    assert result.messages[-1].endswith("have been used by 2 promotions so far")
    assert [ledger_of(clone)[0]["looks_at_test"] for clone in clones] == [1, 2]

    killed = start(first, KILLED, registered, MLFLOW_TRACKING_URI=shared_store)
    killed.communicate()
    assert killed.returncode == 9 and records_of(registered)[-1]["what"] == "unfinished"

    before = {"when": "2026-01-01T00:00:00Z", "who": "Ada", "what": PROMOTED, "network": registered, "version": 1}
    before |= {"champion_before": None, "test_images": ledger_of(first)[0]["test_images"], "looked_at_test": True}
    with chdir(second):  # a promotion from before there was a server, merged with git
        lines = [before, *ledger_of(first), *ledger_of(second)]
        (second / "promotions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        version(registered, "good", seed=2)
        promote.promote(registered, 3)
    assert ledger_of(second)[-1]["looks_at_test"] == 5


def test_who_fails_on_val_is_not_counted(clones, registered):
    with chdir(clones[0]):
        promote.promote(registered, 1)
        write_params(registered, rule="better")
        assert not promote.promote(registered, 2).done
    assert [line["what"] for line in records_of(registered)] == [PROMOTED]
    assert ledger_of(clones[0])[-1]["what"] == REFUSED


def test_a_version_forced_in_one_clone_and_rolled_back_does_not_come_back_in_another(clones, registered):
    first, second = clones
    with chdir(first):
        promote.promote(registered, 1)
        write_params(registered, rule="better")
        assert promote.promote(registered, 2, force=True, reason="a demo").done
    with chdir(second):
        said = []
        promote.rollback(registered, announce=said.append)
        assert "version 2 (forced" in said[0] and ": a demo)" in said[0]
    assert [line["what"] for line in records_of(registered)] == [PROMOTED, FORCED, ROLLED_BACK]
    with chdir(first), pytest.raises(ConvzooError, match="was forced past the gate and then rolled back"):
        promote.rollback(registered)


def test_a_tag_that_was_changed_by_hand_is_left_out(clones, registered):
    client = store.use_store()
    for key, value in (("1", "no JSON"), ("2", "[]"), ("3", '{"what": "promoted"}')):
        client.set_registered_model_tag(registered, RECORD + key, value)
    with chdir(clones[0]):
        assert promote.promote(registered, 1).done
    assert ledger_of(clones[0])[0]["looks_at_test"] == 1


class Requests:
    """All requests of this process; after one to `lost`, the end of an address, no answer arrives any more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lost, self.is_down = None, False
        send = requests.Session.send

        def answered(session: requests.Session, request: requests.PreparedRequest, **more: object) -> object:
            if self.is_down:
                raise requests.ConnectionError("the connection is lost")
            response = send(session, request, **more)
            if self.lost and request.method == "POST" and request.path_url.endswith(self.lost):
                self.is_down = True
                raise requests.ConnectionError("the connection is lost")
            return response

        monkeypatch.setattr(requests.Session, "send", answered)

    def restore(self) -> None:
        self.lost, self.is_down = None, False


def test_a_promotion_whose_connection_is_lost_is_completed_by_the_next_one(clones, registered, monkeypatch, capfd):
    first, second = clones
    sent, ends = Requests(monkeypatch), []
    moment = {"the look": (promote, "_run_gate", "set-tag"), "the alias": (outcome, "set_alias", "alias")}
    moment |= {"the verdict": (outcome, "record_verdict", "set-tag")}
    with chdir(first):
        assert promote.promote(registered, 1).done
    for name, (module, function, request) in moment.items():
        champion = aliases(registered)["champion"]
        candidate = 2 if champion == 1 else 1
        original = getattr(module, function)

        def lose(*arguments: object, original=original, name=name, request=request) -> object:
            if name != "the alias" or arguments[2] == "champion":
                sent.lost = request
            return original(*arguments)

        with chdir(first), monkeypatch.context() as patched:
            patched.setattr(module, function, lose)
            with pytest.raises(store.TrackingError, match="the connection is lost"):
                promote.promote(registered, candidate)
        sent.restore()
        for tag in store.use_store().get_registered_model(registered).tags:
            if tag.startswith("convzoo.lock."):  # as if it had expired
                store.use_store().delete_registered_model_tag(registered, tag)
        ends.append(aliases(registered)["champion"] == candidate)
        with chdir(second if name == "the verdict" else first):
            result = promote.promote(registered, candidate)
        assert result.done and aliases(registered)["champion"] == candidate
        is_completed = f"{registered}: the interrupted promotion of version {candidate} is now recorded"
        assert (is_completed in result.messages) == ends[-1]
        found = store.use_store().get_model_version(registered, str(candidate))
        assert found.tags["convzoo.promotion.verdict"] == PROMOTED
        assert records_of(registered)[-1]["what"] == PROMOTED
    assert ends == [False, True, True]
    assert "expires after" in capfd.readouterr().err
    with chdir(first):
        assert promote.promote(registered, candidate).messages == [
            f"{registered}: version {candidate} is already the champion; nothing changed"
        ]
