"""Detects collapsed trainings from the metrics of validated epochs."""

from convzoo.errors import ConvzooError
from convzoo.families.dcgan.settings import CollapseSettings
from convzoo.training.history import Row


def collapse_alarms(network: str, limits: CollapseSettings, history: list[Row]) -> list[str]:
    """Print and return alarms about the last `limits.judged_epochs` validated epochs, one per sign of collapse.

    The last row of `history` must be of a validated epoch. Raises ConvzooError for the first alarm if `limits.action`
    is `fail`.
    """
    last = [row for row in history if row["val_kid"] is not None][-limits.judged_epochs :]
    if len(last) < limits.judged_epochs:
        return []
    when = f"in {len(last)} validated epochs in a row"
    alarms = []
    if all(row["val_diversity"] < limits.diversity for row in last):
        diversity = last[-1]["val_diversity"]
        alarms.append(f"the samples are alike: diversity {diversity:.2g}, below {limits.diversity:g} {when}")
    means = [row[f"train_{side}_probability"] for row in last for side in ("real", "fake")]
    if all(min(mean, 1 - mean) < limits.probability for mean in means):
        alarms.append(f"the discriminator is sure of everything: D(x) {means[-2]:.2g}, D(G(z)) {means[-1]:.2g} {when}")
    alarms = [f"epoch {last[-1]['epoch']}: {alarm}" for alarm in alarms]
    for alarm in alarms:
        if limits.action == "fail":
            raise ConvzooError(
                f"{network}: {alarm}; change the balance of generator and discriminator, or set collapse.action: warn"
            )
        print(f"{network}: warning: {alarm}", flush=True)
    return alarms
