"""The command line's guide: what becomes guidance, from points, strokes, masks, JSON and other guidance."""

import json
from functools import partial

import numpy as np
import pytest
from pictures import photo
from PIL import Image

from guided_demo import Annotation, EncodedImage, Guidance, GuidedSegmenter, Point, Stroke
from guided_demo.cli import main
from guided_demo.core import checkpoint as checkpoints
from guided_demo.core.features import FeatureCache
from guided_demo.core.network import GuidedNetwork
from guided_demo.export import indexed_png
from guided_demo.files import image_key, read_image
from guided_demo.workspace import Workspace

CLICKS = ["--point", "5,6,cat", "--point", "50,40,background"]


def test_points_and_strokes_to_guidance(call, photos, tmp_path):
    out = tmp_path / "new" / "cat.safetensors"
    strokes = ["--stroke", "cat", "10,10", "20,12.5", "--radius", "3"]
    status, said, errors = call("guide", photos / "a.jpg", *CLICKS, *strokes, "-o", out)
    assert (status, errors) == (0, "")
    assert "1 image, classes background, cat" in said
    (annotation,) = Guidance.load(out).annotations.values()
    stroke = Stroke(((10, 10), (20, 12.5)), "cat", 3.0)
    assert annotation == Annotation(marks=[stroke, Point(5, 6, "cat"), Point(50, 40, "background")])


def test_a_stroke_may_begin_outside_of_its_photo(call, photos, tmp_path):
    assert call("guide", photos / "a.jpg", "--stroke", "cat", "-5,5", "-.5,-2", "20,20", "-o", tmp_path / "g.safetensors")[0] == 0
    (annotation,) = Guidance.load(tmp_path / "g.safetensors").annotations.values()
    assert annotation.strokes[0].path == ((-5, 5), (-0.5, -2), (20, 20))


def test_more_photos_than_are_kept_encoded_are_encoded_once_all_the_same(call, tmp_path, segmenter, monkeypatch):
    marks, encoded = {}, []
    for seed in range(12):
        photo(seed, (64, 48)).save(tmp_path / f"{seed}.png")
        marks[f"{seed}.png"] = Annotation(points=[(5, 6, "cat")]).to_json()
    (tmp_path / "clicks.json").write_text(json.dumps(marks))
    one = segmenter.encode(tmp_path / "0.png").nbytes
    monkeypatch.setattr("guided_demo.workspace.FeatureCache", partial(FeatureCache, memory_bytes=7 * one))
    encode = GuidedSegmenter.encode
    monkeypatch.setattr(GuidedSegmenter, "encode", lambda self, image: encode(self, image) if isinstance(image, EncodedImage)
                        else encoded.append(image) or encode(self, image))  # fmt: skip
    assert call("guide", "--annotations", tmp_path / "clicks.json", "-o", tmp_path / "cat.safetensors")[0] == 0
    assert len(encoded) == 12 == len(Guidance.load(tmp_path / "cat.safetensors").images)


def test_annotations_of_many_photos_from_json(call, photos, tmp_path):
    first = Annotation(points=[(5, 6, "cat")], strokes=[([(1, 1), (9, 9)], "background", 2)])
    table = {
        "a.jpg": first.to_json(),
        "sub/a.png": Annotation(points=[(9, 9, "dog")]).to_json(),
        "b.png": Annotation(points=[(99, 9, "dog")]).to_json(),
        "gone.png": Annotation(points=[(9, 9, "dog")]).to_json(),
    }
    (photos / "clicks.json").write_text(json.dumps(table))
    status, _, errors = call("guide", "--annotations", photos / "clicks.json", "-o", tmp_path / "g.safetensors")
    assert status == 1
    outside, gone = errors.splitlines()
    assert "b.png: The point (99, 9) is outside" in outside
    assert "gone.png does not exist" in gone
    guidance = Guidance.load(tmp_path / "g.safetensors")
    assert set(guidance.classes) == {"background", "cat", "dog"}
    assert first in guidance.annotations.values()
    # The same, with the photos named instead.
    status, _, errors = call("guide", photos, "--annotations", photos / "clicks.json", "-o", tmp_path / "h.safetensors")
    assert status == 1
    assert "b.png" in errors
    assert Guidance.load(tmp_path / "h.safetensors").annotations == guidance.annotations


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_name_in_json_that_no_photo_has_stops_no_other(call, photos, tmp_path, name):
    marks = {"marks": [{"point": [5, 6], "label": "cat"}]}
    (photos / "clicks.json").write_text(json.dumps({name: marks, "a.jpg": marks}))
    status, said, errors = call("guide", "--annotations", photos / "clicks.json", "-o", tmp_path / "cat.safetensors")
    assert status == 1 and "1 image, classes background, cat" in said
    assert errors.count("\n") == 1 and "folder" in errors


def test_a_labelme_file_beside_its_photo_is_of_that_photo(call, photos, tmp_path):
    shapes = [{"label": "cat", "shape_type": "rectangle", "points": [[5, 5], [20, 20]]}]
    content = {"shapes": shapes, "imagePath": "a.jpg", "imageWidth": 64, "imageHeight": 48}
    (photos / "a.json").write_text(json.dumps(content))
    for images in ([], [photos / "a.jpg"]):
        arguments = [*images, "--annotations", photos / "a.json", "-o", tmp_path / "g.safetensors"]
        assert call("guide", *arguments)[::2] == (0, "")
        assert Guidance.load(tmp_path / "g.safetensors").classes == ("background", "cat")


def test_a_folder_of_labelme_files_is_of_the_photos_that_they_name(call, photos, tmp_path):
    outlines = [{"label": "cat", "shape_type": "polygon", "points": [[2, 2], [30, 2], [30, 30]]}]
    for name in ("a.jpg", "sub/a.png"):
        content = {"shapes": outlines, "imagePath": name.split("/")[-1], "imageWidth": 64, "imageHeight": 48}
        (photos / name).with_suffix(".json").write_text(json.dumps(content))
    (photos / "broken.json").write_text("{")
    for images in ([], [photos / "a.jpg", photos]):
        status, said, errors = call("guide", *images, "--annotations", photos, "-o", tmp_path / "g.safetensors")
        assert status == 1 and "2 images, classes background, cat" in said
        about = [f"{photos / 'broken.json'}: broken.json cannot be read"]
        about += [f"{photos / 'b.png'}: b.png is not in {photos}"] if images else []
        assert all(line.startswith(start) for line, start in zip(errors.splitlines(), about, strict=True))


def test_guidance_of_another_checkpoint_is_made_anew_from_its_photos(call, photos, tmp_path, segmenter):
    checkpoints.save(GuidedNetwork("lite0", 32), other := tmp_path / "other.safetensors", segmenter.metadata)
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    main(["guide", str(photos / "a.jpg"), *CLICKS, "-o", str(old), "--checkpoint", str(other)])
    status, _, errors = call("segment", old, photos, "-o", tmp_path / "masks")
    assert status == 2 and f"{old}: This guidance was made with checkpoint" in errors and f"guide PHOTOS --add {old}" in errors
    assert call("guide", photos, "--add", old, "-o", new)[0] == 0
    call("guide", photos / "a.jpg", *CLICKS, "-o", tmp_path / "expected.safetensors")
    assert new.read_bytes() == (tmp_path / "expected.safetensors").read_bytes()


def test_masks_to_guidance(call, photos, tmp_path):
    labels = np.full((48, 64), 255, np.uint8)
    labels[:9], labels[30:] = 0, 1
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "a.png").write_bytes(indexed_png(labels))
    (masks / "b.png").write_bytes(indexed_png(labels[:9]))
    status, _, errors = call("guide", photos, "--masks", masks, "--classes", "background,cat", "-o", tmp_path / "g.safetensors")
    assert status == 1
    assert "b.png: The mask is 64x9" in errors
    assert "sub/a.png" in errors
    (annotation,) = Guidance.load(tmp_path / "g.safetensors").annotations.values()
    assert np.array_equal(annotation.label_map((64, 48), ("background", "cat")), labels)
    # What segment writes can be given to guide: classes.txt is there.
    call("segment", tmp_path / "g.safetensors", photos, "-o", tmp_path / "out")
    status, said, errors = call("guide", photos, "--masks", tmp_path / "out", "-o", tmp_path / "h.safetensors")
    assert (status, errors) == (0, "")
    assert "3 images" in said


def test_a_list_of_classes_that_lacks_its_first_line_is_noticed(call, photos, tmp_path):
    (tmp_path / "a.png").write_bytes(indexed_png(np.eye(48, 64, dtype=np.uint8)))
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    arguments = ["guide", photos / "a.jpg", "--masks", tmp_path, "-o", tmp_path / "g.safetensors"]
    status, _, errors = call(*arguments)
    assert status == 2 and "classes.txt has no background; put that first" in errors
    assert call(*arguments, "--classes", "cat,dog")[0] == 0  # where there is none in the masks
    assert Guidance.load(tmp_path / "g.safetensors").classes == ("background", "cat", "dog")


def test_what_segment_writes_guides_whatever_the_photos_are_called(call, photos, tmp_path):
    (photos / "a.jpg").rename(photos / "2026-01-01T10:00.jpg")
    call("guide", photos / "b.png", *CLICKS, "-o", tmp_path / "g.safetensors")
    masks = tmp_path / "masks"
    call("segment", tmp_path / "g.safetensors", photos, "-o", masks)
    status, said, errors = call("guide", photos, "--masks", masks, "-o", tmp_path / "h.safetensors")
    assert (status, errors) == (0, "") and "3 images" in said
    photo(5, (64, 48)).save(photos / "2026-01-01T10_00.jpg")  # which may be the mask's as well
    status, _, errors = call("guide", photos, "--masks", masks, "-o", tmp_path / "h.safetensors")
    assert status == 1 and errors.count("Several photos would have the mask") == 2


def test_photos_of_one_name_are_not_taken_for_one_another(call, photos, tmp_path):
    photo(5, (64, 48)).save(photos / "a.png")
    (tmp_path / "clicks.json").write_text(json.dumps({"a.png": Annotation(points=[(5, 6, "cat")]).to_json()}))
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").write_bytes(indexed_png(np.ones((48, 64), np.uint8)))
    masks = ["--masks", tmp_path / "masks", "--classes", "background,cat"]
    table = ["--annotations", tmp_path / "clicks.json"]
    for two, marks, said in ((["a.jpg", "a.png"], masks, "Several photos would have the mask"),
                             (["a.png", "sub/a.png"], table, "Several photos are called a.png")):  # fmt: skip
        status, _, errors = call("guide", *(photos / name for name in two), *marks, "-o", tmp_path / "g.safetensors")
        assert status == 1 and errors.count(said) == 2
        assert call("guide", *2 * [photos / two[0]], *marks, "-o", tmp_path / "g.safetensors")[0] == 0


def test_guidance_is_added_and_merged(call, photos, tmp_path):
    first, second, both = (tmp_path / f"{name}.safetensors" for name in ("first", "second", "both"))
    call("guide", photos / "a.jpg", *CLICKS, "-o", first)
    call("guide", photos / "b.png", "--point", "9,9,dog", "-o", second)
    assert call("guide", "--add", first, "--add", second, "-o", both)[0] == 0
    merged = Guidance.load(both)
    assert merged.annotations == Guidance.load(first).annotations | Guidance.load(second).annotations
    assert call("guide", photos / "a.jpg", "--point", "30,30,dog", "--add", first, "-o", first)[0] == 0
    (annotation,) = Guidance.load(first).annotations.values()
    assert annotation.marks[-1] == Point(30, 30, "dog")
    assert len(annotation.marks) == 3


def test_masks_of_photos_that_differ_in_the_ending_guide_those_they_are_of(call, photos, tmp_path):
    photo(5, (64, 48)).save(photos / "a.tif")
    call("guide", photos / "b.png", *CLICKS, "-o", tmp_path / "g.safetensors")
    assert call("segment", tmp_path / "g.safetensors", photos, "-o", tmp_path / "masks")[0] == 0
    written = sorted(path.relative_to(tmp_path / "masks").as_posix() for path in (tmp_path / "masks").rglob("*.png"))
    assert written == ["a.jpg.png", "a.tif.png", "b.png", "sub/a.png"]
    assert call("guide", photos, "--masks", tmp_path / "masks", "-o", tmp_path / "h.safetensors")[0] == 0
    guides = Guidance.load(tmp_path / "h.safetensors").annotations
    for name in ("a.jpg", "a.tif"):
        labels = guides[image_key(read_image(photos / name))].label_map((64, 48), ("background", "cat"))
        assert np.array_equal(labels, Image.open(tmp_path / "masks" / f"{name}.png"))


def test_masks_are_called_on_the_page_as_here(call, photos, tmp_path, checkpoint):
    photo(5, (64, 48)).save(photos / "a.tif")
    page = Workspace(GuidedSegmenter.load(str(checkpoint)))
    page.add_images((name, photos / name) for name in ("a.jpg", "a.tif", "b.png", "sub/a.png"))
    call("guide", photos / "b.png", *CLICKS, "-o", tmp_path / "g.safetensors")
    for form in ("png", "yolo", "labelme", "overlays"):
        assert call("segment", tmp_path / "g.safetensors", photos, "-o", tmp_path / form, "--form", form)[0] == 0
        written = {path.relative_to(tmp_path / form).as_posix() for path in (tmp_path / form).rglob("*") if path.is_file()}
        assert written == {name for name, _ in page.export(form)}


def test_the_background_is_one_class_in_whatever_letters(call, photos, tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").write_bytes(indexed_png(np.eye(48, 64, dtype=np.uint8)))
    (tmp_path / "masks" / "classes.txt").write_text("Background\ncat\n")
    clicks = ["--point", "5,6,cat", "--point", "50,40,Background", "--stroke", "BACKGROUND", "20,30", "25,30"]
    for marked in (clicks, ["--masks", tmp_path / "masks"], ["--masks", tmp_path / "masks", "--classes", "BackGround,cat"]):
        assert call("guide", photos / "a.jpg", *marked, "-o", tmp_path / "g.safetensors")[0] == 0
        guidance = Guidance.load(tmp_path / "g.safetensors")
        (annotation,) = guidance.annotations.values()
        assert guidance.classes == annotation.classes == ("background", "cat")
