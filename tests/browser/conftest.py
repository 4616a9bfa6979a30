"""A real Chromium for the tests of this folder, and the real page for it to open."""

import os
import shutil
from pathlib import Path

import pytest
from hand import canvas, hand  # noqa: F401 - fixtures
from many import many  # noqa: F401 - a fixture
from playwright.sync_api import sync_playwright
from served import Launcher, Server
from visitor import stranger, visitor  # noqa: F401 - fixtures

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium():
    """A browser for the tests of one file. Playwright keeps an event loop running for as long as it lives, in which
    tests elsewhere could not start their own."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    if not Path(path).exists():
        pytest.fail(
            f"The browser tests need Chromium, and there is none at {path}. Install it (Debian: apt-get install "
            "chromium), or set CHROMIUM to its path.",
            pytrace=False,
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def context(chromium):
    """A fresh visitor at a desk: nothing stored, 1440x900, downloads allowed."""
    made = chromium.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    yield made
    made.close()


@pytest.fixture
def page(context):
    """A blank page that fails the test if a script on it fails."""
    made = context.new_page()
    failures = []
    made.on("pageerror", lambda error: failures.append(str(error)))
    yield made
    assert failures == []


@pytest.fixture(scope="session")
def launcher():
    made = Launcher()
    yield made
    made.close()


@pytest.fixture(scope="session")
def server(launcher, tmp_path_factory):
    """The URL of app.py."""
    made = Server(launcher, tmp_path_factory.mktemp("server"))
    try:
        yield made.url
    finally:
        made.stop()


@pytest.fixture(scope="module")
def own_server(launcher, tmp_path_factory):
    """An app.py that tests may stop or kill, as long as they start it again."""
    made = Server(launcher, tmp_path_factory.mktemp("own-server"))
    yield made
    made.kill()
