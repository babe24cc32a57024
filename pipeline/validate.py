"""The stage `validate`: every data set of params.yaml, recomputed from its arrays and held against its settings."""

from convzoo.errors import main
from convzoo.settings.load import read_params
from convzoo.validation import validate


def run() -> None:
    for verdict in validate(read_params()).values():
        print(f"{verdict['dataset']}: all checks passed; see reports/data_docs/index.html")


if __name__ == "__main__":
    main(run)
