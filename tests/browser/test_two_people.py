"""Two people at one server at once, over HTTP as their pages do it: none loses a stroke, none gets one of the other's."""

import json
import threading
import urllib.request

import numpy as np
import pytest
from visitor import photos

from guided_demo import GuidedSegmenter, Stroke
from guided_demo.core.features import FeatureCache
from guided_demo.events import AddClass, Annotate
from guided_demo.ui.seeing import Seeing
from guided_demo.workspace import Workspace

STROKES, AT_ONCE = 200, 20


class Person:
    """A page without a screen: talks to the server as canvas.js does, and paints strokes of its own."""

    def __init__(self, url, component, seed):
        self.url, self.component, self.rng = url, component, np.random.default_rng(seed)
        reply = self.talk("start")
        self.token = reply["token"]
        self.images = {image["name"]: image for image in reply["state"]["images"]}
        self.strokes = []
        self.number = reply["number"]

    def talk(self, verb, **message):
        data = {"do": verb, "token": getattr(self, "token", None), "edge": 128, **message}
        body = {"data": data, "component_id": self.component, "fn_name": "talk", "session_hash": "no-page"}
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/gradio_api/component_server/", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)

    def paint(self):
        for _ in range(0, STROKES, AT_ONCE):
            image = list(self.images.values())[self.rng.integers(len(self.images))]
            strokes = [self.stroke(image["size"]) for _ in range(AT_ONCE)]
            self.number += 1
            reply = self.talk("mark", key=image["key"], number=self.number, marks=strokes)
            assert "error" not in reply
            self.strokes += [(image["key"], stroke) for stroke in strokes]

    def stroke(self, size):
        points = (self.rng.random((4, 2)) * size).round(2)
        label = ["cheetah", "background"][self.rng.integers(2)]
        return {"stroke": points.tolist(), "label": label, "radius": 3.0, "shape": "brush"}

    def masks(self):
        found = {}
        keys = [image["key"] for image in self.images.values()]
        while missing := [key for key in keys if key not in found]:
            found |= self.talk("masks", keys=missing)["masks"]
        return found


@pytest.fixture
def component(server):
    """The number that Gradio gave to the annotator."""
    with urllib.request.urlopen(f"{server}/config", timeout=60) as response:
        config = json.load(response)
    return next(part["id"] for part in config["components"] if part["props"].get("elem_id") == "canvas")


def test_two_hundred_strokes_each_and_none_is_lost_or_with_the_other(server, component):
    people = [Person(server, component, seed) for seed in (1, 2)]
    threads = [threading.Thread(target=person.paint) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cache = FeatureCache(GuidedSegmenter.load())
    for person in people:
        assert len(person.strokes) == STROKES
        alone = Workspace(cache.segmenter, cache=cache)
        alone.add_images((path.name, path) for path in photos())
        alone.apply(AddClass("cheetah"))
        for key, stroke in person.strokes:
            points = tuple(map(tuple, stroke["stroke"]))
            alone.apply(Annotate(key, Stroke(points, stroke["label"], stroke["radius"])))
        for image in person.images.values():
            marks = person.talk("open", key=image["key"])["marks"]
            assert marks == [stroke for key, stroke in person.strokes if key == image["key"]]
        seeing = Seeing(alone)
        assert person.masks() == {image["key"]: seeing.mask(image["key"], 128) for image in person.images.values()}
