"""History at a desk: exact across images, and classes that change leave the others as they are."""

import numpy as np
import pytest
from pictures import photo_bytes

from guided_demo.ui.protocol import Desk
from guided_demo.workspace import Workspace


class Person:
    """Marks photos at a desk, and looks at all masks."""

    def __init__(self, desk):
        self.desk, self.number = desk, 0
        self.keys = [item.key for item in desk.workspace.session.images]

    def change(self, verb, key=None, **message):
        self.number += 1
        reply = self.desk.handle({"do": verb, "number": self.number, "key": key or self.keys[0], "edge": 64, **message})
        assert "error" not in reply
        return reply

    def click(self, image, x, y, label):
        self.change("mark", self.keys[image], marks=[{"point": [x, y], "label": label}])

    def seen(self):
        """Marks and labels of every photo, and the classes."""
        workspace = self.desk.workspace
        labels = [workspace.segment(key).labels.tobytes() for key in self.keys]
        return workspace.session.annotations, labels, workspace.session.classes

    def painted(self, name):
        """Where each photo has a class."""
        results = [self.desk.workspace.segment(key) for key in self.keys]
        return [(r.labels == r.classes.index(name)).tobytes() for r in results]


@pytest.fixture
def person(segmenter):
    workspace = Workspace(segmenter)
    workspace.add_images((f"{seed}.png", photo_bytes(seed)) for seed in range(3))
    made = Person(Desk(workspace))
    for name in ("cat", "dog"):
        made.change("add_class", name=name)
    return made


def test_undo_and_redo_go_across_photos_and_are_exact(person):
    rng = np.random.default_rng(0)
    states = [person.seen()]
    for step in range(12):
        x, y = rng.random(2) * (80, 60)
        person.click(step % 3, float(x), float(y), ["cat", "dog", "background"][int(rng.integers(3))])
        states.append(person.seen())
    for state in reversed(states[:-1]):
        person.change("undo")
        assert person.seen() == state
    for state in states[1:]:
        person.change("redo")
        assert person.seen() == state


def test_a_class_is_renamed_recoloured_and_removed_without_loss_to_the_others(person):
    for image, x, label in ((0, 10, "cat"), (0, 70, "background"), (1, 30, "dog"), (2, 40, "cat"), (2, 70, "dog")):
        person.click(image, x, 30, label)
    before, cat, dog = person.seen(), person.painted("cat"), person.painted("dog")
    person.change("rename_class", name="cat", to="Löwe")
    person.change("recolor_class", name="Löwe", color="#123456")
    assert person.painted("Löwe") == cat and person.painted("dog") == dog
    person.change("remove_class", name="Löwe")
    assert person.desk.workspace.session.class_names == ("background", "dog")
    labels = [mark.label for a in person.desk.workspace.session.annotations.values() for mark in a.marks]
    assert labels == ["background", "dog", "dog"]
    for _ in range(3):
        person.change("undo")
    assert person.seen() == before
