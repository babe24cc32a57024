"""The demo in a browser, as a person uses it: what is drawn, shown and read."""

import base64
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from helpers.pages import TIME_LIMIT

HEIGHT = 900
ONE = [(0.5, 0.2), (0.5, 0.35), (0.5, 0.5), (0.5, 0.65), (0.5, 0.8)]  # a digit, in shares of the pad's side
PIXELS = """canvas => {
    const {height, width} = canvas;
    return [height, width, ...canvas.getContext("2d").getImageData(0, 0, width, height).data];
}"""
DROP = """([place, base64, name, kind]) => {
    const data = new DataTransfer();
    const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
    data.items.add(new File([bytes], name, {type: "image/png"}));
    const event = kind === "paste" ? new ClipboardEvent(kind, {clipboardData: data, bubbles: true, cancelable: true})
        : new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true});
    document.querySelector(place).dispatchEvent(event);
}"""


@contextmanager
def demo_visitor(browser: Browser, address: str, width: int, **options: Any) -> Iterator[Page]:
    """A page that may ask no other machine than the server's, and must not break its policy or fail."""
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, locale="en-GB", **options)
    context.set_default_timeout(TIME_LIMIT)
    page = context.new_page()
    asked, problems = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: "Content Security" in message.text and problems.append(message.text))
    yield page
    context.close()
    assert [url for url in asked if not url.startswith(f"{address}/")] == []
    assert asked and problems == []


def open_network(page: Page, address: str, network: str) -> None:
    """The panel of a network."""
    page.goto(f"{address}/demo/#{network}")
    expect(page.get_by_role("main").get_by_role("heading", name=network, exact=True)).to_be_visible()


def pad(page: Page) -> Locator:
    """The drawing pad."""
    return page.get_by_role("application", name="Drawing pad")


def places(page: Page, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points of the pad as places of the window."""
    pad(page).scroll_into_view_if_needed()
    box = pad(page).bounding_box()
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]


def draw(page: Page, points: Sequence[tuple[float, float]]) -> None:
    """Draw a line on the pad with the mouse, whose button stays pressed."""
    first, *others = places(page, points)
    page.mouse.move(*first)
    page.mouse.down()
    for place in others:
        page.mouse.move(*place, steps=5)


def best(page: Page) -> Locator:
    """The answer, in large letters."""
    return page.locator(".best")


def bars(page: Page) -> list[tuple[str, str]]:
    """The classes that are shown, with their percentages."""
    rows = page.locator(".bars li").all()
    return [(row.locator(".class").inner_text(), row.locator(".number").inner_text()) for row in rows]


def pixels(canvas: Locator) -> np.ndarray:
    """What a canvas shows: uint8 (H, W, 3)."""
    height, width, *values = canvas.evaluate(PIXELS)
    return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]


def images_of(answer: dict) -> np.ndarray:
    """The images in an answer of the API."""
    given = answer["images"]
    return np.frombuffer(base64.b64decode(given["base64"]), np.uint8).reshape(given["shape"])


def asked(page: Page, path: str, **body: Any) -> dict:
    """What the API answers to JSON."""
    answer = page.request.post(path, data=json.dumps(body), headers={"Content-Type": "application/json"})
    return answer.json()


def photo(seed: int = 0, size: tuple[int, int] = (24, 16)) -> bytes:
    """A file of a colour image."""
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def choose(page: Page, data: bytes, name: str = "photo.png") -> None:
    """Choose a file."""
    page.get_by_label("Choose an image").set_input_files({"name": name, "mimeType": "image/png", "buffer": data})


def hand_over(page: Page, kind: str, data: bytes, place: str = "body") -> None:
    """Drop or paste a file."""
    page.evaluate(DROP, [place, base64.b64encode(data).decode(), "photo.png", kind])
