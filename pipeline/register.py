"""Completes a network's run in MLflow and registers its exported model."""

from convzoo.checks.stage import main
from convzoo.tracking.registry import register


def run(network: str) -> None:
    """Write models/NETWORK/registration.json; a new model gets the alias `candidate`.

    A store that fails is a warning: the other networks go on.
    """
    print(register(network, warn=True))


if __name__ == "__main__":
    main(run)
