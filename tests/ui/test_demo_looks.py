"""The demo fits every width, its text has contrast, its controls have names, and it does not move if asked not to."""

import pytest
from helpers.demo_pages import choose, demo_visitor, open_network, pad, photo
from helpers.demo_zoo import COPIER, DIGITS, MAKER, PHOTOS
from helpers.pages import expect

pytestmark = pytest.mark.browser

ENOUGH = 4.5  # of contrast, for text of any size: WCAG 2, level AA
NETWORKS = [DIGITS, PHOTOS, COPIER, MAKER]
# The texts on the page whose contrast with what is behind them is too low.
FAINT = """least => {
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
    const behind = element => {
        for (let box = element; box; box = box.parentElement) {
            const colour = numbers(getComputedStyle(box).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll("body *")].filter(element => element.checkVisibility()
        && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())
    ).filter(element => {
        const [a, b] = [luminance(numbers(getComputedStyle(element).color)), luminance(behind(element))];
        return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) < least;
    }).map(element => element.outerHTML);
}"""
NAMELESS = """[...document.querySelectorAll("a, button, input, canvas, nav, main")].filter(element => !(
    element.labels?.length || element.getAttribute("aria-label") || element.textContent.trim()
)).map(element => element.outerHTML)"""


def fill(page, network: str) -> None:
    """Bring a panel to show all that it has."""
    if network == MAKER:
        expect(page.get_by_label("Position")).to_be_enabled()
        page.get_by_label("To seed").fill("-1")
        page.get_by_role("button", name="Walk").click()
        expect(page.get_by_role("alert").filter(visible=True)).to_be_visible()
    elif network == DIGITS:
        pad(page).click()
        expect(page.locator(".bars li")).to_have_count(5)
    else:
        choose(page, photo(), "a photo with a long name, of " + 60 * "x" + ".png")
        expect(page.locator("canvas").last).to_be_visible()


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_a_panel_fits_has_contrast_and_names_its_controls(browser, demo, width, scheme, network):
    with demo_visitor(browser, demo, width, color_scheme=scheme) as page:
        open_network(page, demo, network)
        fill(page, network)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(FAINT, ENOUGH) == []
        assert page.evaluate(NAMELESS) == []
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        bright = sum(map(int, background.removeprefix("rgb(").removesuffix(")").split(",")))
        assert bright > 600 if scheme == "light" else bright < 200


@pytest.mark.parametrize(("preference", "moves"), [("reduce", False), ("no-preference", True)])
def test_bars_do_not_move_for_who_prefers_that(browser, demo, preference, moves):
    with demo_visitor(browser, demo, 1400, reduced_motion=preference) as page:
        open_network(page, demo, PHOTOS)
        choose(page, photo())
        duration = page.locator(".filled").first.evaluate("bar => getComputedStyle(bar).transitionDuration")
        assert (duration != "0s") is moves


def test_the_skip_link_leads_past_the_list_of_networks(browser, demo):
    with demo_visitor(browser, demo, 1400) as page:
        open_network(page, demo, MAKER)
        page.reload()
        expect(page.get_by_label("Position")).to_be_enabled()
        page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to the network")
        expect(skip).to_be_focused()
        expect(skip).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=MAKER)).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Model card")).to_be_focused()
