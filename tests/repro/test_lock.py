"""Why dvc.lock changed in a run."""

import copy
import hashlib
from pathlib import Path

import pytest
from helpers.project import ROOT

from convzoo.files import write_json
from convzoo.repro import lock
from convzoo.training import fingerprint as fingerprints

NET = "train@net"
IDENTITY_FILE = "models/net/fingerprint.json"


def identity(**compute: object) -> dict:
    """What a training writes to fingerprint.json."""
    settled = {"device": "cpu", "precision": "bf16", "threads": 2, "deterministic": True} | compute
    return fingerprints.fingerprint({"family": "one", "rate": 0.1, "name": "é"}, settled, {"train": "a"})


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """dvc.lock of a small pipeline whose training ran here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fingerprints, "stage_code", lambda *_: {"modules": {"m": "1"}, "versions": {"torch": "2"}})
    monkeypatch.setattr(lock, "processor", lambda: "a processor")
    write_json(Path(IDENTITY_FILE), identity())
    return {
        "check": {"cmd": "check", "outs": [{"path": "data/code", "md5": "1"}]},
        "prepare@set": {
            "cmd": "prepare",
            "deps": [{"path": "data/code/prepare.json", "md5": "1"}],
            "outs": [{"path": "data/prepared/set", "md5": "1"}],
        },
        NET: {
            "cmd": "train",
            "deps": [{"path": "data/prepared/set", "md5": "1"}, {"path": "data/code/train-one.json", "md5": "1"}],
            "params": {"params.yaml": {"networks.net": {"epochs": 3}}},
            "outs": [{"path": IDENTITY_FILE, "md5": md5()}, {"path": "models/net/weights", "md5": "1"}],
        },
    }


def md5() -> str:
    return hashlib.md5(Path(IDENTITY_FILE).read_bytes()).hexdigest()


def after(locked: dict, change) -> dict:
    now = copy.deepcopy(locked)
    change(now)
    return now


def test_a_lock_that_did_not_change_needs_no_explanation(locked):
    assert lock.explained(locked, locked) == []


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        (lambda now: now[NET]["params"]["params.yaml"].update(compute={}), {lock.SETTINGS: [NET]}),
        (lambda now: now[NET].update(cmd="train net"), {lock.SETTINGS: [NET]}),
        (lambda now: now[NET]["deps"][1].update(md5="2"), {lock.OTHER_CODE: [NET]}),
        (lambda now: now[NET]["deps"][0].update(md5="2"), {}),
        (lambda now: now[NET]["outs"][1].update(md5="2"), {lock.OTHER_RESULTS: [NET]}),
        (lambda now: now["check"]["outs"][0].update(md5="2"), {}),
        (lambda now: now.update({"train@new": now[NET]}), {lock.NEW: ["train@new"]}),
    ],
)
def test_each_stage_has_the_reason_why_it_changed(locked, change, reasons):
    assert lock.changed_stages(locked, after(locked, change)) == reasons


CODE_DEP = "data/code/train-one.json"
BEFORE = {"modules": {"m": "1"}, "versions": {"torch": "2"}, "settings": {"data.a.validate": {"least": 1}}}


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        (CODE_DEP, {"modules": {"m": "2"}}, "other code"),
        (CODE_DEP, {"versions": {"torch": "3"}}, "other package versions"),
        (CODE_DEP, {"modules": {}, "versions": {}}, "other code and other package versions"),
        (CODE_DEP, {"settings": {"data.a.validate": {"least": 2}}}, lock.SETTINGS),
        (CODE_DEP, {"settings": {}}, lock.SETTINGS),
        (CODE_DEP, {"settings": {**BEFORE["settings"], "data.b.validate": {}}}, lock.NEW_DATA),
        (CODE_DEP, {}, lock.OTHER_CODE),  # the content is not the reason, or DVC's cache lacks it
        ("data/code/source-set.json", {"modules": {"m": "2"}}, lock.OWN_FILES),
        ("data/code/file-weights.json", {}, lock.OWN_FILES),
    ],
)
def test_the_content_of_a_digest_says_what_changed(locked, path, content, reason):
    locked[NET]["deps"][1] = {"path": path, "md5": "11first"}
    write_json(lock.CACHE / "11/first", BEFORE)
    write_json(lock.CACHE / "22/second", BEFORE | content)
    now = after(locked, lambda now: now[NET]["deps"][1].update(md5="22second"))
    assert lock.explained(locked, now) == [f"{reason}: {NET}"]


def test_other_weights_of_the_same_training_are_from_another_processor(locked):
    now = after(locked, lambda now: now[NET]["outs"][1].update(md5="2"))
    assert lock.explained(locked, now) == [
        f"other results of the same settings, code, package versions and data: {NET}",
        "  net: trained on another kind of processor before; this one (a processor) rounds differently",
        "  docs/reproducibility.md says how far apart the results of other machines are",
    ]
    assert (ROOT / lock.DOCUMENT).is_file()


def test_a_training_in_another_precision_says_which(locked):
    write_json(Path(IDENTITY_FILE), identity(precision="fp32"))
    now = after(locked, lambda now: now[NET]["outs"][0].update(md5=md5()))
    message = "  net: trained with cpu and bf16 before, with cpu and fp32 on this machine (a processor)"
    assert lock.explained(locked, now)[1] == message


def test_a_training_that_differed_in_something_else_says_what_is_known(locked):
    now = copy.deepcopy(locked)
    locked[NET]["outs"][0]["md5"] = "of 64 threads"
    message = "  net: trained on another kind of machine before, with cpu and bf16 on this one (a processor)"
    assert lock.explained(locked, now)[1] == message
