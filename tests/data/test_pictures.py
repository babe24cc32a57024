"""Archives of pictures: which files a layout takes, what is decoded of them, and the archives that hold all twice."""

import json

import numpy as np
import pytest
from helpers.raw_sets import LIMITS, SPLITS, encoded, gathered, noise, note, prepared, settings, tar, zipped
from PIL import Image

from convzoo.data.formats import pictures, threads
from convzoo.data.formats.layout import compiled
from convzoo.data.prepare import prepare
from convzoo.errors import ConvzooError

KINDS = ["daisy", "dandelion", "rose", "sunflower", "tulip"]
COLOUR = settings(classes="source", height=8, width=8, channels=3)


@pytest.mark.parametrize(
    ("layout", "name", "groups"),
    [
        ("{split}/{class}/*.jpg", "train/cat/1.jpg", {"split": "train", "class": "cat"}),
        ("{split}/{class}/*.jpg", "train/cat/1.JPG", {"split": "train", "class": "cat"}),
        ("{split}/{class}/*.jpg", "train/cat/more/1.jpg", None),
        ("{split}/{class}/*.jpg", "a/train/cat/1.jpg", None),
        ("{split}/{class}/*.jpg", "train/.cat/1.jpg", None),
        ("flowers/{class}/*.jpg", "flowers/a b/x.y.jpg", {"class": "a b"}),
        ("flowers/{class}/*.jpg", "flowers/flowers/rose/1.jpg", None),
        ("flowers/{class}/*.jpg", "Flowers/rose/1.jpg", None),
        ("flowers/{class}/*.jpg", "flowers/rose/1.jpeg", None),
        ("**/*.png", "1.png", {}),
        ("**/*.png", "a/b/1.PNG", {}),
        ("**/*.png", "__MACOSX/a/._1.png", None),
        ("**/*.png", ".hidden/1.png", None),
        ("**/*.png", "a/.png", None),
        ("**/{class}/img_*.{jpg,png}", "x/y/cat/img_1.Png", {"class": "cat"}),
        ("**/{class}/img_*.{jpg,png}", "cat/img_1.gif", None),
        ("**/{class}/img_*.{jpg,png}", "cat/dog_1.jpg", None),
        ("faces.v1/*_*.jpg", "faces.v1/1_2000.jpg", {}),
        ("faces.v1/*_*.jpg", "facesxv1/1_2000.jpg", None),
        ("all/*", "all/1", {}),
        ("all/*", "all/.DS_Store", None),
    ],
)
def test_a_layout_takes_what_it_says(layout, name, groups):
    match = compiled(layout).fullmatch(name)
    assert (match and match.groupdict()) == groups


@pytest.mark.parametrize(
    "layout",
    [
        *(
            "/a/*.jpg",
            "a//*.jpg",
            "a/",
            "../*.jpg",
            "a/./*.jpg",
            "**",
            "a/**.jpg",
            "a**/*.jpg",
            "{class}",
            "{class}.jpg",
        ),
        *("{kind}/*.jpg", "x{class}/*.jpg", "{class/*.jpg", "*.{jpg}", "{class}/{class}/*.jpg"),
    ],
)
def test_a_layout_that_stands_for_nothing_is_named(layout):
    with pytest.raises(ConvzooError, match=r"layout .*: "):
        compiled(layout)


def raw(folder, files, layout, pack=tar, **limits):
    note(folder, format="pictures", layout=layout, limits=LIMITS | limits)
    pack(folder / "pictures", files)
    return folder


def read(folder, wanted=COLOUR):
    return pictures.read(folder, json.loads((folder / "source.json").read_text()), wanted)


def flowers(count=8):
    """Names and PNG files of five kinds."""
    images = noise(5 * count, 8, 8, 3)
    return [(f"{kind}/{row}.png", encoded(images[5 * row + n])) for n, kind in enumerate(KINDS) for row in range(count)]


@pytest.mark.parametrize("pack", [tar, zipped])
def test_a_flower_archive_that_nests_itself_has_five_classes(tmp_path, capsys, pack):
    files = [(f"flowers/{name}", content) for name, content in flowers()]
    files += [(f"flowers/{name}", content) for name, content in files]
    folder = raw(tmp_path / "raw", files, "flowers/{class}/*.png", pack)
    counts = prepare("made", COLOUR, folder, tmp_path / "out")
    splits, meta = prepared(tmp_path / "out")
    assert meta["classes"] == KINDS and meta["counts"] == counts
    assert (counts["read"], counts["not_in_layout"], counts["duplicates_dropped"]) == (40, 40, 0)
    assert sum(counts[split] for split in SPLITS) == 40
    shown = "flowers/flowers/daisy/0.png, flowers/flowers/daisy/1.png, flowers/flowers/daisy/2.png, ..."
    assert capsys.readouterr().out.count(f"40 files are not in the layout flowers/{{class}}/*.png: {shown}") == 1
    for split in SPLITS:
        assert set(splits[split][1]) == set(range(5))


@pytest.mark.parametrize("labelled", [False, True])
def test_an_archive_that_holds_every_picture_twice_gives_each_once_and_in_one_split(tmp_path, labelled):
    once = flowers()
    layout = "**/{class}/*.png" if labelled else "**/*.png"
    folder = raw(tmp_path / "raw", [*once, *((f"data/{name}", content) for name, content in once)], layout)
    counts = prepare("made", COLOUR, folder, tmp_path / "out")
    splits, meta = prepared(tmp_path / "out")
    assert meta["classes"] == (KINDS if labelled else [])
    assert (counts["read"], counts["duplicates_dropped"], counts["not_in_layout"]) == (80, 40, 0)
    rows = [row for split in SPLITS for row in splits[split][2]]
    assert len({row["sha256"] for row in rows}) == len(rows) == 40
    assert {row["id"] for row in rows} == {name for name, _ in once}
    assert {row["label"] for row in rows} == (set("01234") if labelled else {"0"})


def test_published_splits_are_kept_and_no_picture_is_in_two(tmp_path):
    images = noise(24, 8, 8, 3)
    places = [*["train"] * 12, *["val"] * 6, *["test"] * 6]
    files = [(f"{place}/{'ab'[n % 2]}/{n:02d}.png", encoded(images[n])) for n, place in enumerate(places)]
    files += [  # copies: test in train and val, val in train, train in train
        *(("train/a/18.png", files[18][1]), ("val/a/18.png", files[18][1])),
        *(
            ("train/b/13.png", files[13][1]),
            ("train/b/13 again.png", files[13][1]),
            ("train/a/00 again.png", files[0][1]),
        ),
    ]
    files = [files[n] for n in np.random.default_rng(0).permutation(len(files))]
    counts = prepare("made", COLOUR, raw(tmp_path / "raw", files, "{split}/{class}/*.png"), tmp_path / "out")
    splits, _ = prepared(tmp_path / "out")
    ids = {split: {row["id"] for row in splits[split][2]} for split in SPLITS}
    assert ids["val"] == {f"val/{'ab'[n % 2]}/{n}.png" for n in range(12, 18)}
    assert ids["test"] == {f"test/{'ab'[n % 2]}/{n}.png" for n in range(18, 24)}
    assert len(ids["train"]) == 12
    assert len({row["sha256"] for split in SPLITS for row in splits[split][2]}) == 24
    assert counts["read"] == 29 and counts["duplicates_dropped"] + counts["in_two_splits_dropped"] == 5


def test_what_a_source_has_no_split_for_is_drawn_from_train(tmp_path):
    images = noise(40, 8, 8, 3)
    for other, drawn in (("val", "test"), ("test", "val")):
        files = [(f"{'train' if n < 30 else other}/{n}.png", encoded(images[n])) for n in range(40)]
        prepare("made", COLOUR, raw(tmp_path / other, files, "{split}/*.png"), tmp_path / "out")
        splits, _ = prepared(tmp_path / "out")
        assert {row["id"] for row in splits[other][2]} == {f"{other}/{n}.png" for n in range(30, 40)}
        assert all(row["id"].startswith("train/") for row in splits[drawn][2])
        assert len(splits[drawn][0]) + len(splits["train"][0]) == 30


def test_the_order_and_kind_of_an_archive_decide_nothing_but_the_order(tmp_path):
    files = flowers(3)
    first = gathered(read(raw(tmp_path / "tar", files, "{class}/*.png")))["all"]
    assert first[0] == [name for name, _ in files]
    np.testing.assert_array_equal(first[2], np.repeat(np.arange(5), 3))
    backwards = gathered(read(raw(tmp_path / "zip", files[::-1], "{class}/*.png", zipped)))["all"]
    np.testing.assert_array_equal(backwards[1], first[1][::-1])
    np.testing.assert_array_equal(backwards[2], first[2][::-1])


def test_pictures_come_in_order_however_many_are_decoded_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "BATCH", 3)
    monkeypatch.setattr(threads, "THREADS", 4)
    files = [(f"{n}.png", encoded(image)) for n, image in enumerate(noise(50, 8, 8, 3))]
    ids, images, _ = gathered(read(raw(tmp_path / "raw", files, "*.png")))["all"]
    assert ids == [name for name, _ in files]
    np.testing.assert_array_equal(images, noise(50, 8, 8, 3))


def test_several_archives_are_one_set(tmp_path):
    files = flowers(2)
    folder = raw(tmp_path / "raw", files[:6], "{class}/*.png")
    zipped(folder / "second.zip", files[6:])
    assert gathered(read(folder))["all"][0] == [name for name, _ in files]
    zipped(folder / "third.zip", files[:1])
    with pytest.raises(ConvzooError, match=r"third.zip: daisy/0.png: is in another archive"):
        read(folder)


def test_a_list_of_classes_gives_the_labels_their_order(tmp_path):
    folder = raw(tmp_path / "raw", flowers(1), "{class}/*.png")
    published = read(folder, COLOUR.model_copy(update={"classes": KINDS[::-1]}))
    assert published.classes == KINDS[::-1] and gathered(published)["all"][2].tolist() == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("layout", "classes", "message"),
    [
        ("{class}/*.png", KINDS[:3], "finds folders that are not in `classes`: sunflower, tulip; name them there"),
        ("{class}/*.png", [*KINDS, "lily"], "has no pictures of lily in `classes`; its folders are daisy, dandelion"),
        ("**/*.png", KINDS, r"has no \{class\}, but `classes` names daisy, .*set it to \[\]"),
        ("{split}/*.png", "source", "finds splits named daisy, dandelion, .*expected train, val, test"),
        (
            "{class}/*.jpg",
            "source",
            r"nothing matches the layout \{class\}/\*.jpg; the first of 5 files are daisy/0.png, ",
        ),
    ],
)
def test_folders_that_are_not_as_the_settings_say_are_named(tmp_path, layout, classes, message):
    folder = raw(tmp_path / "raw", flowers(1), layout)
    with pytest.raises(ConvzooError, match=message):
        read(folder, COLOUR.model_copy(update={"classes": classes}))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["all/a/1.png"], "finds splits named all, expected train, val, test"),
        (["val/a/1.png", "test/a/2.png"], "finds test, val, but no pictures in train"),
        ([], "there are no files at all"),
    ],
)
def test_splits_without_train_are_refused(tmp_path, names, message):
    content = encoded(noise(1, 8, 8, 3)[0])
    with pytest.raises(ConvzooError, match=message):
        read(raw(tmp_path / "raw", [(name, content) for name in names], "{split}/{class}/*.png"))


@pytest.fixture
def doubtful(tmp_path):
    sound = flowers(6)
    empty, text = ("daisy/empty.png", b""), ("rose/text.png", b"<html>")
    cut, jpeg = ("tulip/cut.png", sound[0][1][:-60]), encoded(noise(1, 64, 64, 3)[0], "JPEG")
    files = [empty, *sound[:7], text, cut, *sound[7:], ("rose/cut.png", jpeg[:-200]), ("tulip/moved.png", sound[1][1])]
    return raw(tmp_path / "raw", [*files, *((f"rose/{n}.bad.png", b"x") for n in range(3))], "{class}/*.png")


def test_files_that_are_no_pictures_stop_the_run_with_their_names(tmp_path, doubtful):
    with pytest.raises(ConvzooError) as caught:
        prepare("made", COLOUR, doubtful, tmp_path / "out")
    text = str(caught.value)
    assert (
        "7 of 38 files cannot be read as pictures: daisy/empty.png (is empty); rose/text.png (is not one of JPEG"
        in text
    )
    assert "tulip/cut.png (" in text and "rose/cut.png (" in text and "rose/0.bad.png (" in text and "1.bad" not in text
    assert text.endswith("; ...; fix them, or set unreadable in params.yaml to drop, which leaves them out")
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_pictures_are_dropped_and_counted_by_rule(tmp_path, doubtful, capsys):
    wanted = COLOUR.model_copy(update={"unreadable": "drop", "label_conflicts": "drop", "val_fraction": 0.4})
    counts = prepare("made", wanted, doubtful, tmp_path / "out")
    splits, meta = prepared(tmp_path / "out")
    assert meta["counts"] == counts
    assert (counts["read"], counts["unreadable_dropped"], counts["label_conflicts_dropped"]) == (31, 7, 2)
    assert "left out 7 of 38 files that cannot be read as pictures: daisy/empty.png" in capsys.readouterr().out
    assert sum(len(splits[split][0]) for split in SPLITS) == 29


def test_a_picture_of_another_size_is_named_with_what_can_be_done(tmp_path):
    files = [*flowers(1), ("rose/wide.png", encoded(noise(1, 8, 12, 3)[0]))]
    with pytest.raises(
        ConvzooError, match=r"rose/wide.png: is 12 wide and 8 high, expected 8 wide and 8 high; .*crop .*pad .*stretch"
    ):
        gathered(read(raw(tmp_path / "raw", files, "{class}/*.png")))


def claiming(side):
    """A picture file that says it is much larger than it is."""
    content = bytearray(encoded(Image.new("L", (8, 8)), "BMP"))
    content[18:26] = side.to_bytes(4, "little") * 2
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (claiming(101), "is 101 wide and 101 high, more than the allowed 10000 pixels; .*raise limits.pixels"),
        (claiming(60_000), "has more pixels than Pillow decodes"),
        (bytes((1 << 24) + 100_000), "has 16877216 bytes, more than the allowed 10000 pixels can need"),
    ],
)
@pytest.mark.parametrize("resize", ["none", "crop"])
def test_a_picture_or_file_beyond_the_limits_is_refused_before_it_is_decoded(tmp_path, content, message, resize):
    files = [*flowers(1), ("rose/huge.png", content)]
    changes = {"resize": resize, "unreadable": "drop"}
    with pytest.raises(ConvzooError, match=f"rose/huge.png: {message}"):
        gathered(read(raw(tmp_path / "raw", files, "{class}/*.png", bytes=1 << 30), COLOUR.model_copy(update=changes)))
