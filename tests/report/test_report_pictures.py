"""Pictures of the report: curves with gaps, and how small a large picture becomes."""

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from convzoo.report.pictures import curves, pictures_in


def test_a_curve_connects_the_epochs_that_have_a_value(monkeypatch):
    lines = []
    plot = Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda axes, *args, **more: lines.append(args) or plot(axes, *args, **more))
    caption = curves([["epoch", "loss", "val_kid"], ["1", "0.5", "9"], ["2", "0.4", ""], ["3", "0.3", "7"]]).caption
    assert lines == [((1, 2, 3), (0.5, 0.4, 0.3)), ((1, 3), (9, 7))]
    assert caption == "Loss and KID by epoch. Some epochs have no value of val KID."


def test_a_large_picture_takes_a_small_part_of_the_page(tmp_path):
    y, x = np.mgrid[0:800, 0:1300] / 1300
    noise = np.random.default_rng(0).normal(0, 4, size=(800, 1300, 3))
    photo = np.clip(np.stack([255 * x, 255 * y, 255 * x * y], axis=-1) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    [picture] = pictures_in(tmp_path, {})
    assert picture.width <= 1200 and len(picture.address) < (tmp_path / "photo.png").stat().st_size / 20


def test_a_detailed_picture_gets_the_whole_width_unless_it_is_higher_than_wide(tmp_path):
    for name, size in {"detailed": (1230, 1146), "high": (1230, 1708), "small": (915, 780)}.items():
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    assert [picture.name for picture in pictures_in(tmp_path, {}) if picture.is_broad] == ["detailed"]


def test_the_numbers_on_an_axis_of_the_curves_can_be_read_off(monkeypatch):
    axes = []
    plot = Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda ax, *args, **more: axes.append(ax) or plot(ax, *args, **more))
    curves([["epoch", "val_kid", "val_diversity"], ["1", "21.3395", "7e-6"], ["2", "21.3425", "5e-6"]])
    for ax in axes:
        ax.figure.canvas.draw()
        assert ax.yaxis.get_major_formatter().get_offset() == ""
