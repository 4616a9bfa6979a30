"""A real Chromium for the tests of this folder, and the real page for it to open."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from hand import canvas, hand  # noqa: F401 - fixtures
from playwright.sync_api import sync_playwright
from visitor import stranger, visitor  # noqa: F401 - fixtures

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
START_SECONDS = 120


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


class Server:
    """app.py as a process, started as the README says, with a folder for people's work."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        """Start it, on the same port each time, and wait until it answers."""
        log = self.folder / "log.txt"
        environment = os.environ | {
            "GRADIO_SERVER_PORT": str(self.port), "PYTHONUNBUFFERED": "1", "GUIDED_DEMO_WORK": str(self.folder / "work"),
        }  # fmt: skip
        with log.open("a") as output:
            self.process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=output, stderr=output)
        _wait_for(self.url, self.process, log)

    def stop(self):
        self.process.terminate()
        return self.process.wait(20)

    def kill(self):
        self.process.kill()
        self.process.wait(20)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The URL of app.py."""
    made = Server(tmp_path_factory.mktemp("server"))
    try:
        yield made.url
    finally:
        made.stop()


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    """An app.py that tests may stop or kill, as long as they start it again."""
    made = Server(tmp_path_factory.mktemp("own-server"))
    yield made
    made.kill()


def _wait_for(url, process, log):
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=5).read()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"app.py did not start:\n{log.read_text()}", pytrace=False)
