"""A real Jupyter server, and a person at a notebook of it, for the tests that work there."""

import base64
import io
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

ROOT = Path(__file__).parents[2]
START_SECONDS = 120
SIZES = {"a.png": (240, 180), "b.png": (120, 200), "c.png": (90, 90)}  # small enough to be whole in the gallery
LAB, NOTEBOOK = "lab/tree", "notebooks"

IS_READY = """() => {
  const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
  const kernel = context?.isReady && context.session?.kernel;
  return kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""


class Server:
    """A Jupyter server with photos in its folder, whose settings and secrets are nobody else's."""

    def __init__(self, folder):
        self.folder = folder
        self.token = secrets.token_hex(16)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        home = folder / "home"
        names = ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTERLAB_SETTINGS_DIR")
        places = {name: str(home / name) for name in (*names, "JUPYTERLAB_WORKSPACES_DIR")}
        (home / "app").mkdir(parents=True)
        quiet = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
        (home / "app/overrides.json").write_text(json.dumps(quiet))
        command = [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
            "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={self.token}",
            f"--LabApp.app_settings_dir={home / 'app'}", "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True",
        ]  # fmt: skip
        environment = os.environ | places | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.log = folder / "log.txt"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)

    def wait(self):
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/api/status?token={self.token}", timeout=5).read()
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.2)
        pytest.fail(f"Jupyter did not start:\n{self.log.read_text()}", pytrace=False)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Notebook:
    """A person at a notebook: runs cells, and marks photos in the widget that the first of them shows.

    Every test writes the same file anew. Jupyter keeps the kernel of a path, so what it has imported is imported once.
    """

    def __init__(self, page, server, *code, where=LAB):
        self.page, self.path = page, server.folder / "photos.ipynb"
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        cells = [nbformat.v4.new_code_cell(text.strip()) for text in code]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), self.path)
        page.goto(f"{server.url}/{where}/{self.path.name}?token={server.token}&reset")  # nothing else open
        self.cells = page.locator(".jp-Notebook .jp-Cell")
        self.wait_for_kernel()

    def wait_for_kernel(self):
        self.page.wait_for_function(IS_READY, timeout=60_000)

    def run(self, number):
        """Run a cell, and return what it says."""
        cell = self.cells.nth(number)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")
        expect(cell.locator(".jp-InputArea-prompt")).to_have_text(re.compile(r"\[\d+\]:"), timeout=60_000)
        return cell.locator(".jp-OutputArea").inner_text()

    def show(self):
        """Run the first cell, and wait for the widget."""
        self.run(0)
        self.settle()

    def settle(self):
        self.page.wait_for_selector(".guided[data-ready=true]:not(.g-busy):not(.g-catching-up)", timeout=60_000)

    def click(self, x, y, **options):
        """Click on the first photo, at a pixel of it."""
        ink = self.page.locator(".g-ink")
        ink.scroll_into_view_if_needed()
        box = ink.bounding_box()
        width, height = SIZES["a.png"]
        scale = min((box["width"] - 16) / width, (box["height"] - 16) / height)
        left, top = box["x"] + (box["width"] - width * scale) / 2, box["y"] + (box["height"] - height * scale) / 2
        self.page.mouse.click(left + x * scale, top + y * scale, **options)
        self.settle()

    def tell(self, number=1):
        return json.loads(self.run(number))

    def masks(self):
        """The picture over every thumbnail, by name: HxW labels."""
        shown = {}
        for tile in self.page.locator(".g-tile").all():
            source = tile.locator(".g-mask").get_attribute("src")
            # Not inner_text, which is empty where Jupyter has a cell out of sight.
            name = tile.locator(".g-name").text_content()
            shown[name] = np.array(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))
        return shown

    def tool(self):
        return self.page.locator(".g-tools [aria-pressed=true]").get_attribute("title")

    def scrolled(self):
        return self.page.locator(".jp-WindowedPanel-outer").evaluate("(node) => node.scrollTop")
