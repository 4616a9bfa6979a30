import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from guided_demo import Annotation, InputError, Point, Stroke
from guided_demo.marks import UNMARKED, DenseMask


def test_a_mask_that_is_added_lies_over_one_that_was_there_and_takes_nothing_else_away():
    cat = Annotation.from_mask(np.array([[0, 1, 1, UNMARKED]]), ["background", "cat"])
    dog = Annotation.from_mask(np.array([[UNMARKED, UNMARKED, 1, 0]]), ["background", "dog"])
    for mine, theirs, expected in ((cat, dog, [0, 1, 2, 0]), (dog, cat, [0, 1, 1, 0])):
        both = mine + theirs
        assert both.label_map((4, 1), ["background", "cat", "dog"]).tolist() == [expected]
        assert both.classes == ("background", *sorted({"cat", "dog"} & set(both.classes))) and both + Annotation() == both
        assert both + theirs == both == both + both
    twice = Annotation(mask=DenseMask(cat.mask.png, ("cat", "cat")))
    assert (twice + dog).label_map((4, 1), ["background", "cat", "dog"]).tolist() == [[1, 1, 2, 0]]
    assert cat + Annotation.from_mask(np.array([[0]]), ["dog"]) == Annotation.from_mask(
        np.array([[0]]), ["dog"]
    )  # of another image
    many = [Annotation.from_mask(np.arange(200)[None], [f"{name} {i}" for i in range(200)]) for name in ("cat", "dog")]
    with pytest.raises(InputError, match="at most 254 classes"):
        many[0] + many[1]


def test_an_eraser_unmarks_what_lies_under_it_and_nothing_else():
    annotation = Annotation(points=[(5, 5, "cat"), (30, 5, "cat")]).add(Stroke(((5, 5),), None, radius=8))
    labels = annotation.label_map((40, 20), ["cat"])
    assert (labels == 0).sum() == 1 and labels[5, 30] == 0


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"points": [(1, 2)]}, "Points are [(x, y, class), …]; (1, 2) is none of them."),
        ({"points": [("cat", 1, 2)]}, "Points are [(x, y, class), …]; ('cat', 1, 2) is none of them."),
        ({"points": (1, 2, "cat")}, "Points are [(x, y, class), …]; 1 is none of them."),
        ({"points": None}, "Points are [(x, y, class), …], and not None."),
        ({"points": [(1, 2, 3)]}, "A class is called by a text, such as 'cat', and not 3."),
        ({"points": [(1, 2, None)]}, "A class is called by a text, such as 'cat', and not None."),
        ({"strokes": [("cat", [(1, 2)])]}, "Strokes are [(path, class), …], a path being [(x, y), …]; ('cat', [(1, 2)]) is"),
        ({"strokes": [([(1, 2)], "cat", 6, "box")]}, "A stroke has the shape 'box'; it must be brush or polygon."),
    ],
)
def test_marks_of_another_form_are_refused_with_the_form_that_is_wanted(given, sentence):
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}"):
        Annotation(**given)


def test_json_of_another_form_is_refused_with_the_form_that_is_wanted():
    for data in ({"marks": [{"pont": [1, 2], "label": "cat"}]}, {"marks": [{"point": [1], "label": "cat"}]}, [1]):
        with pytest.raises(InputError, match=r'^This is not an annotation, such as \{"marks": '):
            Annotation.from_json(data)
    with pytest.raises(InputError, match=r": it is of type list\.$"):
        Annotation.from_json([1])
    with pytest.raises(InputError, match=r"'label' is missing\.$"):
        Annotation.from_json({"marks": [{"point": [1, 2]}]})
    # As Python calls them, or as another program writes its own: it was taken for nothing marked.
    with pytest.raises(InputError, match=r"'marks' is missing\.$"):
        Annotation.from_json({"points": [[1, 2, "cat"]]})
    assert Annotation.from_json({}).is_empty
    with pytest.raises(InputError, match="only strokes can erase"):
        Annotation.from_json({"marks": [{"point": [1, 2], "label": None}]})


@pytest.mark.parametrize("classes", ["cat", [0, 1], {"background", "cat"}, {0: "background", 1: "cat"}])
def test_the_classes_of_a_mask_are_a_list_of_names_and_nothing_like_it(classes):
    with pytest.raises(InputError, match=f"and not {re.escape(repr(classes))}"):
        Annotation.from_mask(np.zeros((2, 2), np.uint8), classes)


def test_a_mask_without_pixels_is_refused():
    with pytest.raises(InputError, match="height x width"):
        Annotation.from_mask(np.zeros((0, 4), np.uint8), ["background"])


def test_a_stroke_of_a_shape_that_no_file_can_hold_is_refused():
    with pytest.raises(InputError, match="the shape 'circle'; it must be brush or polygon"):
        Stroke(((1, 2), (9, 9)), "cat", 2.0, "circle")


def test_blanks_around_a_class_name_are_not_part_of_it():
    mask = Annotation.from_mask(np.zeros((2, 2), int), ["cat "]).mask
    annotation = Annotation(points=[(1, 1, " cat")], strokes=[Stroke(((1, 1),), "\tcat\n")], mask=mask)
    assert annotation.classes == ("cat",)


def test_json_round_trip_is_exact():
    mask = Annotation.from_mask(np.eye(8, dtype=int), ["background", "cat"]).mask
    annotation = Annotation(points=[(1.25, 2, "dog")], strokes=[Stroke(((1, 1), (2, 2)), None, 3, "polygon")], mask=mask)
    assert Annotation.from_json(annotation.to_json()) == annotation


def test_renaming_and_dropping_touch_one_class_only():
    annotation = Annotation(points=[(1, 1, "cat"), (2, 2, "dog")])
    assert annotation.rename("cat", "lynx").classes == ("lynx", "dog")
    assert annotation.drop("cat").classes == ("dog",)
    assert annotation.drop("cat").drop("dog").is_empty
    twice = Annotation.from_mask(np.array([[0, 1, 2]]), ["background", "cat", "cat "])
    assert twice.drop("cat") == Annotation.from_mask(np.array([[0, UNMARKED, UNMARKED]]), ["background"])


def test_a_class_that_gets_the_name_of_another_becomes_one_with_it_in_a_mask_too():
    three = np.array([[0, 1, 2], [2, 1, UNMARKED]])
    annotation = Annotation(points=[(1, 1, "kitten")], mask=Annotation.from_mask(three, ["background", "kitten", "cat"]).mask)
    two = Annotation.from_mask(np.where(three == 2, 1, three), ["background", "cat"]).mask
    merged = annotation.rename("kitten", "cat")
    assert merged == Annotation(points=[(1, 1, "cat")], mask=two)
    assert merged.drop("cat").classes == ("background",)


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
        (Annotation(points=[(1, 1, " ")]), "needs a name"),
        (Annotation(points=[(1, 1, "cat")]).rename("cat", 3), "called by a text"),
        (Annotation(points=[(1, 1, "a\nb")]), "one line"),
        (Annotation(strokes=[Stroke((), "cat")]), "no points"),
        (Annotation(strokes=[Stroke(((50, 50),), "cat")]), "outside"),
        (Annotation(strokes=[Stroke(((17, 5),), "cat", 6)]), "outside"),
        (Annotation(strokes=[Stroke(((-1, 5), (-1, 9), (-4, 9)), "cat", 6, "polygon")]), "outside"),
        (Annotation(strokes=[Stroke(((1, 1),), "cat", radius=0)]), "radius"),
        (Annotation(strokes=[Stroke(((1, 1), (1e12, 1)), "cat")]), "reaches"),
        (Annotation(strokes=[Stroke(((1, 1),), "cat", radius=1e12)]), "radius"),
        (Annotation.from_mask(np.zeros((3, 3), int), ["background"]), "3x3"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(annotation, word):
    with pytest.raises(InputError, match=word):
        annotation.validate((10, 10))


def test_the_background_counts_as_a_class_where_it_is_not_marked():
    points = [(1, 1, f"class {i}") for i in range(254)]
    with pytest.raises(InputError, match="At most 254 classes can be annotated, the background among them"):
        Annotation(points=points).validate((10, 10))  # which `segment` refused, after all had been guided
    Annotation(points=points[1:]).validate((10, 10))
    Annotation(points=[*points[1:], (1, 1, "background")]).validate((10, 10))


def test_a_sentence_ends_once():
    with pytest.raises(InputError, match=r"must be brush or polygon\.$"):
        Annotation.from_json({"marks": [{"stroke": [[1, 1]], "label": "cat", "shape": "box"}]})


def test_a_brush_beside_the_image_that_touches_it_marks_what_it_touches():
    beside = Annotation(strokes=[Stroke(((-3, 5),), "cat", 6)])
    beside.validate((10, 10))
    assert beside.label_map((10, 10), ["cat"])[5, 0] == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"marks": [(1, 1, "cat")]}, r"Point\(x, y, class\)"), ({"mask": np.zeros((3, 3), np.uint8)}, "Annotation.from_mask")],
)
def test_what_is_no_mark_or_mask_is_refused_where_it_is_given(wrong, words):
    with pytest.raises(InputError, match=words):
        Annotation(**wrong)


def test_a_mask_with_a_value_of_no_class_is_refused():
    with pytest.raises(InputError, match="value 7"):
        Annotation.from_mask(np.full((4, 4), 7), ["background", "cat"])


def test_it_cannot_be_changed():
    with pytest.raises(AttributeError):
        Annotation().marks = ()


def test_a_mask_that_names_a_class_twice_is_of_that_class_in_both_places():
    mask = DenseMask(base64.b64decode(png(Image.fromarray(np.array([[0, 1, 2, 255]], np.uint8)))), ("cat", "cat", "dog"))
    annotation = Annotation(mask=mask).add(Point(3.5, 0.5, "zebra"))
    assert annotation.label_map((4, 1), ("zebra", "dog", "cat")).tolist() == [[2, 2, 1, 0]]


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
