"""Completes a network's run in MLflow and registers its exported model."""

from convzoo.errors import main
from convzoo.tracking.registry import register


def run(network: str) -> None:
    """Write models/NETWORK/registration.json; a new model gets the alias `candidate`."""
    print(register(network))


if __name__ == "__main__":
    main(run)
