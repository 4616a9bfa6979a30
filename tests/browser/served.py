"""app.py as a process of its own, for the tests that work at the real page."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START_SECONDS = 120

# What takes long at the start of app.py is what it imports. So one process imports that, nothing more, and makes copies of itself
# that go on from there. A line of its input is either what a copy shall do, answered with the number of its process, or such
# a number, answered with the exit status of the process, null as long as it runs.
LAUNCHER = """
import json, os, sys
import app
for line in sys.stdin:
    asked = json.loads(line)
    if isinstance(asked, int):
        ended, status = os.waitpid(asked, os.WNOHANG)
        answer = os.waitstatus_to_exitcode(status) if ended else None
    elif (answer := os.fork()) == 0:
        output = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.update(asked["environment"])
        exec(asked["code"])
        break
    print(json.dumps(answer), flush=True)
"""


# python app.py
PAGE = "import runpy; sys.argv = ['app.py']; runpy.run_path('app.py', run_name='__main__')"


class Launcher:
    """Starts processes that have imported app.py, and says how they ended."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", LAUNCHER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, code, log, environment=()):
        """Run code in a process of its own, which adds what it says to the file `log`; returns the number of the process."""
        return self._ask({"code": code, "log": str(log), "environment": dict(environment)})

    def status(self, number):
        """The exit status of a process, once; None as long as it runs."""
        return self._ask(number)

    def wait(self, number, seconds=20):
        """Wait for the end of a process; returns its exit status."""
        until = time.monotonic() + seconds
        while (status := self.status(number)) is None:
            assert time.monotonic() < until, "the process does not end"
            time.sleep(0.05)
        return status

    def _ask(self, asked):
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)


class Server:
    """app.py at work, with a folder for people's work."""

    def __init__(self, launcher, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.launcher, self.folder = launcher, folder
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        """Start it, on the same port each time, and wait until it answers."""
        log = self.folder / "log.txt"
        environment = {"GRADIO_SERVER_PORT": str(self.port), "GUIDED_DEMO_WORK": str(self.folder / "work")}
        self.number = self.launcher.start(PAGE, log, environment)
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.launcher.status(self.number) is None:
            try:
                urllib.request.urlopen(self.url, timeout=5).read()
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
        pytest.fail(f"app.py did not start:\n{log.read_text()}", pytrace=False)

    def stop(self):
        """End it as a service manager does; returns its exit status."""
        os.kill(self.number, signal.SIGTERM)
        return self.launcher.wait(self.number)

    def kill(self):
        os.kill(self.number, signal.SIGKILL)
        self.launcher.wait(self.number)
