"""The page itself, from the first click to the exported masks, as its users see it."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from visitor import BESIDE_IT, ON_IT, Visitor, photos

from guided_demo.cli import main as command_line

# Buttons around photo and gallery that are not on the screen as a whole, or have something else over their middle.
UNREACHABLE = """() => [...document.querySelectorAll(".g-tools button, .g-below button, .g-head button, .g-files button")]
  .map((button) => [button, button.getBoundingClientRect()])
  .filter(([, { width }]) => width)
  .filter(([button, { x, y, left, top, right, bottom, width, height }]) =>
    Math.min(left, top, innerWidth - right, innerHeight - bottom) < 0 ||
    !button.contains(document.elementFromPoint(x + width / 2, y + height / 2)))
  .map(([button]) => button.ariaLabel)"""


def changed(before, after):
    return [name for name in before if before[name] != after[name]]


def read_masks(path):
    with zipfile.ZipFile(path) as archive:
        return {
            name: np.array(Image.open(io.BytesIO(archive.read(name)))) for name in archive.namelist() if name.endswith(".png")
        }


def test_the_main_job_from_the_first_click_to_the_masks(visitor, stranger, tmp_path):
    untouched = visitor.masks()
    assert set(untouched) == {path.name for path in photos()} and set(untouched.values()) == {None}

    visitor.click(*ON_IT)
    one_click = visitor.masks()
    assert len(changed(untouched, one_click)) >= 3
    visitor.click(*BESIDE_IT, button="right")
    two_clicks = visitor.masks()
    assert len(changed(one_click, two_clicks)) >= 3

    visitor.button("Undo (Z)").click()
    visitor.settle()
    assert visitor.masks() == one_click
    visitor.button("Redo (Shift+Z)").click()
    visitor.settle()
    assert visitor.masks() == two_clicks

    saved = tmp_path / visitor.download("Save guidance", tmp_path / "guidance.safetensors")
    visitor.page.reload()
    visitor.settle()
    assert visitor.masks() == two_clicks

    assert set(stranger.masks().values()) == {None}
    stranger.give("guidance", saved)
    stranger.page.wait_for_selector(".g-notice")
    stranger.settle()
    assert stranger.masks() == two_clicks

    stranger.download("Download masks", tmp_path / "page.zip")
    assert command_line(["segment", *map(str, [saved, *photos()]), "-o", str(tmp_path / "command.zip")]) == 0
    of_page, of_command = read_masks(tmp_path / "page.zip"), read_masks(tmp_path / "command.zip")
    assert of_page.keys() == of_command.keys() == {path.with_suffix(".png").name for path in photos()}
    for name, mask in of_page.items():
        assert np.array_equal(mask, of_command[name]), name
    assert (of_page["cheetah1.png"] == 1).mean() > 0.2


def test_two_people_never_see_each_others_work(visitor, stranger, tmp_path):
    secret = tmp_path / "secret.png"
    Image.new("RGB", (64, 48), "purple").save(secret)
    visitor.click(*ON_IT)
    visitor.give("photos", secret)
    visitor.page.wait_for_selector(".g-tile:nth-child(6)")
    visitor.settle()
    stranger.page.reload()
    stranger.settle()
    assert set(stranger.masks().values()) == {None}
    assert "secret.png" not in stranger.masks() and "secret.png" in visitor.masks()


def test_names_with_html_in_them_are_shown_as_text(visitor, tmp_path):
    evil = "<img src=x onerror=document.title='broken-in'>"
    photo = tmp_path / f"{evil.replace('/', '')}.png"
    Image.new("RGB", (64, 48), "teal").save(photo)
    broken = tmp_path / f"{evil} broken.png"
    broken.write_bytes(b"not an image")
    visitor.give("photos", photo, broken)
    visitor.page.wait_for_selector(".g-problem")
    visitor.settle()
    visitor.button("Add class").click()
    visitor.page.keyboard.type(evil)
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector(f'.g-chip.g-active:has-text("{evil}")')
    visitor.settle()
    visitor.page.keyboard.press("h")
    assert visitor.page.locator(".g-name", has_text=evil).count() == 1
    assert visitor.page.locator(".g-problem", has_text=evil).count() == 1
    assert visitor.page.title() != "broken-in"
    assert visitor.page.locator("img[src=x]").count() == 0


def test_own_photos_take_the_place_of_the_samples_and_a_bad_file_is_named(visitor, tmp_path):
    for i, color in enumerate(["red", "green", "blue", "white", "black"]):
        Image.new("RGB", (60 + i, 40), color).save(tmp_path / f"{color}.png")
    (tmp_path / "notes.jpg").write_text("no photo")
    visitor.give("photos", *sorted(tmp_path.glob("*.*")))
    visitor.page.wait_for_selector(".g-problem")
    visitor.settle()
    assert set(visitor.masks()) == {f"{color}.png" for color in ("red", "green", "blue", "white", "black")}
    assert "notes.jpg" in visitor.page.locator(".g-problem").inner_text()


def test_a_class_is_added_renamed_recoloured_and_removed(visitor):
    visitor.click(*ON_IT)
    page = visitor.page
    before = visitor.masks()
    visitor.button("Rename, recolour or remove this class").click()
    page.get_by_label("Name of the class").fill("big cat")
    page.get_by_label("Colour of the class").fill("#ff0000")
    visitor.button("Done").click()
    visitor.settle()
    assert page.locator(".g-chip.g-active .g-label").inner_text() == "big cat"
    assert len(changed(before, visitor.masks())) >= 3
    visitor.button("Rename, recolour or remove this class").click()
    visitor.button("Remove this class and its marks").click()
    visitor.settle()
    assert set(visitor.masks().values()) == {None}
    page.keyboard.press("z")
    visitor.settle()
    assert None not in (visitor.masks()[name] for name in changed(before, dict.fromkeys(before)))


def test_a_class_that_gets_the_name_of_another_is_merged_with_it(visitor):
    page = visitor.page
    visitor.click(*ON_IT)
    visitor.button("Add class").click()
    page.keyboard.type("kitten")
    page.keyboard.press("Enter")
    visitor.settle()
    visitor.click(100, 180)
    visitor.click(160, 180)
    page.wait_for_selector(".guided:not(.g-catching-up)")
    two = visitor.masks()
    visitor.button("Rename, recolour or remove this class").click()
    page.get_by_label("Name of the class").fill("cheetah")
    page.keyboard.press("Enter")
    question = page.get_by_role("dialog", name="Merge “kitten” into “cheetah”?")
    question.get_by_text("2 marks move.").wait_for()
    question.get_by_role("button", name="Merge").click()
    expect(page.locator(".g-label")).to_have_text(["cheetah", "background"])
    visitor.settle()
    page.wait_for_selector(".guided:not(.g-catching-up)")
    one = visitor.masks()
    assert changed(two, one)
    page.keyboard.press("z")
    visitor.settle()
    page.wait_for_selector(".guided:not(.g-catching-up)")
    assert page.locator(".g-label").all_inner_texts() == ["cheetah", "kitten", "background"]
    assert visitor.masks() == two
    page.keyboard.press("Shift+z")
    page.reload()
    visitor.settle()
    page.wait_for_selector(".guided:not(.g-catching-up)")
    assert visitor.masks() == one


def test_everything_comes_from_this_server(visitor):
    visitor.click(*ON_IT)
    outside = [url for url in visitor.requests if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert outside == []


LAYOUT = """() =>
  [".g-hint", ".g-top", ".g-stage", ".g-below", ".g-tools", ".g-head", ".g-found", ".g-tiles", ".g-files"]
    .map((name) => document.querySelector(name).getBoundingClientRect())
    .map(({ x, y, width, height }) => [x, y, width, height])"""


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768), (390, 844)])
def test_while_it_loads_nothing_can_be_pressed_nothing_empty_is_shown_and_nothing_moves_then(page, server, width, height):
    page.set_viewport_size({"width": width, "height": height})
    held = []
    page.route("**/component_server/**", lambda route: held.append(route) if held is not None else route.continue_())
    page.goto(server)
    page.wait_for_selector(".guided[data-ready=false]")
    before = page.evaluate(LAYOUT)
    assert page.locator(".g-hint").inner_text() == "Loading …"
    assert page.locator(".g-legend").is_hidden()
    focused = "[...document.querySelectorAll('.guided button')].filter((node) => (node.focus(), node === document.activeElement))"
    assert page.evaluate(f"{focused}.length") == 0
    expect(page.locator(".g-tools button").first).to_have_css("opacity", "0.38")
    page.keyboard.press("z")
    waiting, held = held, None
    assert len(waiting) == 1
    waiting[0].continue_()
    page.wait_for_selector(".guided[data-ready=true]:not(.g-busy)")
    assert page.evaluate(LAYOUT) == before
    expect(page.locator(".g-tools button").first).to_have_css("opacity", "1")


@pytest.mark.parametrize(
    ("width", "height", "touch"),
    [
        (1440, 900, False),
        (1024, 768, False),
        (390, 844, True),
        (320, 568, True),
        (844, 390, True),
        (800, 1280, True),
    ],
)
def test_nothing_needs_scrolling_is_cut_off_or_jumps(chromium, server, width, height, touch):
    context = chromium.new_context(viewport={"width": width, "height": height}, has_touch=touch, is_mobile=touch)
    visitor = Visitor(context.new_page(), server)

    def layout():
        return visitor.page.evaluate(
            """() => [...document.querySelectorAll(".g-hint, .g-classes, .g-stage, .g-tools, .g-below, .g-side")]
                .map((node) => node.getBoundingClientRect()).map(({ x, y, width, height }) => [x, y, width, height])"""
        )

    def hint_fits():
        return visitor.page.locator(".g-hint").evaluate("(node) => node.scrollHeight <= node.clientHeight")

    before = layout()
    assert hint_fits()
    assert visitor.page.evaluate(UNREACHABLE) == []
    for act in (
        lambda: visitor.click(*ON_IT),
        lambda: visitor.click(*BESIDE_IT, button="right"),
        lambda: visitor.page.keyboard.press("0"),
        lambda: visitor.page.keyboard.press("b"),
        lambda: visitor.page.keyboard.press("ArrowRight"),
    ):
        act()
        visitor.settle()
        assert layout() == before
        assert hint_fits()
    assert visitor.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in before)
    context.close()
