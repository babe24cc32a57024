"""Print the stages, blocks, shapes and weights of a backbone.

A block is the unit of fine-tuning. Works anywhere for a backbone, and inside a project also for its networks.
"""

from typing import Annotated

import typer

EXAMPLES = ("convzoo structure flowers-transfer", "convzoo structure resnet50")


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK|BACKBONE", help="A network with a backbone, or a backbone, such as resnet50 or vgg16."
        ),
    ],
) -> None:
    """Print the table."""
    from convzoo.families.transfer.structure import structure  # imports torch, which the help does not need

    print(structure(name))
