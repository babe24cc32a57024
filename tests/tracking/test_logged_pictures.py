"""Pictures in mlflow's image grid: those of a training by epoch, those of an evaluation at its end, each once."""

from pathlib import Path

import numpy as np
import pytest
from helpers.registered import folder_of, pictures_of, runs_of
from PIL import Image

from convzoo.files import write_json
from convzoo.shipping.network_files import read_network
from convzoo.tracking.registry import register
from convzoo.tracking.run_files import FRAMES, pictures


def images_of(run) -> Path:
    return folder_of(run.info.artifact_uri) / "images"


@pytest.fixture
def write_generator(write_network):
    """Writes models/NETWORK with a grid of pictures for each epoch that was judged, every second of `epochs`."""

    def write(network: str, epochs: int) -> None:
        write_network(network, 1)
        Path("models", network, "plots/confusion.png").unlink()
        judged = range(2, epochs + 1, 2)
        sheets = [Image.new("L", (20, 10), 5 * epoch) for epoch in judged]
        sheets[0].save(f"models/{network}/plots/progress.gif", save_all=True, append_images=sheets[1:], duration=350)
        rows = "".join(f"{epoch},1.5,{'' if epoch % 2 else epoch / 4}\n" for epoch in range(1, epochs + 1))
        Path("models", network, "history.csv").write_text("epoch,train_loss,val_kid\n" + rows)

    return write


def test_generated_pictures_stand_at_their_epochs_and_twice_changes_nothing(write_generator):
    write_generator("dreamer", 6)
    register("dreamer")
    (run,) = runs_of("dreamer")
    assert pictures_of(run) == ["generated+step+2", "generated+step+4", "generated+step+6"]
    assert run.data.tags["mlflow.loggedImages"] == "True", "by which the UI knows that there are any"
    register("dreamer")
    assert len(pictures_of(run)) == 3


def test_of_a_long_training_some_epochs_are_shown_first_and_last_among_them(write_generator):
    write_generator("patient", 50)
    shown = list(pictures(read_network("patient")))
    assert len(shown) == FRAMES
    assert [picture.epoch for picture in shown][:2] == [2, 6] and shown[-1].epoch == 50
    for picture in shown:
        levels = np.asarray(picture.image.convert("L"))
        assert abs(int(levels[0, 0]) - 5 * picture.epoch) <= 3, picture.epoch


def test_an_animation_of_other_epochs_is_left_out_with_a_word(write_generator, capfd):
    write_generator("odd", 6)
    Path("models/odd/history.csv").write_text("epoch,train_loss,val_kid\n2,1.5,0.5\n4,1.5,nan\n6,1.5,0.25\n")
    register("odd")
    (run,) = runs_of("odd")
    assert pictures_of(run) == []
    assert "models/odd/plots/progress.gif: has 3 images, expected 2" in capfd.readouterr().out


def test_an_evaluation_that_changed_is_shown_as_it_is_now(write_network):
    write_network("seen", 3)
    register("seen")
    (run,) = runs_of("seen")
    assert pictures_of(run) == ["confusion+step+2"]
    Image.new("RGB", (40, 30), "blue").save("models/seen/plots/confusion.png")
    register("seen")
    register("seen")
    assert len(pictures_of(run)) == 2
    newest = sorted(images_of(run).glob("*.png"))[-1]
    assert Image.open(newest).getpixel((0, 0)) == (0, 0, 255)


def test_a_picture_that_was_cut_off_is_logged_again(write_network):
    write_network("shortened", 4)
    register("shortened")
    (run,) = runs_of("shortened")
    (thumbnail,) = images_of(run).glob("*.webp")
    thumbnail.unlink()
    register("shortened")
    assert len(list(thumbnail.parent.glob("*.webp"))) == 1


def test_a_network_without_pictures_logs_none(write_network):
    write_network("blind", 5)
    Path("models/blind/plots/confusion.png").unlink()
    write_json(Path("models/blind/extra/kept.json"), {"epoch": 1})
    register("blind")
    (run,) = runs_of("blind")
    assert pictures_of(run) == []
