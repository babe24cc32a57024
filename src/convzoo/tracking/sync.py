"""mlflow filled again from the files, for all networks."""

from collections.abc import Iterable

from convzoo.errors import ConvzooError
from convzoo.shipping.network_files import missing_files
from convzoo.tracking.registry import register


def sync(networks: Iterable[str]) -> list[str]:
    """Register each network whose files are complete; a line for each network.

    Every network gets its turn; then raises ConvzooError with a line for each that failed.
    """
    told, failed = [], []
    for network in networks:
        missing = missing_files(network)
        if missing:
            told.append(f"{network}: left out, models/{network} has no {', '.join(missing)}")
            continue
        try:
            told.append(register(network))
        except ConvzooError as error:
            failed.append(str(error))
    if failed:
        raise ConvzooError("\n".join(failed))
    return told
