"""The CSV that a training leaves."""

from convzoo.training.history import write_history

ROW = {"epoch": 1, "learning_rate": 0.1, "train_loss": 1.23456789, "val_kid": None}


def test_history_has_one_row_per_epoch_with_six_digits(tmp_path):
    write_history(tmp_path / "history.csv", [ROW, ROW | {"epoch": 2, "train_loss": 1e-7, "val_kid": 0.5}])
    assert (tmp_path / "history.csv").read_text() == (
        "epoch,learning_rate,train_loss,val_kid\n1,0.1,1.23457,\n2,0.1,1e-07,0.5\n"
    )
