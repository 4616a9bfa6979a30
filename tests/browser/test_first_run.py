"""The first visit: three steps that follow what the person really does, once."""

import pytest
from PIL import Image
from playwright.sync_api import expect
from visitor import BESIDE_IT, ON_IT, Visitor


def step(page):
    """Which step is shown, and the sentence beside it."""
    count = page.locator(".g-step")
    return (count.inner_text() if count.is_visible() else None), page.locator(".g-hint [role=status]").inner_text()


def test_the_steps_follow_what_is_done_and_come_once(context, server, tmp_path):
    page = context.new_page()
    visitor = Visitor(page, server)
    assert step(page)[0] == "1 of 3" and "cheetah" in step(page)[1]
    visitor.click(*ON_IT)
    assert step(page)[0] == "2 of 3"
    page.keyboard.press("z")
    visitor.settle()
    assert step(page)[0] == "1 of 3"
    page.keyboard.press("Shift+Z")
    visitor.settle()
    visitor.click(*BESIDE_IT, button="right")
    assert step(page)[0] == "3 of 3" and "Download" in step(page)[1]  # the word on the button
    visitor.download("Download masks", tmp_path / "masks.zip")
    page.wait_for_selector(".g-step", state="hidden")
    assert step(page)[0] is None and step(page)[1]
    second = Visitor(context.new_page(), server)  # a tab of its own, with nothing marked
    assert set(second.masks().values()) == {None}
    assert step(second.page)[0] is None


def test_whoever_has_marked_something_is_not_shown_around(page, server):
    visitor = Visitor(page, server)
    visitor.click(*ON_IT)
    page.reload()
    visitor.settle()
    assert step(page)[0] is None


@pytest.mark.parametrize("way", ["skip", "next"])
def test_it_can_be_skipped(page, server, way):
    visitor = Visitor(page, server)
    if way == "next":
        visitor.click(*ON_IT)
        visitor.button("Next").click()
        assert step(page)[0] == "3 of 3"
    visitor.button("Skip the introduction").click()
    assert step(page)[0] is None
    page.reload()
    visitor.settle()
    assert step(page)[0] is None


def test_own_photos_end_it(page, server, tmp_path):
    visitor = Visitor(page, server)
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "mine.png")
    visitor.give("photos", tmp_path / "mine.png")
    page.wait_for_selector(".g-step", state="hidden")


def test_whoever_goes_through_it_with_the_keyboard_is_left_at_the_photo(visitor):
    visitor.click(*ON_IT)
    for name in ("Next", "Skip the introduction"):
        visitor.button(name).press("Enter")
        expect(visitor.page.locator(".g-ink")).to_be_focused()
