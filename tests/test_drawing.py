"""Marks as pixels: each where it is, whatever the others, and in no more time than it covers."""

import time

import numpy as np
import pytest
from PIL import Image, ImageDraw

from guided_demo import Annotation, Point, Stroke, drawing
from guided_demo.annotation import FARTHEST, WIDEST
from guided_demo.drawing import Drawing, Drawings
from guided_demo.geometry import scale_pixels
from guided_demo.marks import UNMARKED


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


@pytest.mark.parametrize("radius", [1e-9, 0.3, 0.5])
def test_a_brush_finer_than_a_pixel_takes_the_pixels_it_is_on(radius):
    dab = Annotation(strokes=[Stroke(((5.2, 7.9),), "cat", radius)]).label_map((20, 10), ["cat"])
    assert list(zip(*np.nonzero(dab == 0), strict=True)) == [(7, 5)]
    line = Annotation(strokes=[Stroke(((5.5, 7.5), (9.5, 7.5)), "cat", radius)]).label_map((20, 10), ["cat"])
    assert list(zip(*np.nonzero(line == 0), strict=True)) == [(7, x) for x in range(5, 10)]


def test_a_brush_may_reach_far_over_the_edge():
    far = Annotation(strokes=[Stroke(((5, 5), (FARTHEST, -FARTHEST)), "cat", radius=1), Stroke(((5, 5),), "dog", WIDEST)])
    far.validate((20, 10))
    assert (far.label_map((20, 10), ["cat", "dog"]) == 1).all()


@pytest.mark.parametrize("radius", [700, WIDEST])
def test_a_stroke_over_the_same_pixels_again_and_again_is_soon_drawn(radius):
    """One message of these kept the server busy for minutes."""
    size, rng = (4000, 3000), np.random.default_rng(0)
    path = tuple(map(tuple, rng.uniform(800, 1200, (20_000, 2))))
    begun = time.process_time()
    labels = Annotation(strokes=[Stroke(path, "cat", radius)]).label_map(size, ["cat"])
    assert time.process_time() - begun < 4
    x, y = np.meshgrid(np.arange(0, 4000, 10) + 0.5, np.arange(0, 3000, 10) + 0.5)
    distance = np.hypot(np.maximum(np.abs(x - 1000) - 200, 0), np.maximum(np.abs(y - 1000) - 200, 0))
    found = labels[::10, ::10] == 0
    assert found[distance < radius - 20].all() and not found[distance > radius + 10].any()


@pytest.fixture
def given(monkeypatch):
    """What Pillow is given to draw: rows and columns that lines pass with their width, and rows that edges of polygons pass."""
    found = {"lines": [], "polygons": []}

    def spy(name, kept):
        own = getattr(ImageDraw.ImageDraw, name)

        def drawn(self, path, **rest):
            steps = np.abs(np.diff(path, axis=0))
            found[kept] += [(*step, rest.get("width", 1)) for step in steps.tolist()]
            assert steps.sum() < 1e6, "it would take long"
            own(self, path, **rest)

        monkeypatch.setattr(ImageDraw.ImageDraw, name, drawn)

    spy("line", "lines")
    spy("polygon", "polygons")
    return found


def drawn_on_all(stroke, size):
    """A stroke as Drawing has it on all of an image, HxW bool, so that its corner is the image's own."""
    corners = [Point(0, 0, "dog"), Point(*size, "dog")]
    drawing = Drawing.of(size, None) + [*corners, stroke]
    assert drawing.canvas.shape == size[::-1]
    return drawing.canvas == drawing.names.index("cat")


def test_a_thin_stroke_has_the_pixels_of_pillows_line_however_it_leaves_the_image():
    rng, size = np.random.default_rng(0), (60, 40)
    touched = 0
    for number in range(2000):
        path = size * rng.uniform(*[(0, 1), (-1, 2), (-9, 10), (-99, 100)][number % 4], (rng.integers(2, 5), 2))
        if number % 2:
            path[1] = 2 * rng.uniform(0, size) - path[0]  # through the image
        if number % 3 == 0:
            path = np.floor(path) + 0.5
        if number % 5 == 0:
            path[1:, number % 2] = path[0, number % 2]
        if number % 7 == 0:
            path[1] = path[0] + rng.choice([-1, 1], 2) * rng.integers(3000)
        picture = Image.new("1", size)
        ImageDraw.Draw(picture).line([(x - 0.5, y - 0.5) for x, y in path], fill=1)
        for x, y in np.floor(path).astype(int).tolist():
            ImageDraw.Draw(picture).point((x, y), fill=1)
        found = drawn_on_all(Stroke(tuple(map(tuple, path)), "cat", 0.4), size)
        assert np.array_equal(found, np.asarray(picture))
        touched += found.any()
    assert touched > 1000


def test_a_thin_stroke_costs_what_it_covers_however_far_away_it_ends(given):
    """Pillow took every step of it, so that a message of these kept everybody else waiting for minutes."""
    there_and_back = ((-FARTHEST, 50.5), (FARTHEST, 50.5)) * 150
    labels = Annotation(strokes=[(there_and_back, "cat", 0.4)]).label_map((100, 100), ["cat"])
    assert np.array_equal(labels == 0, np.arange(100)[:, None] == np.full(100, 50))
    rng, size = np.random.default_rng(0), (90, 70)
    for _ in range(200):
        (ax, ay), inside = rng.uniform(-FARTHEST / 2, FARTHEST / 2, 2), rng.uniform(0, size)
        bx, by = 2 * inside - (ax, ay)
        found = drawn_on_all(Stroke(((ax, ay), (bx, by)), "cat", 0.4), size)
        rows, columns = np.nonzero(found)
        # Its ends are moved to pixels, thus by less than one, and each of its pixels is the nearest to it in its row or column.
        off = np.abs((columns + 0.5 - ax) * (by - ay) - (rows + 0.5 - ay) * (bx - ax)) / max(abs(bx - ax), abs(by - ay))
        assert off.max() < 2.5
        places = columns if abs(bx - ax) > abs(by - ay) else rows
        assert np.array_equal(np.sort(places), np.arange(places.min(), places.max() + 1))
    assert sum(max(x, y) for x, y, _ in given["lines"]) < 1000


def test_a_wide_stroke_over_the_same_pixels_again_and_again_is_drawn_on_a_coarser_grid(given, monkeypatch):
    monkeypatch.setattr(drawing, "MOST_PAINTED", 1 << 20)
    path = ((100, 150), (300, 150)) * 40
    found = drawn_on_all(Stroke(path, "cat", 50), (400, 300))
    assert sum(np.hypot(x, y) * width for x, y, width in given["lines"]) < 1 << 20
    x, y = np.meshgrid(np.arange(400) + 0.5, np.arange(300) + 0.5)
    distance = np.hypot(np.maximum(np.abs(x - 200) - 100, 0), y - 150)
    assert found[distance < 46].all() and not found[distance > 54].any()


def test_a_polygon_over_the_same_rows_again_and_again_is_drawn_on_a_coarser_grid(given, monkeypatch):
    """One of 20,000 points kept everybody else waiting for ten seconds, and longer on larger photos."""
    monkeypatch.setattr(drawing, "MOST_CROSSED", 1 << 14, raising=False)
    path = ((100, 50), (300, 50), (300, 250), (100, 250)) * 101
    found = drawn_on_all(Stroke(path, "cat", 1, "polygon"), (400, 300))
    assert 0 < sum(y for _, y, _ in given["polygons"]) < 1 << 14
    x, y = np.meshgrid(np.arange(400) + 0.5, np.arange(300) + 0.5)
    beyond = np.maximum(np.abs(x - 200), np.abs(y - 150)) - 100
    assert found[beyond < -4].all() and not found[beyond > 4].any()


def test_a_mark_is_drawn_the_same_wherever_the_others_are():
    stroke = Stroke(((200.3, 150.7), (230.1, 171.2)), "cat", radius=6)
    alone = Annotation(strokes=[stroke]).label_map((400, 300), ["cat"])
    with_corner = Annotation(strokes=[stroke], points=[(0.5, 0.5, "cat"), (399.5, 299.5, "cat")]).label_map((400, 300), ["cat"])
    with_corner[0, 0] = with_corner[299, 399] = UNMARKED
    assert np.array_equal(alone, with_corner)


def random_marks(count):
    """Points, strokes, polygons and erasers of three classes, also over the edges of a picture of 400x300."""
    rng = np.random.default_rng(0)
    for i in range(count):
        label = [None, "dog", "background", "cat"][rng.integers(1 if i % 4 == 0 else 4)] if i else "dog"
        path = tuple(map(tuple, rng.uniform(-20, (420, 320), (4, 2)) if i % 5 else rng.uniform(150, 200, (4, 2))))
        is_point = i % 4 == 3 and label is not None
        shape = "polygon" if i % 3 else "brush"
        yield Point(*rng.uniform(0, 300, 2), label) if is_point else Stroke(path, label, rng.uniform(0.4, 12), shape)


def test_marks_added_one_by_one_cover_what_they_cover_together():
    grown, names, classes = Annotation(), [], ("background", "cat", "dog")
    for mark in random_marks(30):
        grown = grown.add(mark)
        names.append(mark)
        together = Annotation(marks=names)
        assert np.array_equal(grown.label_map((400, 300), classes), together.label_map((400, 300), classes))
    labels = grown.label_map((400, 300), classes)
    assert set(np.unique(labels)) == {0, 1, 2, UNMARKED}
    for chosen in (("cat",), ("dog", "zebra", "cat"), ()):
        expected = np.full_like(labels, UNMARKED)
        for i, name in enumerate(chosen):
            expected[labels == (classes.index(name) if name in classes else 9)] = i
        assert np.array_equal(grown.label_map((400, 300), chosen), expected)


@pytest.mark.parametrize("target", [(400, 300), (128, 96), (97, 31), (40, 300), (640, 480), (1, 1)])
def test_pixels_left_out_make_no_difference_at_the_size_they_are_for(target, monkeypatch):
    monkeypatch.setattr(drawing, "LARGE", 0)
    annotation, classes = Annotation(marks=random_marks(40)), ("background", "dog", "cat")
    last, any_ = [], []
    whole, fewer = (annotation.marked((400, 300), classes, size) for size in (None, target))
    for places in (whole, fewer):
        rows, columns = scale_pixels(*places[:2], (400, 300), target)
        last.append(np.full(target[::-1], UNMARKED))
        any_.append(np.zeros((3, *target[::-1]), bool))
        for row, column, label in zip(rows, columns, places[2], strict=True):
            last[-1][row, column] = label
            any_[-1][label, row, column] = True
    assert np.array_equal(*last) and np.array_equal(*any_)
    assert (len(fewer[0]) < len(whole[0])) == (target[0] < 400)


def test_the_same_marks_on_pictures_of_other_sizes_are_drawn_for_each():
    annotation = Annotation(strokes=[Stroke(((10, 10), (90, 10)), "cat", 3)])
    for size in ((100, 20), (50, 20), (100, 20)):
        assert annotation.label_map(size, ["cat"]).shape == size[::-1]
        assert (annotation.label_map(size, ["cat"])[10, 15:50] == 0).all()


def test_drawings_are_held_for_a_few_only_and_drawn_again_where_they_are_not():
    kept = Drawings(3 << 20)
    owners = [Annotation(points=[(i, i, "cat")]) for i in range(1, 6)]
    for owner in owners:
        kept.put(owner, Drawing.of((9, 9), None) + owner.marks)
    held = [kept.get(owner, (9, 9)) for owner in owners]
    assert held[:2] == [None, None] and all(drawing.canvas.size for drawing in held[2:])
    assert kept.get(owners[-1], (8, 8)) is None
