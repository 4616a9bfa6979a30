"""How masks are seen: scope, views, what is left out, and the legend, on the page and with keys."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from visitor import BESIDE_IT, ON_IT

# The colours at a pixel of the open photo, as they are on the screen: red, green, blue.
PIXEL = """([x, y]) => {
  const { view, base, ratio } = annotator.stage;
  const [u, v] = view.toStage(x, y);
  return [...base.getContext("2d").getImageData(u * ratio, v * ratio, 1, 1).data].slice(0, 3);
}"""

# A photo that is all orange, and a mask that is all blue.
SHOW = """async (look) => {
  const fill = async (color) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 400, height: 300 });
    Object.assign(canvas.getContext("2d"), { fillStyle: color }).fillRect(0, 0, 400, 300);
    const image = Object.assign(new Image(), { src: canvas.toDataURL() });
    await image.decode();
    return image;
  };
  annotator.opacity = 0.5;
  annotator.stage.set({ photo: await fill("#ff8000"), mask: await fill("#0000ff"), look });
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
}"""


@pytest.mark.parametrize(
    ("look", "color"),
    [("overlay", (128, 64, 128)), ("mask", (0, 0, 255)), ("outline", (0, 0, 255)), ("novelty", None), ("probability", None)],
)
def test_the_photo_is_seen_below_the_mask_where_that_helps(hand, look, color):
    hand.page.evaluate(SHOW, look)
    red, green, blue = hand.page.evaluate(PIXEL, [200, 150])
    if color:
        assert (red, green, blue) == pytest.approx(color, abs=2)
    else:
        assert red == pytest.approx(green, abs=3) and blue > red > 20  # a grey photo below


def test_keys_change_the_view_and_the_scope_and_the_panel_says_which_it_is(hand):
    hand.press("v", "v", "Shift+V", "s")
    wishes = [{name: value for name, value in wish.items() if name in ("view", "scope")} for wish in hand.sent("look")]
    assert {**wishes[0], **wishes[-1]} == {"view": "mask", "scope": "object"}
    page = hand.page
    assert page.locator(".g-look").inner_text() == "Masks only"
    assert page.locator(".g-top .g-scope [aria-pressed=true]").inner_text() == "This object"
    page.locator(".g-look").click()
    assert page.locator(".g-views [aria-pressed=true]").inner_text().startswith("Masks only")
    page.get_by_role("button", name="Outlines").click()
    assert hand.sent("look")[-1]["view"] == "outline"
    page.keyboard.press("Escape")
    page.wait_for_selector(".g-panel", state="hidden")


def test_the_likelihood_is_that_of_the_chosen_class(hand):
    hand.press("2", "Shift+V", "Shift+V")
    assert hand.sent("look")[-1]["view"] == "probability" and hand.sent("look")[-1]["label"] == "dog"
    hand.press("1")
    assert hand.sent("look")[-1]["label"] == "cat"


def test_the_class_whose_likelihood_is_seen_is_the_one_that_is_named(visitor):
    page = visitor.page
    chosen = page.locator(".g-active .g-label")
    visitor.click(*ON_IT)
    visitor.click(*BESIDE_IT, button="right")
    visitor.button("Add class").click()
    page.keyboard.type("lion")
    page.keyboard.press("Enter")
    page.locator(".g-ink").focus()
    page.keyboard.press("Shift+V")
    page.keyboard.press("Shift+V")
    visitor.settle()
    of_lion = ".g-legend:has-text('not lion')"  # which comes with the picture
    page.wait_for_selector(of_lion)
    page.reload()
    visitor.settle()
    page.wait_for_selector(of_lion)
    assert chosen.inner_text() == "lion"
    lions = visitor.masks()["lion.jpg"]
    page.locator(".g-active .g-edit").click()
    visitor.button("Remove this class and its marks").click()
    visitor.settle()
    page.wait_for_selector(".guided:not(.g-catching-up)")
    page.wait_for_selector(".g-legend:has-text('not cheetah')")
    assert chosen.inner_text() == "cheetah"
    assert visitor.masks()["lion.jpg"] != lions


def test_a_slider_that_moves_fast_asks_for_its_last_value(hand):
    page = hand.page
    page.locator(".g-look").click()
    page.locator(".g-panel input").nth(1).focus()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    assert hand.sent("look")[-1]["unsure"] == pytest.approx(0.8)
    assert page.locator(".g-limit").inner_text() == "below 80 %"
    page.keyboard.press("Home")
    assert hand.sent("look")[-1]["unsure"] == 0


def test_the_legend_names_what_the_mask_may_show(hand):
    hand.page.evaluate(SHOW, "mask")
    hand.page.evaluate(
        """() => {
          const names = ["background", "not marked", ..."abcdefg", "a name that is longer than there is room for"];
          const classes = names.map((name) => ({ name, color: "#0099ee" }));
          annotator.take({ state: { ...annotator.server, classes, marked: names.filter((name) => name !== "not marked") } });
        }"""
    )
    assert hand.page.locator(".g-legend > *").all_inner_texts() == [*"abcdef", "and 2 more"]
    hand.page.evaluate(
        "annotator.take({ state: { ...annotator.server, marked: ['a name that is longer than there is room for'] } })"
    )
    assert hand.page.locator(".g-legend > *").all_inner_texts() == ["a name that is long…"]
    for view, is_striped in (("outline", True), ("novelty", False)):
        hand.page.evaluate(SHOW, view)
        hand.page.evaluate("annotator.take({ state: { ...annotator.server, look: { ...annotator.server.look, unsure: 0.9 } } })")
        assert ("no class: less than 90 % sure" in hand.page.locator(".g-legend").inner_text()) == is_striped


def test_what_is_downloaded_is_what_is_seen(visitor, tmp_path):
    def files():
        visitor.download("Download masks", tmp_path / "masks.zip")
        with zipfile.ZipFile(tmp_path / "masks.zip") as archive:
            return {
                name: np.array(Image.open(io.BytesIO(archive.read(name)))) for name in archive.namelist() if name.endswith(".png")
            }

    visitor.click(*ON_IT)
    visitor.click(*BESIDE_IT, button="right")
    everywhere, on_page = files(), visitor.masks()
    visitor.button("This object").click()
    visitor.settle()
    alone, alone_on_page = files(), visitor.masks()
    assert [name for name in on_page if on_page[name] != alone_on_page[name]] == ["cheetah1.jpg"]
    assert [name for name in alone if not np.array_equal(alone[name], everywhere[name])] == ["cheetah1.png"]

    visitor.page.locator(".g-look").click()
    visitor.page.get_by_role("slider", name="Leave out").fill("95")
    visitor.settle()
    visitor.page.keyboard.press("Escape")
    sure = files()
    for name, mask in sure.items():
        kept = mask != 255
        assert np.array_equal(mask[kept], alone[name][kept])
    assert 255 in np.unique(np.concatenate([mask.ravel() for mask in sure.values()]))
    assert visitor.page.locator(".g-legend").inner_text() == "no class: less than 95 % sure"

    visitor.page.reload()
    visitor.settle()
    assert visitor.page.locator(".g-top .g-scope [aria-pressed=true]").inner_text() == "This object"
    assert visitor.page.locator(".g-legend").is_visible()


def test_where_nothing_is_marked_the_photos_are_seen_in_every_view(visitor):
    visitor.click(*ON_IT)
    visitor.page.keyboard.press("v")
    photo = visitor.page.locator(".g-tile .g-photo").first
    expect(photo).to_have_css("opacity", "0")
    visitor.page.keyboard.press("z")
    visitor.settle()
    visitor.page.wait_for_selector(".guided:not(.g-catching-up)")
    expect(photo).to_have_css("opacity", "1")


def test_on_a_phone_the_legend_names_the_chosen_class_first_and_no_more_than_there_is_room_for(hand):
    hand.page.set_viewport_size({"width": 390, "height": 844})
    hand.page.evaluate(SHOW, "mask")
    hand.page.evaluate(
        """() => {
          const classes = ["background", ..."abcdefg"].map((name) => ({ name, color: "#0099ee" }));
          annotator.take({ state: { ...annotator.server, classes, marked: classes.map(({ name }) => name) } });
          annotator.choose("f");
        }"""
    )
    assert hand.page.locator(".g-legend > *").all_inner_texts() == [*"fabc", "and 3 more"]


AS_ON_THE_PAGE = "document.querySelector('.guided').style.height = 'calc(100dvh - 44px)'"


@pytest.mark.parametrize("name", ["Masks", "Leave out"])
def test_on_a_phone_nothing_but_the_slider_that_is_held_is_above_the_photo(hand, name):
    hand.page.set_viewport_size({"width": 390, "height": 844})
    hand.page.evaluate(AS_ON_THE_PAGE)
    hand.page.locator(".g-look").click()
    left, top, width, height = hand.page.get_by_role("slider", name=name).bounding_box().values()
    hand.page.mouse.move(left + width / 2, top + height / 2)
    hand.page.mouse.down()
    panel = hand.page.locator(".g-panel")
    shown = """(panel) =>
      [...panel.children].filter((part) => getComputedStyle(part).opacity === "1").map((part) => part.innerText)"""
    assert [text.split("\n")[0] for text in panel.evaluate(shown)] == [name]
    expect(panel).to_have_css("background-color", "rgba(0, 0, 0, 0)")
    hand.page.mouse.up()
    expect(panel.locator(".g-views")).to_have_css("opacity", "1")
    assert len(panel.evaluate(shown)) == 4


@pytest.mark.parametrize("size", [(360, 640), (390, 844), (844, 390), (1280, 720)], ids=str)
def test_all_of_the_panel_is_in_sight(hand, size):
    hand.page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    hand.page.evaluate(AS_ON_THE_PAGE)
    hand.page.locator(".g-look").click()
    assert hand.page.locator(".g-panel").evaluate("(panel) => panel.scrollHeight <= panel.clientHeight")
