"""What the demo shows of its server: errors, versions, links, and the browser's question for the token."""

import re

import pytest
from helpers.demo_pages import asked, best, choose, demo_visitor, open_network, photo
from helpers.demo_zoo import COPIER, MAKER, PHOTOS, write_photos
from helpers.pages import expect
from helpers.served import get, server, wait_until
from playwright.sync_api import Error

from convzoo.files import sha256_of

pytestmark = pytest.mark.browser

TOKEN = "a-token-of-some-length"


@pytest.fixture
def page(demo_page):
    """A page of the demo's server, on a screen and on a phone."""
    return demo_page


def image(page, number: int, seed: int):
    return page.get_by_label(f"Image {number} of seed {seed}", exact=True)


def test_an_error_of_the_server_is_shown_as_it_says_it_and_goes_when_it_is_mended(page, demo):
    open_network(page, demo, MAKER)
    page.get_by_label("Seed", exact=True).fill("-1")
    page.get_by_role("button", name="Generate").click()
    message = asked(page, f"{demo}/v1/{MAKER}/sample", count=16, seed=-1)["error"]
    expect(page.get_by_role("alert").filter(visible=True)).to_have_text(message)
    assert message.startswith("seed: got -1, expected")
    page.get_by_label("Seed", exact=True).fill("2")
    page.get_by_role("button", name="Generate").click()
    expect(image(page, 1, 2)).to_be_visible()
    expect(page.get_by_role("alert").filter(visible=True)).to_have_count(0)


@pytest.mark.parametrize("network", [PHOTOS, COPIER])
def test_a_file_that_is_no_image_is_an_error(page, demo, network):
    open_network(page, demo, network)
    choose(page, photo())
    expect(best(page)).not_to_have_text("")
    choose(page, b"no image", "notes.png")
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("notes.png: ")
    expect(best(page)).to_have_text("")  # no answer that is about another file
    expect(page.locator("figure").filter(visible=True)).to_have_count(0)


def test_a_server_that_is_gone_is_named(page, demo):
    open_network(page, demo, MAKER)
    expect(image(page, 1, 0)).to_be_visible()
    expect(page.get_by_label("Position")).to_be_enabled()
    page.route("**/sample?*", lambda route: route.abort())
    page.get_by_role("button", name="Next seed").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("The server does not answer")


def test_version_alias_card_report_and_mlflow_are_named(page, demo, demo_zoo):
    models = get(f"{demo}/v1/models")
    for network in models["networks"]:
        network |= {"version": 3, "alias": "champion"}
    open_network(page, demo, MAKER)
    main = page.get_by_role("main")
    expect(main.locator("code")).to_have_text(sha256_of(demo_zoo / MAKER / "model.onnx")[:12])
    expect(main.get_by_text("Version")).to_have_count(0)  # a folder has none
    expect(main.get_by_role("link", name="MLflow")).to_have_count(0)
    page.route("**/v1/models", lambda route: route.fulfill(json=models))
    page.route(
        "**/links.json", lambda route: route.fulfill(json={"report": "/report", "mlflow": "http://127.0.0.1:5000"})
    )
    page.reload()
    expect(main.get_by_role("definition").filter(has_text=re.compile("^3$"))).to_be_visible()
    expect(main.get_by_role("definition").filter(has_text="champion")).to_be_visible()
    addresses = {link.inner_text(): link.get_attribute("href") for link in main.get_by_role("link").all()}
    assert addresses == {
        "Model card": f"/v1/{MAKER}/card",
        "Report": f"/report#network-{MAKER}",
        "MLflow": f"http://127.0.0.1:5000/#/models/{MAKER}/versions/3",
    }
    assert page.request.get(f"{demo}{addresses['Model card']}").text() == f"# {MAKER}\n"


def test_a_new_version_is_named_as_soon_as_it_answers(browser, tmp_path):
    write_photos(tmp_path)
    with server(tmp_path, "--models", str(tmp_path)) as (address, _, _), demo_visitor(browser, address, 1400) as page:
        open_network(page, address, PHOTOS)
        before = page.get_by_role("main").locator("code").inner_text()
        write_photos(tmp_path, seed=1)
        new = sha256_of(tmp_path / PHOTOS / "model.onnx")
        wait_until(lambda: get(f"{address}/v1/models")["networks"][0]["sha256"] == new)
        choose(page, photo())
        expect(page.get_by_role("main").locator("code")).to_have_text(new[:12])
        assert before != new[:12]


def test_a_new_version_is_named_without_a_question(browser, tmp_path):
    write_photos(tmp_path)
    with server(tmp_path, "--models", str(tmp_path)) as (address, _, _), demo_visitor(browser, address, 1400) as page:
        open_network(page, address, PHOTOS)
        write_photos(tmp_path, seed=1)
        new = sha256_of(tmp_path / PHOTOS / "model.onnx")
        expect(page.get_by_role("main").locator("code")).to_have_text(new[:12], timeout=60_000)


def test_a_browser_that_knows_the_token_uses_the_demo(browser, demo_zoo, tmp_path):
    with server(tmp_path, "--models", str(demo_zoo), CONVZOO_TOKEN=TOKEN) as (address, _, _):
        known = {"http_credentials": {"username": "anybody", "password": TOKEN}}
        with demo_visitor(browser, address, 1400, **known) as page:
            open_network(page, address, PHOTOS)
            choose(page, photo())
            expect(page.locator(".bars li")).to_have_count(5)
        asked_for_it = pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS")
        with demo_visitor(browser, address, 1400) as page, asked_for_it:
            page.goto(f"{address}/demo/")
