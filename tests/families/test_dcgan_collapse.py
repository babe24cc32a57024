"""The alarm for a DCGAN that has collapsed."""

import re

import pytest

from convzoo.families.dcgan.collapse import collapse_alarms
from convzoo.families.dcgan.settings import CollapseSettings

COLLAPSE = CollapseSettings(action="warn", diversity=0.1, probability=0.01, judged_epochs=2)


def rows(*values: tuple[float, float, float]) -> list[dict]:
    names = ("train_real_probability", "train_fake_probability", "val_diversity")
    return [
        {"epoch": epoch, "val_kid": 1.0, **dict(zip(names, value, strict=True))}
        for epoch, value in enumerate(values, 1)
    ]


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (rows((0.6, 0.4, 0.05)), None),
        (
            rows((0.6, 0.4, 0.05), (0.6, 0.4, 0.04)),
            "samples are alike: diversity 0.04, below 0.1 in 2 validated epochs",
        ),
        (rows((0.6, 0.4, 0.05), (0.6, 0.4, 0.9)), None),
        (rows((0.6, 0.4, 0.9), (0.995, 0.001, 0.9)), None),
        (rows((0.995, 0.004, 0.9), (0.999, 0.001, 0.9)), r"sure of everything: D\(x\) 1, D\(G\(z\)\) 0.001"),
        (rows((0.999, 0.999, 0.9), (0.999, 0.999, 0.9)), "sure of everything"),
    ],
)
def test_the_alarm_sounds_after_as_many_validated_epochs_as_params_say(history, message, capsys):
    found = collapse_alarms("mnist-dcgan", COLLAPSE, history)
    assert found == [] if message is None else re.search(f"epoch 2: .*{message}", found[0])
    assert bool(capsys.readouterr().out) == (message is not None)


def test_epochs_that_were_not_validated_do_not_count():
    collapsed = rows((0.6, 0.4, 0.05), (0.6, 0.4, 0.05))
    between = {"epoch": 2, "val_kid": None, "val_diversity": None}
    [alarm] = collapse_alarms("mnist-dcgan", COLLAPSE, [collapsed[0], between, collapsed[1] | {"epoch": 3}])
    assert alarm.startswith("epoch 3: the samples are alike")
