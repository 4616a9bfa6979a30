"""A person at the real page, for the tests that work there."""

from pathlib import Path

import gradio
import pytest
from PIL import Image

CHEETAH = "cheetah1.jpg"  # 256x256, the one that is open on the first visit
ON_IT, BESIDE_IT = (128, 110), (12, 12)


class Visitor:
    """A person at the page: looks at it, clicks on it, never sees its state."""

    def __init__(self, page, url):
        self.page = page
        self.requests = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(url)
        self.settle()

    def settle(self):
        """Wait until everything asked for is on the screen."""
        self.page.wait_for_selector(".guided[data-ready=true]:not(.g-busy)")

    def click(self, x, y, **options):
        """Click on the open photo, at a pixel of it. The photo fills the stage's height or width, centred."""
        box = self.page.locator(".g-ink").bounding_box()
        width, height = self.size()
        scale = min((box["width"] - 16) / width, (box["height"] - 16) / height)
        left = box["x"] + (box["width"] - width * scale) / 2
        top = box["y"] + (box["height"] - height * scale) / 2
        self.page.mouse.click(left + x * scale, top + y * scale, **options)
        self.settle()

    def size(self):
        name = self.page.locator(".g-current").text_content()
        return {path.name: Image.open(path).size for path in photos()}.get(name, (256, 256))

    def masks(self):
        """The picture over every thumbnail, by name; None where there is none."""
        tiles = self.page.locator(".g-tile").all()
        shown = {}
        for tile in tiles:
            mask = tile.locator(".g-mask")
            name = tile.locator(".g-name").text_content()
            shown[name] = None if mask.is_hidden() else mask.get_attribute("src")
        return shown

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True)

    def download(self, name, path):
        with self.page.expect_download() as download:
            self.button(name).click()
        download.value.save_as(path)
        return download.value.suggested_filename

    def give(self, role, *files):
        self.page.set_input_files(f"input[data-role={role}]", [str(file) for file in files])


@pytest.fixture
def visitor(page, server):
    return Visitor(page, server)


@pytest.fixture
def stranger(chromium, server):
    """Somebody else, on another computer."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    yield Visitor(context.new_page(), server)
    context.close()


def photos():
    gradio_folder = Path(gradio.__file__).parent
    return [
        *(gradio_folder / "media_assets/images" / name for name in (CHEETAH, "cheetah.jpg", "lion.jpg", "tower.jpg")),
        gradio_folder / "test_data/cheetah2.jpg",
    ]
