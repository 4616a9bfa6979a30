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
from playwright.sync_api import sync_playwright

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


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The URL of app.py, started as the README says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as output:
        environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(20)


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
