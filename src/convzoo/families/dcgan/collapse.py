"""The alarm for a training that has collapsed, by what is measured in the epochs that are validated."""

from convzoo.errors import ConvzooError
from convzoo.families.dcgan.settings import CollapseSettings
from convzoo.training.history import Row


def collapse_alarms(network: str, limits: CollapseSettings, history: list[Row]) -> list[str]:
    """What has been wrong in the last `limits.judged_epochs` validated epochs in a row; each alarm is printed.

    The last row of `history` is of a validated epoch. Raises ConvzooError for the first alarm if `limits` say that a
    collapse fails the training.
    """
    last = [row for row in history if row["val_kid"] is not None][-limits.judged_epochs :]
    if len(last) < limits.judged_epochs:
        return []
    when = f"in {len(last)} validated epochs in a row"
    alarms = []
    if all(row["val_diversity"] < limits.diversity for row in last):
        now = last[-1]["val_diversity"]
        alarms.append(f"the samples are alike: diversity {now:.2g}, below {limits.diversity:g} {when}")
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
