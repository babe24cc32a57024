"""What a command says of a store that fails."""

from collections.abc import Iterator
from contextlib import contextmanager

from convzoo.tracking import store


@contextmanager
def answering(what: str, then: str = "mend it, then run the same again") -> Iterator[None]:
    """Raises TrackingError where the store fails inside; `what` could not be done, and `then` is to be done."""
    try:
        yield
    except store.FAILURES as error:
        raise store.TrackingError(
            f"{what} ({store.first_line(error)}), expected a store that answers; {then}"
        ) from error
