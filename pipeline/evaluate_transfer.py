"""Stage `evaluate` of a transfer network: python pipeline/evaluate_transfer.py NETWORK."""

from convzoo.errors import main
from convzoo.families.transfer.evaluate import evaluate
from convzoo.families.transfer.settings import evaluation_settings
from convzoo.settings.load import read_params


def run(network: str) -> None:
    """Measure the exported file of one network, beside its head on the untouched backbone."""
    evaluate(network, evaluation_settings(read_params(), network))


if __name__ == "__main__":
    main(run)
