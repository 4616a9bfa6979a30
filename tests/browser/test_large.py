"""Fast hands and large photos: everything arrives, in order, and a photo is as sharp as its file."""

import base64
import io

import numpy as np
from PIL import Image


def asking(verb):
    """Whether a response is to a message of the page that has this verb."""
    return lambda response: f'"do":"{verb}"' in (response.request.post_data or "")


def kept_marks(visitor):
    """The marks of the open photo as the server has them, told to a page that is loaded again."""
    with visitor.page.expect_response(asking("open")) as opened:
        visitor.page.reload()
    visitor.settle()
    return opened.value.json()["marks"]


def middle(visitor):
    box = visitor.page.locator(".g-ink").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_of_a_hundred_fast_clicks_none_is_lost(visitor):
    x, y = middle(visitor)
    for i in range(100):
        visitor.page.mouse.click(x - 200 + 4 * i, y)
    visitor.settle()
    places = [mark["point"][0] for mark in kept_marks(visitor)]
    assert len(places) == 100 and places == sorted(set(places))


def test_forty_strokes_on_twelve_megapixels_and_every_pixel_to_be_seen(visitor, tmp_path):
    page = visitor.page
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((4000, 3000), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg")
    visitor.give("photos", tmp_path / "large.jpg")
    page.wait_for_selector(".g-open[aria-current=true][title*='large.jpg']")
    visitor.settle()
    x, y = middle(visitor)
    page.keyboard.press("b")
    for i in range(40):  # without waiting for what the server makes of them
        page.mouse.move(x - 150, y - 140 + 7 * i)
        page.mouse.down()
        page.mouse.move(x + 150, y - 135 + 7 * i, steps=2)
        page.mouse.up()
    visitor.settle()
    page.mouse.move(x, y)
    with page.expect_response(asking("photos")) as sharper:
        for _ in range(4):
            page.mouse.wheel(0, -400)
    (picture,) = sharper.value.json()["photos"].values()
    assert Image.open(io.BytesIO(base64.b64decode(picture.split(",")[1]))).size == (4000, 3000)
    starts = [mark["stroke"][0][1] for mark in kept_marks(visitor)]
    assert len(starts) == 40 and starts == sorted(set(starts))
