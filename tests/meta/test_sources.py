"""Data sets of a training run: whose classes have whose numbers, and what is held out."""

import re

import pytest
from matplotlib.axes import Axes
from test_layouts import BOX, SMALL, coco_root
from tiny import halves, mask, picture

from guided_demo import InputError
from guided_demo.meta import command
from guided_demo.meta.command import main
from guided_demo.meta.sources import open_sets, records


@pytest.fixture
def plain(tmp_path):
    def make(name, *classes, count=2):
        for number in range(count):
            picture(tmp_path / name / "images" / f"{number}.jpg")
            mask(tmp_path / name / "masks" / f"{number}.png", halves(1, 0))
        (tmp_path / name / "classes.txt").write_text("\n".join(("background", *classes)))
        return f"plain:{tmp_path / name}"

    return make


def test_sets_of_one_name_have_the_same_classes(plain, tmp_path, capsys):
    leaves, more, cars = plain("leaves", "oak"), plain("more", "oak"), plain("cars", "taxi")
    assert [source for source, _ in open_sets([leaves, more, f"cars={cars}"])] == ["plain", "plain", "cars"]
    for sets in ([leaves, cars], [f"x={leaves}", f"x={cars}"], ["styles:1", "styles/8:1"]):
        with pytest.raises(InputError, match=f"a name of its own, as in NAME={re.escape(sets[1].removeprefix('x='))}"):
            open_sets(sets)
    for given in (["--data", leaves, cars], ["--data", leaves, "--validate", leaves, cars]):
        assert main([*given, "-o", str(tmp_path / "out")]) == 2
        assert "leaves and cars differ in their classes" in capsys.readouterr().err


def test_a_photo_of_two_sets_of_a_name_is_taken_once(plain, tmp_path):
    few, more = plain("few", "oak", count=1), plain("more", "oak", count=1)
    picture(tmp_path / "more" / "images" / "new.jpg", (8, 12))
    mask(tmp_path / "more" / "masks" / "new.png", halves(1, 0).T)
    assert [r.image.shape for r in records(open_sets([few, more]), set())] == [(8, 12, 3), (12, 8, 3)]
    assert len(list(records(open_sets([few, f"other={more}"]), set()))) == 3  # never in one task with that of another name


def test_a_path_may_have_an_equals_sign(plain):
    leaves = plain("size=3", "oak")
    assert [source for source, _ in open_sets([leaves, f"mine={leaves}"])] == ["plain", "mine"]


def test_where_all_images_show_what_is_held_out_that_is_told(plain, tmp_path, capsys):
    given = ["--data", plain("leaves", "oak"), "--hold-out", "oak", "-o", str(tmp_path / "out")]
    assert main(given) == 2 and "No image of leaves is without oak, which" in capsys.readouterr().err


def test_a_set_without_what_is_held_out_does_not_validate(plain, tmp_path, capsys):
    sets = [plain("leaves", "oak", "ash"), f"x={plain('cars', 'taxi')}"]
    assert len(list(records(open_sets(sets[:1]), {"oak"}, keep=True))) == 2
    with pytest.raises(InputError, match="leaves shows no ash, which --validate measures"):  # it has a name for it alone
        list(records(open_sets(sets), {"ash"}, keep=True))
    given = ["--data", sets[1], "--validate", *sets, "--hold-out", "oak", "-o", str(tmp_path / "out")]
    assert main(given) == 2 and "cars shows no oak, which --validate measures" in capsys.readouterr().err


def test_a_crowd_of_what_is_held_out_is_not_trained_on(tmp_path):
    crowd = {"size": [8, 12], "counts": [6 * 8, 2 * 8, 4 * 8]}
    root = coco_root(
        tmp_path, "val2017", [1, 2, 3],
        [
            {"image_id": 1, "category_id": 3, "area": 48, "segmentation": BOX},
            {"image_id": 1, "category_id": 22, "area": 16, "iscrowd": 1, "segmentation": crowd},
            {"image_id": 2, "category_id": 22, "area": 4, "segmentation": SMALL},
            {"image_id": 3, "category_id": 3, "area": 48, "segmentation": BOX},
        ],
    )  # fmt: skip
    sets = open_sets([f"coco/val2017:{root}"])
    assert sets[0][1].by_class == {1: [0, 2], 3: [1]}  # nobody is asked for a crowd
    assert [len(list(records(sets, held))) for held in (set(), {"elephant"}, {"car"})] == [3, 1, 1]
    assert len(list(records(sets, {"elephant"}, keep=True))) == 1


def test_what_is_measured_is_called_what_it_is(tmp_path, capsys, monkeypatch):
    drawn, draw = [], Axes.set
    monkeypatch.setattr(Axes, "set", lambda axes, **given: (drawn.append(given["ylabel"]), draw(axes, **given))[1])
    monkeypatch.setattr(command, "held_out_iou", lambda *_: 0.5)
    common = ["--data", "procedural:12", "--validate", "procedural/1:24", "--model", "prototype", "--steps", "1", "--batch", "1"]
    for name, options in {"validation": [], "held-out": ["--hold-out", "striped disc"]}.items():
        assert main([*common, *options, "--side", "32", "-o", str(tmp_path / name)]) == 0
        assert f", {name} IoU 0.500, " in capsys.readouterr().out and drawn == ["loss", f"{name} IoU"]
        drawn.clear()
