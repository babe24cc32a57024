"""What is shown of a run, from the lines that DVC and the stages print."""

import io
from importlib.util import find_spec
from pathlib import Path

import pytest

from convzoo.errors import ConvzooError
from convzoo.repro.durations import (
    FILE,
    REFERENCE,
    estimate,
    read_durations,
    save_durations,
    write_reference,
)
from convzoo.repro.plan import Plan, Stage
from convzoo.repro.progress import LINES, Display, Progress, duration

NAMES = ("check", "train@a", "train@b", "report")


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def progress(clock):
    """Of four stages that all have to run, and of which two ran before."""
    stages = {name: Stage("run", [], [], [], always=False) for name in NAMES}
    progress = Progress(Plan(stages, {}, {}, []), {"check": 2.0, "train@a": 100.0}, {}, clock)
    progress.begin()
    return progress


def read(progress, clock, *lines: tuple[float, str]) -> None:
    """Lines, and the time at which each is printed."""
    for clock.now, line in lines:
        progress.read(line, progress.works[0])


def test_the_stages_of_a_run_are_counted_and_timed(progress, clock):
    read(
        progress,
        clock,
        (1, "Running stage 'check':"),
        (1, "> python pipeline/check.py"),
        (2, "a module changed: train-dcgan"),
        (4, "Updating lock file 'dvc.lock'"),
        (4, ""),
        (5, "Stage 'train@a' didn't change, skipping"),
        (6, "Stage 'train@b' is cached - skipping run, checking out outputs"),
        (8, "Running stage 'report':"),
    )
    assert progress.status == {"check": "ran", "train@a": "unchanged", "train@b": "cached"}
    assert progress.seconds == {"check": 4.0} and progress.messages == {"check": ["a module changed: train-dcgan"]}
    clock.now = 19
    assert progress.text() == "[4/4] report, 11 s", "it takes longer than was expected"
    progress.finish(progress.works[0])
    assert progress.status["report"] == "ran" and progress.seconds["report"] == 11


def test_the_time_left_comes_from_earlier_runs_and_of_a_training_from_its_epochs(progress, clock):
    read(progress, clock, (0, "Running stage 'train@a':"))
    clock.now = 30
    assert progress.seconds_left() == 2 + 70 + 100 + 2, "train@b never ran: as long as the other training"
    read(progress, clock, (60, "a epoch 2/10 learning_rate 0.1 train_loss 1.2 (10.0 s)"))
    clock.now = 64
    assert progress.seconds_left() == 2 + (8 * 10 - 4) + 100 + 2
    assert progress.text() == "[1/4] train@a, epoch 2/10, 1 min 4 s, about 3 min left"


def test_without_earlier_runs_the_time_left_is_that_of_the_epochs_of_this_stage(progress, clock):
    progress.durations.clear()
    read(progress, clock, (0, "Running stage 'train@a':"), (20, "a epoch 1/5 train_loss 1.2 (15.0 s)"))
    assert progress.text() == "[1/4] train@a, epoch 1/5, 20 s, about 1 min left in this stage"


def test_where_nothing_ran_yet_the_time_left_is_that_of_the_reference_scaled_by_the_stages_that_ran(clock):
    stages = {name: Stage("run", [], [], [], always=False) for name in NAMES}
    reference = {"check": 2.0, "train@a": 100.0, "train@b": 50.0, "report": 8.0}
    progress = Progress(Plan(stages, {}, {}, []), {}, reference, clock)
    progress.begin()
    read(progress, clock, (0, "Running stage 'check':"))
    assert progress.text() == "[1/4] check, 0 s, about 2 min 40 s left"
    read(progress, clock, (4, "Running stage 'train@a':"))
    assert progress.seconds_left() == 2 * (100 + 50 + 8), "check took twice as long"
    read(progress, clock, (82, "Running stage 'train@b':"))  # check and train@a: 82 s instead of 102
    assert progress.seconds_left() == pytest.approx(82 / 102 * (50 + 8))


def test_a_run_of_unknown_length_has_no_total(clock):
    progress = Progress(Plan({}, {}, {}, []), {}, {}, clock)
    progress.begin()
    read(progress, clock, (0, "Running stage 'other':"))
    assert progress.text() == "[1] other, 0 s"


def test_a_terminal_has_one_line_that_is_overwritten(progress, clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "24")
    progress.durations.clear()
    terminal = Terminal()
    display = Display(progress, terminal)
    for line in ("Running stage 'train@a':", "Running stage 'report':"):
        progress.read(line, progress.works[0])
        display.update()
    display.clear()
    first, second, gone = terminal.getvalue().split("\r")[1:4]
    assert (first, second) == ("[1/4] train@a, 0 s", "[2/4] report, 0 s ")
    assert gone.isspace() and len(gone) >= len(second.rstrip())
    read(progress, clock, (5000, "report epoch 1/9 loss 1 (600.0 s)"))
    display.update()
    assert len(terminal.getvalue().rpartition("\r")[2]) < 24


def test_elsewhere_each_stage_that_ran_has_a_line_and_a_long_one_has_more(progress, clock):
    output = io.StringIO()
    display = Display(progress, output)
    for seconds, line in (
        (0, "Running stage 'check':"),
        (7, "Stage 'train@a' didn't change, skipping"),
        (7, "Stage 'train@b' is cached - skipping run, checking out outputs"),
        (8, "Running stage 'report':"),
        (67, None),
        (68, None),
        (70, None),
    ):
        clock.now = seconds
        if line:
            progress.read(line, progress.works[0])
        display.update()
    progress.finish(progress.works[0])
    display.update()
    assert output.getvalue().splitlines() == [
        "[1/4] check: 7 s",
        "[3/4] train@b: restored from DVC's cache",
        "[4/4] report, 1 min",  # a minute after it began
        "[4/4] report: 1 min 2 s",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.6, "1 min"),
        (72, "1 min 12 s"),
        (600, "10 min"),
        (3599, "59 min"),
        (7500, "2 h 5 min"),
        (7200, "2 h"),
    ],
)
def test_a_time_is_text_with_two_units_at_most(seconds, text):
    assert duration(seconds) == text


def test_durations_of_a_profile_are_kept_and_updated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_durations("starter") == {}
    save_durations("starter", {"check": 2.04, "report": 3})
    save_durations("test", {"check": 1})
    save_durations("starter", {"check": 4})
    assert read_durations("starter") == {"check": 4, "report": 3} and read_durations("test") == {"check": 1}


def test_the_reference_of_a_profile_is_that_of_the_last_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConvzooError, match="has no durations of the profile starter, expected some; run: "):
        write_reference("starter")
    REFERENCE.parent.mkdir()
    for profile, seconds in (("starter", 5.0), ("test", 1.0), ("starter", 4.0)):
        save_durations(profile, {"check": seconds})
        write_reference(profile)
    assert [read_durations(profile, REFERENCE) for profile in ("starter", "test")] == [{"check": 4.0}, {"check": 1.0}]


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"starter": {"check": null}}', '{"starter": 3}'])
def test_damaged_durations_count_as_none(tmp_path, monkeypatch, damaged):
    monkeypatch.chdir(tmp_path)
    FILE.parent.mkdir()
    FILE.write_text(damaged)
    assert read_durations("starter") == {}
    save_durations("starter", {"check": 4})
    assert read_durations("starter") == {"check": 4}


def test_a_stage_that_never_ran_counts_like_those_of_its_kind():
    seconds = {"export@a": 4.0, "export@b": 8.0, "check": 1.5, "train@a": 100.0}
    assert estimate(["export@a", "export@c", "train@b"], seconds) == 4 + 6 + 100
    assert estimate(["report"], seconds) == (4 + 8 + 1.5) / 3, "a kind of its own: like all that do not train"
    del seconds["train@a"]
    assert estimate(["report", "train@b"], seconds) is None and estimate(["report"], {}) is None


def test_the_lines_are_those_that_this_dvc_prints():
    """The messages in the source code of DVC, with a stage's name filled in."""
    folder = Path(find_spec("dvc").origin).with_name("stage")
    source = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))
    messages = {
        "running": "Running stage '%s':",
        "unchanged": "Stage '%s' didn't change, skipping",
        "cached": "Stage '%s' is cached - skipping run, checking out outputs",
    }
    for status, message in messages.items():
        assert message in source and LINES[status].fullmatch(message % "train@a")[1] == "train@a"


@pytest.fixture
def several(clock):
    """The progress of three networks, of which two run at once and one waits; `report` comes last."""
    names = ["check", *(f"{verb}@{name}" for verb in ("train", "export") for name in "abc"), "report"]
    stages = {name: Stage("run", [], [], [], always=False) for name in names}
    durations = {"check": 2.0, "report": 4.0} | {f"train@{name}": 60.0 for name in "abc"}
    progress = Progress(Plan(stages, {}, {}, []), durations | {f"export@{name}": 10.0 for name in "abc"}, {}, clock)
    check = progress.begin()
    progress.read("Running stage 'check':", check)
    progress.finish(check)
    progress.end(check)
    progress.places = 2
    for name in "ab":
        work = progress.begin([f"train@{name}", f"export@{name}"])
        progress.read(f"Running stage 'train@{name}':", work)
    progress.queue = [["train@c", "export@c"]]
    return progress


def test_one_line_names_the_stages_of_all_jobs(several, clock):
    clock.now = 40
    several.read("a epoch 3/9 train_loss 1.2 (5.0 s)", several.works[0])
    # a: 6 epochs and the export, b: 20 s and the export; c takes the place of b.
    assert several.seconds_left() == max(30 + 10, 20 + 10 + 70) + 4
    assert several.text() == "[3/8] 2 jobs: train@a epoch 3/9, train@b, about 1 min 44 s left"
    assert several.text(50) == "[3/8] 2 jobs: train@a epoch 3/9, 1 more, about 1 min 44 s left"


def test_the_last_job_alone_is_shown_like_any_other_stage(several, clock):
    clock.now = 30
    several.queue = []
    several.end(several.works[0])
    cached = several.begin(["train@c", "export@c"])
    for name in cached.names:
        several.read(f"Stage '{name}' is cached - skipping run, checking out outputs", cached)
    several.end(cached)
    assert several.status["train@a"] == "failed"
    assert several.text() == "[5/8] train@b, 30 s, about 44 s left", "30 s, export@b, and report"


def test_the_time_left_of_several_jobs_is_unknown_while_one_of_their_stages_is(several):
    several.durations.clear()
    assert several.seconds_left() is None
    assert several.text() == "[3/8] 2 jobs: train@a, train@b"


def test_what_an_earlier_process_ran_does_not_become_unchanged_in_the_last_one(several):
    several.read("Running stage 'export@a':", several.works[0])
    several.finish(several.works[0])
    last = several.begin()
    several.read("Stage 'train@a' didn't change, skipping", last)
    assert several.status["train@a"] == several.status["export@a"] == "ran"
