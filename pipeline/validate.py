"""Checks every data set with Great Expectations; without its verdict nothing trains."""

from convzoo.checks.stage import main
from convzoo.settings.load import read_params
from convzoo.validation.validate import validate


def run() -> None:
    """Write data/validated/ (verdicts), reports/data/ (details) and reports/data_docs/ (pages to look at)."""
    passed = ", ".join(validate(read_params()))
    print(f"{passed}: all checks passed; see reports/data_docs/index.html")


if __name__ == "__main__":
    main(run)
