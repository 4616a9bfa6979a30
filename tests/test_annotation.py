import base64
import io

import numpy as np
import pytest
from PIL import Image

from guided_demo import Annotation, InputError, Point, Stroke
from guided_demo.annotation import UNMARKED


def test_points_strokes_and_masks_are_rasterised_in_the_order_they_were_made():
    mask = np.full((40, 60), UNMARKED)
    mask[:20] = 1
    annotation = Annotation(mask=Annotation.from_mask(mask, ["background", "cat"]).mask)
    annotation = annotation.add(Stroke(((30, 10),), "dog", radius=5)).add(Point(30.2, 10.9, "cat"))
    labels = annotation.label_map((60, 40), ["background", "cat", "dog"])
    assert labels[10, 30] == 1 and labels[10, 27] == 2 and labels[0, 0] == 1 and labels[30, 30] == UNMARKED


def test_a_brush_covers_the_pixels_within_its_radius():
    stroke = Stroke(((20.5, 15.5), (40.5, 25.5)), "cat", radius=4)
    found = Annotation(strokes=[stroke]).label_map((64, 48), ["cat"]) == 0
    x, y = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)
    (ax, ay), (bx, by) = stroke.path
    t = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2), 0, 1)
    distance = np.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay))
    assert found[distance <= 3].all() and not found[distance >= 5.5].any()


def test_a_mark_is_drawn_the_same_wherever_the_others_are():
    stroke = Stroke(((200.3, 150.7), (230.1, 171.2)), "cat", radius=6)
    alone = Annotation(strokes=[stroke]).label_map((400, 300), ["cat"])
    with_corner = Annotation(strokes=[stroke], points=[(0.5, 0.5, "cat"), (399.5, 299.5, "cat")]).label_map((400, 300), ["cat"])
    with_corner[0, 0] = with_corner[299, 399] = UNMARKED
    assert np.array_equal(alone, with_corner)


def test_an_eraser_unmarks_what_lies_under_it_and_nothing_else():
    annotation = Annotation(points=[(5, 5, "cat"), (30, 5, "cat")]).add(Stroke(((5, 5),), None, radius=8))
    labels = annotation.label_map((40, 20), ["cat"])
    assert (labels == 0).sum() == 1 and labels[5, 30] == 0


def test_json_round_trip_is_exact():
    mask = Annotation.from_mask(np.eye(8, dtype=int), ["background", "cat"]).mask
    annotation = Annotation(points=[(1.25, 2, "dog")], strokes=[Stroke(((1, 1), (2, 2)), None, 3, "polygon")], mask=mask)
    assert Annotation.from_json(annotation.to_json()) == annotation


def test_renaming_and_dropping_touch_one_class_only():
    annotation = Annotation(points=[(1, 1, "cat"), (2, 2, "dog")])
    assert annotation.rename("cat", "lynx").classes == ("lynx", "dog")
    assert annotation.drop("cat").classes == ("dog",)
    assert annotation.drop("cat").drop("dog").is_empty


def test_dropping_a_class_leaves_what_it_had_painted_over_unmarked():
    annotation = Annotation(strokes=[Stroke(((10, 10),), "cat", 6), Stroke(((10, 10),), "dog", 3)])
    labels = annotation.drop("dog").label_map((20, 20), ["cat", "dog"])
    assert labels[10, 10] == UNMARKED and labels[10, 5] == 0


@pytest.mark.parametrize(
    ("annotation", "word"),
    [
        (Annotation(points=[(float("nan"), 1, "cat")]), "not a number"),
        (Annotation(points=[(11, 1, "cat")]), "outside"),
        (Annotation(points=[(1, -0.1, "cat")]), "outside"),
        (Annotation(points=[(1, 1, " ")]), "empty class name"),
        (Annotation(strokes=[Stroke((), "cat")]), "no points"),
        (Annotation(strokes=[Stroke(((50, 50),), "cat")]), "outside"),
        (Annotation(strokes=[Stroke(((1, 1),), "cat", radius=0)]), "radius"),
        (Annotation.from_mask(np.zeros((3, 3), int), ["background"]), "3x3"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(annotation, word):
    with pytest.raises(InputError, match=word):
        annotation.validate((10, 10))


def test_a_mask_with_a_value_of_no_class_is_refused():
    with pytest.raises(InputError, match="value 7"):
        Annotation.from_mask(np.full((4, 4), 7), ["background", "cat"])


def test_it_cannot_be_changed():
    with pytest.raises(AttributeError):
        Annotation().marks = ()


def test_a_mask_from_elsewhere_is_read_by_its_numbers_or_refused():
    values = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    grey, indexed = Image.fromarray(values), Image.fromarray(values).convert("P")
    indexed.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    for picture in (grey, indexed):
        annotation = Annotation.from_json({"mask": {"png": png(picture), "classes": ["background", "cat", "dog"]}})
        annotation.validate((4, 3))
        assert np.array_equal(annotation.label_map((4, 3), annotation.classes), values)
    for text in (base64.b64encode(b"no picture").decode(), png(grey)[:40], png(grey.convert("RGB"))):
        with pytest.raises(InputError, match="indexed or grey PNG"):
            Annotation.from_json({"mask": {"png": text, "classes": ["cat"]}}).validate((4, 3))


def png(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
