"""The page's long messages on Gradio's queue, with desks that do as they are told."""

import json
import threading
import urllib.request
from types import SimpleNamespace

import gradio as gr
import pytest

from guided_demo.ui.gradio_canvas import guided_canvas
from guided_demo.ui.sessions import Sessions


class Page:
    """A server, and what its pages ask it."""

    def __init__(self):
        self.desks = []
        self.sessions = Sessions(make=self.make)
        with gr.Blocks(analytics_enabled=False) as self.blocks:
            guided_canvas(self.blocks, self.sessions, 1000)
        _, self.url, _ = self.blocks.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
        self.number = next(i for i, fn in self.blocks.fns.items() if fn.name == "work")

    def make(self, folder):
        desk = SimpleNamespace(is_touched=False, close=lambda: None, go=threading.Event(), ended=threading.Event(), begun=0)

        def work(message):
            try:
                for done in range(500):
                    yield {"done": done, "total": 500}
                while not desk.go.wait(0.05):
                    yield {"done": 500, "total": 500}
                yield {"taken": "1 photo"}
            finally:
                desk.ended.set()

        def begin():
            desk.begun += 1

        desk.work, desk.begin, desk.handle = work, begin, lambda message: {}
        self.desks.append(desk)
        return desk

    def start(self, token=None, **more):
        """Load the page, which held `token` before; returns its new token."""
        canvas = next(number for number, block in self.blocks.blocks.items() if isinstance(block, gr.HTML))
        body = {
            "data": {"do": "start", "token": token, **more},
            "component_id": canvas,
            "fn_name": "talk",
            "session_hash": "page",
        }
        return self.post("component_server/", body)["token"]

    def post(self, path, body):
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}gradio_api/{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def ask(self, name):
        """Begin a long message at a new desk, as the page called `name`; returns the stream of its answers."""
        token, _, _ = self.sessions.open()
        body = {"data": [], "fn_index": self.number, "session_hash": name, "event_data": {"token": token, "id": 1}}
        self.post("queue/join", body)
        return urllib.request.urlopen(f"{self.url}gradio_api/queue/data?session_hash={name}", timeout=20)


@pytest.fixture
def page():
    made = Page()
    yield made
    for desk in made.desks:
        desk.go.set()
    made.blocks.close(verbose=False)
    made.sessions.close()


def heard(answers, words):
    return any(words in line for line in answers)


def test_nobody_waits_for_the_files_of_another(page):
    first = page.ask("first")
    assert heard(first, b'"done"')
    second = page.ask("second")
    page.desks[1].go.set()
    assert heard(second, b"1 photo")
    assert not page.desks[0].ended.is_set()
    page.desks[0].go.set()
    assert heard(first, b"1 photo")


def test_of_many_small_files_not_each_is_told(page):
    answers = page.ask("many")
    page.desks[0].go.set()
    told = next(number for number, line in enumerate(answers) if b"1 photo" in line)
    assert told < 100


def test_the_work_of_a_page_that_has_gone_is_ended(page):
    answers = page.ask("gone")
    assert heard(answers, b'"done"')
    answers.close()
    assert page.desks[0].ended.wait(20)


def test_a_page_that_goes_on_with_a_desk_begins_anew_unless_files_were_on_their_way(page):
    token = page.start(page.start())
    assert [desk.begun for desk in page.desks] == [2]
    page.start(token, isReading=True)
    assert [desk.begun for desk in page.desks] == [2]
