"""Stage `evaluate` of an autoencoder: python pipeline/evaluate_autoencoder.py NETWORK."""

from convzoo.errors import main
from convzoo.families.autoencoder.evaluate import evaluate
from convzoo.families.autoencoder.settings import evaluation_settings
from convzoo.settings.load import read_params


def run(network: str) -> None:
    """Measure the exported file of one network."""
    evaluate(network, evaluation_settings(read_params(), network))


if __name__ == "__main__":
    main(run)
