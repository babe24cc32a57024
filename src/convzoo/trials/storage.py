"""The database that keeps the study of a sweep, as Optuna's storage."""

import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from convzoo.errors import ConvzooError, first_line, without_account

WAIT = 60  # seconds for another worker that holds the sqlite database
OPEN_TRIES = 10  # a second apart
CREATED_MEANWHILE = re.compile("already exists|duplicate key|UNIQUE constraint")  # in the message of a database
FAILURES = (SQLAlchemyError, StorageInternalError)


def open_storage(storage: str, is_file: bool, heartbeat: int, grace: int) -> optuna.storages.RDBStorage:
    """Open the storage, given as a SQLAlchemy URL; `heartbeat` and `grace` are in seconds.

    Creates its tables. Another worker may do so at the same moment: then one of the two fails and tries again.
    """
    options = {"connect_args": {"timeout": WAIT}} if is_file else {"pool_pre_ping": True}
    for _ in range(OPEN_TRIES):
        try:
            with warnings.catch_warnings(action="ignore"):  # that heartbeats are experimental
                return optuna.storages.RDBStorage(
                    storage, engine_kwargs=options, heartbeat_interval=heartbeat, grace_period=grace
                )
        except (IntegrityError, ProgrammingError, OperationalError) as error:
            if not CREATED_MEANWHILE.search(str(error)):
                raise
            failure = error
            time.sleep(1)
    raise failure


@contextmanager
def failures_explained(storage: str) -> Iterator[None]:
    """Raises ConvzooError if the storage fails inside, for any error that Optuna raises then."""
    try:
        yield
    except ConvzooError:
        raise
    except Exception as error:
        failure = _failure_behind(error)
        if failure is None:
            raise
        raise ConvzooError(
            f"{without_account(storage)}: the database of the study failed ({first_line(failure)}), expected one that "
            "answers as long as the sweep runs; repair or start it, and run the same command again to continue"
        ) from error


def _failure_behind(error: BaseException | None) -> BaseException | None:
    """The database's error that led to another one, which Optuna may raise while it handles the first."""
    failure = None
    while error is not None:
        failure = error if isinstance(error, FAILURES) else failure
        error = error.__cause__ or error.__context__
    return failure
