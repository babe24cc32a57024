"""Checks every data set with Great Expectations; without its verdict nothing trains."""

from convzoo.checks.stage import main
from convzoo.settings.load import read_params


def run() -> None:
    """Write data/validated/ (verdicts), reports/data/ (details) and reports/data_docs/ (pages to look at)."""
    from convzoo.validation.validate import validate  # here: the process may start itself again before this import

    passed = ", ".join(validate(read_params()))
    print(f"{passed}: all checks passed; see reports/data_docs/index.html")


if __name__ == "__main__":
    main(run)
