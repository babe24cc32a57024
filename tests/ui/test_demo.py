"""The demo in a real browser, on a screen and on a phone: draw, choose, generate, walk, reconstruct."""

import re

import numpy as np
import pytest
from helpers.demo_pages import (
    ONE,
    asked,
    bars,
    best,
    choose,
    demo_visitor,
    draw,
    hand_over,
    images_of,
    open_network,
    pad,
    photo,
    pixels,
    places,
)
from helpers.demo_zoo import COPIER, DIGITS, MAKER, PHOTOS, WARNING
from helpers.pages import expect
from helpers.served import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture
def page(demo_page):
    """A page of the demo's server, on a screen and on a phone."""
    return demo_page


def frame(page):
    return page.get_by_label("Image between the seeds")


def image(page, number: int, seed: int):
    return page.get_by_label(f"Image {number} of seed {seed}", exact=True)


def ink(page) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the light pixels in the picture that the network saw last."""
    return np.nonzero(pixels(page.get_by_label("What the network sees"))[..., 0] > 20)


def five_most_probable(page, demo: str, network: str) -> tuple[dict, list[tuple[str, str]]]:
    """The answer about the photo, and the classes with their percentages."""
    part = {"name": "photo.png", "mimeType": "image/png", "buffer": photo()}
    [answer] = page.request.post(f"{demo}/v1/{network}/predict?top=5", multipart={"files": part}).json()["answers"]
    return answer, [(name, f"{100 * share:.1f} %") for name, share in answer["probabilities"].items()]


def test_a_digit_is_classified_while_it_is_drawn(page, demo):
    open_network(page, demo, DIGITS)
    draw(page, ONE)
    expect(best(page)).to_have_text(re.compile(r"^1, \d+\.\d %$"))  # before the button is released
    page.mouse.up()
    assert len(bars(page)) == 5 and bars(page)[0][0] == "1"
    wait_until(lambda: np.ptp(ink(page)[0]) > 16)  # a line, not a dot
    assert pixels(page.get_by_label("What the network sees")).shape == (28, 28, 3)
    page.get_by_role("button", name="Clear").click()
    expect(best(page)).to_have_text("")
    assert bars(page) == [] and not page.get_by_label("What the network sees").is_visible()
    assert pixels(pad(page)).max() == 0


def test_a_finger_draws_and_does_not_scroll(browser, demo):
    with demo_visitor(browser, demo, 390, has_touch=True, is_mobile=True) as page:
        open_network(page, demo, DIGITS)
        first, *others = reversed(places(page, ONE))  # upwards, as the page is scrolled to its end
        before = page.evaluate("scrollY")
        touches = page.context.new_cdp_session(page)
        steps = [("touchStart", [first]), *[("touchMove", [place]) for place in others], ("touchEnd", [])]
        for kind, points in steps:
            touches.send(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]}
            )
        expect(best(page)).to_have_text(re.compile("^1, "))
        assert page.evaluate("scrollY") == before < page.evaluate("document.documentElement.scrollHeight - innerHeight")


def test_a_drawing_is_centred_and_scaled_as_the_digits_were(page, demo):
    open_network(page, demo, DIGITS)
    draw(page, [(x / 3, y / 3) for x, y in ONE])  # a small 1 at the top left
    page.mouse.up()
    expect(best(page)).to_have_text(re.compile("^1, "))
    wait_until(lambda: 18 <= np.ptp(ink(page)[0]) + 1 <= 22)  # MNIST's box has 20
    for places_of_ink in ink(page):
        assert abs((places_of_ink.min() + places_of_ink.max()) / 2 - 13.5) <= 1
    page.get_by_label("Centre and scale the drawing").uncheck()
    wait_until(lambda: ink(page)[0].max() < 14)


def test_the_pad_is_used_with_the_keyboard_alone(page, demo):
    open_network(page, demo, DIGITS)
    for _ in range(30):
        page.keyboard.press("Tab")
        if pad(page).evaluate("pad => pad === document.activeElement"):
            break
    assert pad(page).evaluate("pad => getComputedStyle(pad).outlineStyle") == "solid"
    for _ in range(9):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    expect(page.get_by_text("The pen is down.")).to_be_visible()
    for _ in range(18):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.get_by_text("The pen is up.")).to_be_visible()
    expect(best(page)).to_have_text(re.compile("^1, "))
    wait_until(lambda: np.ptp(ink(page)[0]) > 16)  # a line, not a dot
    drawn = pixels(page.get_by_label("What the network sees"))
    page.keyboard.press("ArrowLeft")  # with the pen up, nothing is drawn
    assert np.array_equal(pixels(page.get_by_label("What the network sees")), drawn)
    page.keyboard.press("Delete")
    expect(best(page)).to_have_text("")


def test_images_are_generated_and_a_walk_is_taken_with_the_keyboard_alone(page, demo):
    page.goto(f"{demo}/demo/")
    expect(page.get_by_role("link", name=MAKER)).to_be_visible()

    def tab_to(target) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if target.evaluate("element => element === document.activeElement"):
                return
        raise AssertionError(f"{target} is not reached")

    tab_to(page.get_by_role("link", name=MAKER))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=MAKER)).to_be_focused()
    tab_to(page.get_by_label("Seed", exact=True))
    page.keyboard.press("Control+A")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    expect(image(page, 1, 7)).to_be_visible()
    slider = page.get_by_label("Position")
    expect(slider).to_be_enabled()
    tab_to(slider)
    page.keyboard.press("Home")
    start = pixels(frame(page))
    page.keyboard.press("ArrowRight")
    assert not np.array_equal(pixels(frame(page)), start)
    expect(slider).to_have_attribute("aria-valuetext", "3 % of the way from seed 0 to seed 1")


@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_a_photo_shows_the_five_most_probable_classes_and_the_warnings(page, demo, way):
    open_network(page, demo, PHOTOS)
    if way == "choose":
        choose(page, photo())
    else:
        hand_over(page, way, photo(), "body" if way == "paste" else ".drop")
    expect(page.locator(".bars li")).to_have_count(5)
    answer, expected = five_most_probable(page, demo, PHOTOS)
    assert bars(page) == expected
    assert best(page).inner_text() == f"{answer['class']}, {expected[0][1]}"
    widths = [float(row.evaluate("row => row.style.width").rstrip("%")) for row in page.locator(".filled").all()]
    assert widths == pytest.approx([100 * share for share in answer["probabilities"].values()], abs=1e-3)
    expect(page.get_by_text(WARNING)).to_be_visible()


def test_classes_that_are_numbers_are_shown_in_the_order_of_their_probabilities(page, demo):
    open_network(page, demo, DIGITS)
    choose(page, photo())
    expect(page.locator(".bars li")).to_have_count(5)
    _, expected = five_most_probable(page, demo, DIGITS)
    assert bars(page) == expected != sorted(expected)


def test_black_and_white_can_be_swapped(page, demo):
    open_network(page, demo, PHOTOS)
    choose(page, photo())
    seen = page.get_by_label("What the network sees")
    expect(seen).to_be_visible()
    before = pixels(seen)
    page.get_by_label("Swap black and white").check()
    wait_until(lambda: np.array_equal(pixels(seen), 255 - before))


def test_the_same_seed_generates_the_same_pixels_and_another_seed_others(page, demo):
    open_network(page, demo, MAKER)
    page.get_by_label("Images").fill("6")
    page.get_by_label("Seed", exact=True).fill("5")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".grid li")).to_have_count(6)
    expect(image(page, 6, 5)).to_be_visible()
    first = [pixels(image(page, number, 5)) for number in range(1, 7)]
    assert np.array_equal(first, images_of(asked(page, f"{demo}/v1/{MAKER}/sample", count=6, seed=5)))
    page.get_by_role("button", name="Next seed").click()
    expect(image(page, 1, 6)).to_be_visible()
    assert not np.array_equal(pixels(image(page, 1, 6)), first[0])
    page.get_by_label("Seed", exact=True).fill("5")
    page.get_by_role("button", name="Generate").click()
    expect(image(page, 1, 5)).to_be_visible()
    assert np.array_equal([pixels(image(page, number, 5)) for number in range(1, 7)], first)


def test_a_walk_leads_from_one_seed_to_the_other(page, demo):
    open_network(page, demo, MAKER)
    page.get_by_label("From seed").fill("3")
    page.get_by_label("To seed").fill("4")
    page.get_by_role("button", name="Walk").click()
    expect(page.get_by_text("Seed 3", exact=True)).to_be_visible()
    ends = [images_of(asked(page, f"{demo}/v1/{MAKER}/sample", count=1, seed=seed))[0] for seed in (3, 4)]
    slider, steps = page.get_by_label("Position"), []
    for position in (0, 8, 16, 24, 32):
        slider.fill(str(position))
        expect(page.get_by_text(f"{round(100 * position / 32)} % of the way")).to_be_visible()
        steps.append(pixels(frame(page)))
    for step, name, end in ((steps[0], "first", ends[0]), (steps[-1], "second", ends[1])):
        assert np.abs(step.astype(int) - end).max() <= 1  # rounding
        assert np.array_equal(pixels(page.get_by_label(f"Image of the {name} seed")), step)
    towards = [np.abs(step.astype(int) - ends[1]).mean() for step in steps]
    assert towards == sorted(towards, reverse=True) and len(set(towards)) == len(towards)


def test_a_reconstruction_stands_beside_its_image_and_their_difference(page, demo):
    open_network(page, demo, COPIER)
    choose(page, photo())
    given, again, apart = (page.get_by_label(name, exact=True) for name in ("Image", "Reconstruction", "Difference"))
    expect(apart).to_be_visible()
    one, other = pixels(given).astype(int), pixels(again).astype(int)
    assert np.abs(other - 0.9 * one).max() <= 0.5 + 1e-3  # what this network does
    factor = int(re.search(r"amplified (\d+) times", page.locator("figcaption").last.inner_text())[1])
    assert factor > 1
    assert np.array_equal(pixels(apart), np.minimum(255, factor * np.abs(one - other)))
    psnr = 10 * np.log10(255**2 / np.square(one - other).mean())
    shown = float(re.match(r"PSNR ([\d.]+) dB", best(page).inner_text())[1])
    assert abs(shown - psnr) < 0.006
    expect(page.get_by_text("The 192 numbers of the image became 5 in between.")).to_be_visible()
    tops = {round(picture.bounding_box()["y"]) for picture in (given, again, apart)}
    assert len(tops) == 1, "not side by side"
