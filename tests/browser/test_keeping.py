"""What was done outlives a reload, a closed tab, and a server that is stopped or killed in the middle of saving."""

import json
import threading
import time

from PIL import Image
from playwright.sync_api import expect
from test_large import kept_marks
from visitor import BESIDE_IT, ON_IT, Visitor

NO_STORAGE = """
for (const storage of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, storage, { configurable: true, get() { throw new DOMException("denied", "SecurityError"); } });
"""


def shown(visitor):
    """All that the page shows of somebody's work."""
    visitor.page.wait_for_selector(".guided:not(.g-catching-up)")
    page = visitor.page
    return {
        "masks": visitor.masks(),
        "classes": page.locator(".g-label").all_inner_texts(),
        "open": page.locator(".g-current").text_content(),
        "undo": page.get_by_role("button", name="Undo (Z)").is_enabled(),
        "redo": page.get_by_role("button", name="Redo (Shift+Z)").is_enabled(),
    }


def opened_when_it_is_free(context, url):
    """A new tab, opened as soon as the server has heard that the one with masks was closed."""
    until = time.monotonic() + 20
    while (visitor := Visitor(context.new_page(), url)) and set(visitor.masks().values()) == {None}:
        assert time.monotonic() < until
        visitor.page.close()
    return visitor


def test_a_server_that_was_stopped_or_killed_brings_everything_back(page, own_server, tmp_path):
    visitor = Visitor(page, own_server.url)
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "mine.png")
    visitor.click(*ON_IT)
    visitor.click(*BESIDE_IT, button="right")
    visitor.give("photos", tmp_path / "mine.png")
    page.wait_for_selector(".g-tile:nth-child(6)")
    visitor.settle()
    page.locator(".g-open", has_text="cheetah.jpg").click()
    visitor.settle()
    visitor.click(200, 150)
    page.keyboard.press("z")
    visitor.settle()
    before = shown(visitor)
    assert before["redo"] and before["open"] == "cheetah.jpg"
    for end in (lambda: own_server.stop() == 0, lambda: own_server.kill() is None):
        assert end()
        own_server.start()
        page.reload()
        visitor.settle()
        assert shown(visitor) == before
    visitor.click(30, 30, button="right")  # and goes on
    assert shown(visitor)["masks"] != before["masks"]


def test_an_open_page_comes_back_by_itself_with_every_click_after_a_kill_in_the_middle_of_saving(page, own_server):
    visitor = Visitor(page, own_server.url)
    visitor.click(*ON_IT)
    killer = threading.Timer(0.4, own_server.kill)
    killer.start()
    box = page.locator(".g-ink").bounding_box()
    for i in range(30):  # clicks that the server is saving as it dies
        page.mouse.click(box["x"] + box["width"] * (0.4 + 0.006 * i), box["y"] + box["height"] / 2)
        page.wait_for_timeout(30)
    killer.join()
    page.wait_for_selector(".g-problem:has-text('your marks are kept')")
    lines = _journal(own_server.folder)
    with page.expect_event("load", timeout=60000):
        own_server.start()
    visitor.settle()
    kept = _journal(own_server.folder)
    assert kept[: len(lines) - 1] == lines[:-1]  # all but a line cut short
    assert all(json.loads(line) for line in kept)
    places = [mark["point"][0] for mark in kept_marks(visitor)]
    assert len(places) == 31 and places[1:] == sorted(set(places[1:]))
    assert page.get_by_role("button", name="Undo (Z)").is_enabled()
    assert None not in (visitor.masks()[name] for name in ("cheetah1.jpg", "cheetah.jpg"))


def test_files_that_were_not_read_when_the_page_was_loaded_again_are_asked_for(visitor, tmp_path):
    page = visitor.page
    for i in range(40):  # few enough would all be read before the page is loaded again
        Image.new("RGB", (64 + i, 48), "teal").save(tmp_path / f"{i}.png")
    visitor.give("photos", *sorted(tmp_path.glob("*.png")))
    page.wait_for_selector(".g-progress:not([hidden])")
    page.wait_for_selector(".g-progress:has-text('of 40')")
    page.reload()
    page.wait_for_selector(".g-problem:has-text('Some may be missing: add them all again, those that are here stay')")
    visitor.settle()
    visitor.give("photos", *sorted(tmp_path.glob("*.png")))
    expect(page.locator(".g-count")).to_have_text("40 photos", timeout=60_000)
    page.reload()
    visitor.settle()
    assert page.locator(".g-problem").count() == 0


def test_how_somebody_works_is_kept_over_a_reload(visitor):
    page = visitor.page
    page.keyboard.press("b")
    page.get_by_role("slider", name="Brush").fill("40")
    visitor.button("View").click()
    page.get_by_role("slider", name="Masks").fill("20")
    page.reload()
    visitor.settle()
    expect(page.get_by_role("button", name="Brush: paint over a thing (B)")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("slider", name="Brush")).to_have_value("40")
    visitor.button("View").click()
    expect(page.get_by_role("slider", name="Masks")).to_have_value("20")
    expect(page.locator(".g-mask").first).to_have_css("opacity", "0.2")


def test_an_undo_whose_answer_was_lost_is_done_once(visitor):
    page = visitor.page
    visitor.click(*ON_IT)
    visitor.click(*BESIDE_IT, button="right")

    def lose(route):
        route.fetch()
        route.abort()

    page.route("**/component_server/", lose)
    page.keyboard.press("z")
    page.wait_for_selector(".g-problem:has-text('your marks are kept')")
    page.unroute("**/component_server/")
    page.reload()
    visitor.settle()
    assert [mark["label"] for mark in kept_marks(visitor)] == ["cheetah"]


def test_a_page_that_is_loaded_again_goes_on_with_the_same_photo_class_and_tool(visitor):
    page = visitor.page
    visitor.click(*ON_IT)
    page.route("**/component_server/", lambda route: route.abort())
    visitor.button("Add class").click()
    page.keyboard.type("lion")
    page.keyboard.press("Enter")
    page.locator(".g-open", has_text="lion.jpg").click()
    for key in "b]]":
        page.keyboard.press(key)
    page.wait_for_selector(".g-problem:has-text('your marks are kept')")
    brush = page.get_by_role("slider", name="Brush").input_value()
    page.unroute("**/component_server/")
    for _ in range(2):
        page.reload()
        visitor.settle()
        expect(page.locator(".g-active .g-label")).to_have_text("lion")
        assert page.locator(".g-current").text_content() == "lion.jpg"
        assert visitor.button("Brush: paint over a thing (B)").get_attribute("aria-pressed") == "true"
        assert page.get_by_role("slider", name="Brush").input_value() == brush


def test_where_the_browser_forbids_storage_the_page_works_and_a_reload_brings_back_what_was_done_and_what_was_not_sent(
    page, server
):
    page.add_init_script(NO_STORAGE)  # as in a frame on another site, where a Space is seen
    visitor = Visitor(page, server)
    visitor.click(*ON_IT)
    page.route("**/component_server/", lambda route: route.abort())
    box = page.locator(".g-ink").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 30, button="right")
    page.wait_for_selector(".g-problem:has-text('your marks are kept')")
    page.unroute("**/component_server/")
    page.reload()
    visitor.settle()
    assert [mark["label"] for mark in kept_marks(visitor)] == ["cheetah", "background"]


def test_a_tab_opened_anew_goes_on_where_the_last_was_closed(context, server):
    first = Visitor(context.new_page(), server)
    first.click(*ON_IT)
    second = Visitor(context.new_page(), server)
    assert set(second.masks().values()) == {None}  # while the first is open, its work is its own
    first.click(*BESIDE_IT, button="right")
    before = shown(first)
    second.page.close()
    first.page.close()
    assert shown(opened_when_it_is_free(context, server)) == before


def test_a_tab_that_was_only_looked_at_is_not_gone_on_with_in_place_of_the_work(context, server):
    first = Visitor(context.new_page(), server)
    first.click(*ON_IT)
    before = shown(first)
    second = Visitor(context.new_page(), server)
    first.page.close()
    second.page.close()
    assert shown(opened_when_it_is_free(context, server)) == before


def test_a_program_that_ends_at_once_after_building_the_page_ends_well(launcher, tmp_path):
    ending = launcher.start("app.build(app.GuidedSegmenter.load())", tmp_path / "log.txt")
    assert launcher.wait(ending, seconds=120) == 0
    assert (tmp_path / "log.txt").read_text() == ""


def _journal(folder):
    """The lines of the journal that was written last."""
    return max((folder / "work").glob("*/journal.jsonl"), key=lambda path: path.stat().st_mtime_ns).read_bytes().splitlines()
