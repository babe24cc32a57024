"""Stage `evaluate` of a DCGAN: python pipeline/evaluate_dcgan.py NETWORK."""

from convzoo.errors import main
from convzoo.families.dcgan.evaluate import evaluate
from convzoo.families.dcgan.settings import evaluation_settings
from convzoo.settings.load import read_params


def run(network: str) -> None:
    """Measure the exported file of one network."""
    evaluate(network, evaluation_settings(read_params(), network))


if __name__ == "__main__":
    main(run)
