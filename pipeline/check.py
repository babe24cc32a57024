"""Validates params.yaml and digests the code that every stage runs; runs at every repro, since DVC cannot see code."""

from convzoo.checks.check import check
from convzoo.checks.stage import main

if __name__ == "__main__":
    main(check)
