"""The study that workers share: which trials count, which are dropped, and which are tried again."""

import threading

import optuna
import pytest

from convzoo.errors import ConvzooError
from convzoo.processes import process_name
from convzoo.settings.search import Choices, Range, Searched
from convzoo.trials import study
from convzoo.trials.study import DROPPED, ERROR, RETRY_OF, VALUES, WORKER, counted_trials, open_study

RATE = Searched(("learning_rate",), Range(low=0.001, high=0.1, log=True), is_whole=False)
SIZES = Searched(("fast", "widths"), Choices(choices=[[8, 16], [16, 32], [8, 8]]), is_whole=False)
COUNT = Searched(("shift",), Range(low=0, high=2, log=False), is_whole=True)
DEAD = f"{process_name().split()[0]} 999999999 1.00"


@pytest.fixture
def storage(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


def opened(storage: str, *searched: Searched) -> study.Study:
    return open_study("net", storage, searched or [RATE], higher_is_better=True)


def start(shared: study.Study, values: dict | None, worker: str | None = DEAD) -> int:
    """A trial that a worker began and did not end; its number."""
    trial = shared.study.ask()
    if values:
        trial.set_user_attr(VALUES, values)
    if worker:
        trial.set_user_attr(WORKER, worker)
    return trial.number


def test_values_are_of_the_kind_of_the_setting_and_have_few_digits(storage):
    shared = opened(storage, RATE, SIZES, COUNT)
    for _ in range(5):
        shared.run_one(5, lambda attempt: 0.5)
    drawn = [trial.user_attrs[VALUES] for trial in shared.trials()]
    assert all(len(f"{values['learning_rate']:.10g}".lstrip("0.")) <= 4 for values in drawn)
    assert all(0.001 <= values["learning_rate"] <= 0.1 for values in drawn)
    assert all(values["fast.widths"] in SIZES.space.choices and values["shift"] in (0, 1, 2) for values in drawn)
    assert {type(values["shift"]) for values in drawn} == {int}
    assert shared.run_one(5, lambda attempt: 0.5) is None, "there are five"


def test_the_best_is_the_first_of_those_with_the_best_metric(storage):
    for higher, best in ((True, 1), (False, 0)):
        shared = open_study(f"net-{higher}", storage, [RATE], higher)
        outcomes = iter([0.2, 0.7, 0.7, 0.2])
        for _ in range(4):
            shared.run_one(4, lambda attempt, outcomes=outcomes: next(outcomes))
        assert shared.best().number == best


def test_a_trial_whose_worker_died_is_tried_again_once_and_tagged_with_its_number(storage):
    shared = opened(storage)
    number = start(shared, {"learning_rate": 0.05})
    attempts = []
    for _ in range(2):
        shared.run_one(1, lambda attempt: attempts.append((attempt.values, attempt.retry_of)) or 0.5)
    assert attempts == [({"learning_rate": 0.05}, number)]
    assert [trial.state.name for trial in shared.trials()] == ["FAIL", "COMPLETE"]
    assert counted_trials(shared.trials()).keys() == {number}


def test_a_worker_of_this_machine_that_lives_keeps_its_trial(storage):
    shared = opened(storage)
    start(shared, {"learning_rate": 0.05}, process_name())
    start(shared, {"learning_rate": 0.06}, "another-machine 1 1.00")
    shared.recover()
    assert [trial.state.name for trial in shared.trials()] == ["RUNNING", "RUNNING"]
    assert shared.run_one(2, lambda attempt: 0.5) is None


def test_a_worker_elsewhere_that_gives_no_sign_of_life_loses_its_trial(storage, monkeypatch):
    monkeypatch.setattr(study, "HEARTBEAT", 1)
    monkeypatch.setattr(study, "GRACE", 1)
    shared = opened(storage)
    start(shared, {"learning_rate": 0.05}, "another-machine 1 1.00")
    shared.study._storage.record_heartbeat(shared.study.trials[0]._trial_id)
    threading.Event().wait(2.5)
    assert shared.run_one(1, lambda attempt: 0.5).user_attrs[RETRY_OF] == 0


def test_a_stopped_trial_is_tried_again_and_a_failed_one_is_not(storage):
    shared = opened(storage)

    def stopped(attempt):
        raise ConvzooError("stopped")

    def failed(attempt):
        raise attempt.failed("not finite")

    with pytest.raises(ConvzooError):
        shared.run_one(2, stopped)
    assert shared.run_one(2, failed).user_attrs[RETRY_OF] == 0
    assert shared.run_one(2, lambda attempt: 0.5).user_attrs.keys() >= {VALUES, WORKER}
    assert shared.run_one(2, lambda attempt: 0.5) is None
    assert [trial.user_attrs.get(ERROR) for trial in shared.trials()] == [None, "not finite", None]


def test_an_error_in_the_training_of_any_kind_is_raised(storage):
    shared = opened(storage)
    for kind in (ValueError, KeyError):

        def broken(attempt, kind=kind):
            raise kind("a bug")

        with pytest.raises(kind, match="a bug"):
            shared.run_one(1, broken)


def test_a_training_that_another_worker_gave_a_new_attempt_meanwhile_ends_without_an_error(storage):
    shared = opened(storage)

    def slow(attempt) -> float:
        opened(storage).study.tell(attempt.number, state=optuna.trial.TrialState.FAIL)
        return 0.5

    assert shared.run_one(1, slow).state.name == "FAIL"
    assert shared.run_one(1, lambda attempt: 0.5).user_attrs[RETRY_OF] == 0


def test_of_trials_with_the_same_values_the_first_one_trains(storage):
    shared = opened(storage, COUNT)
    start(shared, {"shift": 1}, "another-machine 1 1.00")
    trained = []
    while shared.run_one(3, lambda attempt: trained.append(attempt.values["shift"]) or 0.5):
        pass
    assert sorted(trained) == [0, 2]
    assert {trial.user_attrs.get(DROPPED) for trial in shared.trials()} <= {
        None, "same values as trial 0", *(f"same values as trial {trial.number}" for trial in shared.trials()),
    }  # fmt: skip


def test_two_workers_at_once_have_exactly_the_wanted_number_of_trials(storage):
    trained, lock = [], threading.Lock()

    def objective(attempt) -> float:
        with lock:
            trained.append(attempt.values["learning_rate"])
        return 0.5

    def work() -> None:
        shared = opened(storage)
        while shared.run_one(7, objective):
            pass

    opened(storage)
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted = counted_trials(opened(storage).trials())
    assert len(counted) == len(trained) == len(set(trained)) == 7


def test_a_trial_that_died_before_it_had_values_counts_for_nothing(storage):
    shared = opened(storage)
    start(shared, None)
    assert shared.run_one(1, lambda attempt: 0.5).number == 1
    assert counted_trials(shared.trials()).keys() == {1}


def test_a_second_new_attempt_of_the_same_trial_is_dropped(storage):
    shared = opened(storage)
    start(shared, {"learning_rate": 0.05})
    shared.recover()
    again = shared.trials()[1]
    shared.study.add_trial(again)  # as another worker would at the same moment
    trained = []
    for _ in range(2):
        shared.run_one(1, lambda attempt: trained.append(attempt.number) or 0.5)
    assert trained == [1] and [trial.state.name for trial in shared.trials()][:2] == ["FAIL", "COMPLETE"]
    assert optuna.trial.TrialState.RUNNING not in {trial.state for trial in shared.trials()}


def test_workers_that_create_the_tables_at_the_same_moment_all_get_the_study(storage):
    together, names = threading.Barrier(4), []

    def work() -> None:
        together.wait()
        names.append(opened(storage).study.study_name)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["net"] * 4
