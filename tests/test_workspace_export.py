"""The masks of a workspace as files."""

import io

import numpy as np
import pytest
from PIL import Image
from work import scribble

from guided_demo import Point
from guided_demo.events import AddClass, Annotate, RemoveImages
from guided_demo.zips import read_zip


def test_export_is_what_segment_gives(workspace):
    workspace.apply(scribble(workspace, 0))
    files = read_zip(workspace.export_zip(), "masks.zip")
    assert files["classes.txt"] == b"background\ncat\n"
    for item in workspace.session.images:
        assert np.array_equal(Image.open(io.BytesIO(files[item.name])), workspace.segment(item.key).labels)


def test_an_export_is_of_what_was_marked_when_it_began(workspace):
    workspace.apply(scribble(workspace, 0))
    for form in ("png", "overlays"):
        expected = dict(workspace.export(form))
        files = workspace.export(form)
        begun = [next(files)]
        workspace.apply(AddClass(f"ape {form}"))
        last = workspace.session.images[-1].key
        workspace.apply(Annotate(last, Point(5, 5, f"ape {form}")))
        workspace.apply(RemoveImages((last,)))
        assert dict([*begun, *files]) == expected
        workspace.undo()


def test_the_unsure_are_left_out_of_exports_and_shares(workspace):
    workspace.apply(scribble(workspace, 0))
    for scope in ("everywhere", "object"):
        files = read_zip(workspace.export_zip(scope=scope, unsure=0.9), "masks.zip")
        for item in workspace.session.images:
            result = workspace.segment(item.key, scope)
            labels = np.array(Image.open(io.BytesIO(files[item.name])))
            assert np.array_equal(labels, result.labels_at(item.size, 0.9))
            shares = workspace.summary(item.key, scope, 0.9).shares
            assert sum(shares.values()) == pytest.approx((labels != 255).mean(), abs=0.02)
