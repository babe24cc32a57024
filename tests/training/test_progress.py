"""What a training shows while it runs."""

import sys

import pytest

from convzoo.training.progress import Progress

ROW = {"epoch": 1, "learning_rate": 0.1, "train_loss": 1.23456789, "val_kid": None}


@pytest.mark.parametrize(
    ("terminal", "quiet", "bar"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_a_bar_on_a_terminal_and_plain_lines_everywhere(monkeypatch, capsys, terminal, quiet, bar):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    progress = Progress("net", 2, 3, quiet)
    for _ in range(3):
        progress.step()
    progress.bar.refresh()
    progress.epoch(ROW)
    progress.close()
    shown = capsys.readouterr()
    assert ("net" in shown.err) == bar
    assert shown.out.startswith("net epoch 1/2 learning_rate 0.1 train_loss 1.235 (") != quiet
