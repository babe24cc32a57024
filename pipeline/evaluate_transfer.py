"""Stage `evaluate` of a transfer network: python pipeline/evaluate_transfer.py NETWORK."""

from convzoo.errors import main
from convzoo.evaluation.transfer import evaluate
from convzoo.settings.load import read_params
from convzoo.settings.transfer import evaluation_settings


def run(network: str) -> None:
    """Measure the exported file of one network, beside its head on the untouched backbone."""
    evaluate(network, evaluation_settings(read_params(), network))


if __name__ == "__main__":
    main(run)
