"""Everybody can use the page: axe-core, which checks a page for what keeps people out, finds nothing serious in any state."""

from pathlib import Path

import axe_playwright_python
import pytest
from visitor import BESIDE_IT, ON_IT, Visitor

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text()


def findings(page):
    """What axe-core calls serious or critical: the rule, and the first element that breaks it."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    violations = page.evaluate("axe.run().then((result) => result.violations)")
    return [
        (rule["id"], rule["nodes"][0]["html"], rule["nodes"][0]["failureSummary"])
        for rule in violations
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("width", "height", "theme"), [(1440, 900, "light"), (1024, 768, "dark"), (390, 844, "dark")])
def test_nothing_keeps_anybody_out(chromium, server, tmp_path, width, height, theme):
    touch = width < 500
    context = chromium.new_context(
        viewport={"width": width, "height": height}, has_touch=touch, is_mobile=touch, color_scheme=theme, reduced_motion="reduce"
    )
    page = context.new_page()
    visitor = Visitor(page, f"{server}?__theme={theme}")
    assert page.locator(".guided").evaluate("(node) => getComputedStyle(node).colorScheme.includes('dark')") == (theme == "dark")
    found = {"first visit": findings(page)}

    visitor.click(*ON_IT)
    visitor.click(*BESIDE_IT, button="right")
    page.wait_for_selector(".guided:not(.g-catching-up)")
    found["marked"] = findings(page)

    page.keyboard.press("h")
    page.wait_for_selector(".g-help[open]")
    found["help"] = findings(page)
    page.keyboard.press("Escape")

    visitor.button("More downloads").click()
    page.wait_for_selector(".g-menu:popover-open")
    found["menu"] = findings(page)
    page.keyboard.press("Escape")

    visitor.button("Rename, recolour or remove this class").click()
    found["class"] = findings(page)
    page.get_by_label("Name of the class").fill("background")
    page.keyboard.press("Enter")
    page.wait_for_selector(".g-question[open]")
    found["question"] = findings(page)
    visitor.button("Keep both").click()

    (tmp_path / "notes.jpg").write_text("no photo")
    visitor.give("photos", tmp_path / "notes.jpg")
    page.wait_for_selector(".g-problem")
    found["problem"] = findings(page)
    context.close()
    assert {state: problems for state, problems in found.items() if problems} == {}


def test_the_check_finds_what_is_wrong(page):
    page.set_content("<html lang='en'><title>A page</title><main><button></button></main>")
    assert [rule for rule, *_ in findings(page)] == ["button-name"]


def test_in_a_system_of_few_colours_the_chosen_is_told_apart_and_classes_keep_theirs(hand):
    page = hand.page
    page.emulate_media(forced_colors="active")

    def color(selector, property="background-color"):
        return page.locator(selector).first.evaluate("(node, property) => getComputedStyle(node)[property]", property)

    assert color(".g-tools [aria-pressed=true]") != color(".g-tools [aria-pressed=false]")
    assert color(".g-chip.g-active") != color(".g-chip:not(.g-active)")
    assert color(".g-dot:not(.g-ring)") == "rgb(0, 153, 238)"
    assert color("[aria-current=true]", "outline-style") == "solid"
    page.locator(".g-look").click()
    assert color(".g-views [aria-pressed=true] small", "color") == color(".g-views [aria-pressed=true]", "color")
    page.evaluate("document.querySelector('.g-ring-here').hidden = false")
    ring = "getComputedStyle(document.querySelector('.g-ring-here'), '::before').boxShadow"
    assert page.evaluate(ring) != "none"


def test_who_wants_no_motion_sees_no_pulse(hand):
    page = hand.page
    pulse = "getComputedStyle(document.querySelector('.g-ring-here'), '::after').animationName"
    page.evaluate("document.querySelector('.g-ring-here').hidden = false")
    assert page.evaluate(pulse) == "g-pulse"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(pulse) == "none"
