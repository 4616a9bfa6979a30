"""What tests do in a workspace: three small photos, marks drawn by a seed, and a look at all masks."""

import numpy as np
from pictures import photo

from guided_demo import Point, Stroke
from guided_demo.annotation import BACKGROUND
from guided_demo.events import Annotate


def fill(workspace, count=3):
    problems = workspace.add_images((f"{seed}.png", photo(seed)) for seed in range(count))
    assert problems == []
    return [item.key for item in workspace.session.images]


def masks(workspace, scope="everywhere"):
    return {item.key: workspace.segment(item.key, scope).labels.copy() for item in workspace.session.images}


def same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def scribble(workspace, seed):
    rng = np.random.default_rng(seed)
    key = str(rng.choice([item.key for item in workspace.session.images]))
    label = ["cat", BACKGROUND][seed % 2]
    if seed % 3:
        return Annotate(key, Point(*rng.uniform(0, 48, 2), label))
    return Annotate(key, Stroke(tuple(rng.uniform(4, 44, (3, 2))), label, 3.0))
