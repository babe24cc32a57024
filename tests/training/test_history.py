"""What a training shows while it runs, and the CSV that it leaves."""

import sys

import pytest

from convzoo.training.history import Progress, write_history

ROW = {"epoch": 1, "learning_rate": 0.1, "train_loss": 1.23456789}


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


def test_history_is_a_row_an_epoch_with_six_digits(tmp_path):
    write_history(tmp_path / "history.csv", [ROW, ROW | {"epoch": 2, "train_loss": 1e-7}])
    assert (tmp_path / "history.csv").read_text() == "epoch,learning_rate,train_loss\n1,0.1,1.23457\n2,0.1,1e-07\n"
