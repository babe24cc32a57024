"""Brings the published weights that networks start from; `none` is a folder that says so."""

from convzoo.checks.stage import main
from convzoo.settings.load import read_params
from convzoo.settings.weights import weights_settings
from convzoo.weights.fetch import bring_weights


def run(weights: str) -> None:
    """Write data/weights/NAME/."""
    bring_weights(weights, weights_settings(read_params(), weights))


if __name__ == "__main__":
    main(run)
