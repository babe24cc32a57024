"""Stage `report`: python pipeline/report.py."""

from convzoo.checks.stage import main
from convzoo.report.report import write_report
from convzoo.settings.load import read_params


def run() -> None:
    """Write reports/index.html."""
    write_report(read_params())


if __name__ == "__main__":
    main(run)
