"""`python -m convzoo`, for when `convzoo` is not on the PATH."""

from convzoo.cli import main

main()
