"""The command line: what it writes, what it says, and how it ends."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from guided_demo import Annotation, GuidedSegmenter, Point
from guided_demo.cli import main
from guided_demo.events import AddClass, Annotate, RecolorClass
from guided_demo.files import replacing
from guided_demo.project import save_project
from guided_demo.workspace import Workspace
from guided_demo.zips import read_zip, zip_bytes

ROOT = Path(__file__).parents[1]
CLICKS = ["--point", "5,6,cat", "--point", "50,40,background"]


def test_masks_are_those_of_a_workspace_bit_for_bit(call, photos, tmp_path, checkpoint):
    page = Workspace(GuidedSegmenter.load(str(checkpoint)))
    names = ["a.jpg", "b.png", "sub/a.png"]
    page.add_images((name, (photos / name).read_bytes()) for name in names)
    for name in ("cat", "dog"):
        page.apply(AddClass(name))
    keys = [item.key for item in page.session.images]
    for key, mark in [(keys[1], Point(9, 9, "dog")), (keys[0], Point(5, 6, "cat")), (keys[0], Point(50, 40, "background"))]:
        page.apply(Annotate(key, mark))
    guidance = tmp_path / "page.safetensors"
    page.guidance.save(guidance)
    for scope in ("everywhere", "object"):
        expected = read_zip(page.export_zip(scope=scope), "page.zip")
        assert call("segment", guidance, photos, "-o", tmp_path / scope, "--scope", scope)[0] == 0
        written = {p.relative_to(tmp_path / scope).as_posix(): p for p in (tmp_path / scope).rglob("*") if p.is_file()}
        assert {name: path.read_bytes() for name, path in written.items()} == expected
        assert call("segment", guidance, photos, "-o", tmp_path / "m.zip", "--scope", scope)[0] == 0
        assert (tmp_path / "m.zip").read_bytes() == page.export_zip(scope=scope)
    assert set(expected) == {"classes.txt", "a.png", "b.png", "sub/a.png"}
    call("segment", guidance, photos, "-o", tmp_path / "m.zip", "--unsure", ".9")
    assert (tmp_path / "m.zip").read_bytes() == page.export_zip(unsure=0.9) != page.export_zip()


def test_one_bad_image_stops_nothing(call, photos, tmp_path):
    (photos / "bad.jpg").write_bytes((photos / "a.jpg").read_bytes()[:200])
    call("guide", photos / "a.jpg", *CLICKS, "-o", tmp_path / "g.safetensors")
    status, said, errors = call("segment", tmp_path / "g.safetensors", photos, tmp_path / "none.png", "-o", tmp_path / "m")
    assert status == 1
    assert "3 images" in said
    assert [line.split()[0] for line in errors.splitlines()] == [f"{photos / 'bad.jpg'}:", f"{tmp_path / 'none.png'}:"]
    assert len(list((tmp_path / "m").rglob("*.png"))) == 3


def test_a_photo_that_is_named_twice_is_segmented_once(call, photos, tmp_path):
    call("guide", photos / "a.jpg", *CLICKS, "-o", tmp_path / "g.safetensors")
    (photos / "link.jpg").symlink_to("a.jpg")  # another photo, for whoever made it
    twice = [photos, photos / "a.jpg", photos / "sub" / "a.png", photos / "sub", f"{photos}/../{photos.name}/b.png"]
    status, said, errors = call("segment", tmp_path / "g.safetensors", *twice, "-o", tmp_path / "m")
    assert (status, errors) == (0, "") and "4 images" in said
    written = sorted(path.relative_to(tmp_path / "m").as_posix() for path in (tmp_path / "m").rglob("*.png"))
    assert written == ["a.png", "b.png", "link.png", "sub/a.png"]


def test_a_project_guides_as_its_guidance_does_and_coco_as_masks_do(call, photos, tmp_path, segmenter, checkpoint):
    work = Workspace(type(segmenter).load(checkpoint))
    key = work.add_image("a.jpg", (photos / "a.jpg").read_bytes())
    for event in (AddClass("cat"), Annotate(key, Point(5, 6, "cat")), Annotate(key, Point(50, 40, "background"))):
        work.apply(event)
    (tmp_path / "work.zip").write_bytes(save_project(work))
    work.guidance.save(tmp_path / "work.safetensors")
    for name in ("zip", "safetensors"):
        assert call("segment", tmp_path / f"work.{name}", photos, "-o", tmp_path / name)[0] == 0
    for path in (tmp_path / "zip").rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "safetensors" / path.relative_to(tmp_path / "zip")).read_bytes()
    call("segment", tmp_path / "work.zip", photos, "-o", tmp_path / "coco", "--form", "coco-rle")
    made = [tmp_path / "coco.safetensors", tmp_path / "masks.safetensors"]
    assert call("guide", photos, "--annotations", tmp_path / "coco" / "annotations.json", "-o", made[0])[0] == 0
    assert call("guide", photos, "--masks", tmp_path / "zip", "-o", made[1])[0] == 0
    assert made[0].read_bytes() == made[1].read_bytes()


def test_the_classes_of_a_project_keep_their_colours(call, photos, tmp_path, segmenter, checkpoint):
    work = Workspace(type(segmenter).load(checkpoint))
    key = work.add_image("a.jpg", (photos / "a.jpg").read_bytes())
    for event in (AddClass("cat"), RecolorClass("cat", "#123456"), Annotate(key, Point(5, 6, "cat"))):
        work.apply(event)
    (tmp_path / "work.zip").write_bytes(save_project(work))
    call("segment", tmp_path / "work.zip", photos / "a.jpg", "-o", tmp_path / "tinted", "--form", "overlays")
    assert [("a.jpg", (tmp_path / "tinted" / "a.jpg").read_bytes())] == list(work.export("overlays"))


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["guide", "a.jpg", "-o", "x.safetensors"], "Nothing is annotated"),
        (["guide", "a.jpg", "b.jpg", *CLICKS, "-o", "x.safetensors"], "are for one image"),
        (["guide", "a.jpg", "--masks", "none", "-o", "x.safetensors"], "none does not exist"),
        (["guide", "a.jpg", "--masks", ".", "-o", "x.safetensors"], "Nothing names the classes of .; give --classes"),
        (["guide", "--annotations", "none.json", "-o", "x.safetensors"], "none.json cannot be read"),
        (["guide", "--add", "none.safetensors", "-o", "x.safetensors"], "none.safetensors"),
        (["guide", "--add", "work.zip", "-o", "work.zip"], "work.zip is no name for guidance; let it end in .safetensors."),
        (["segment", "work.zip", "a.jpg", "-o", "sub/../work.zip"], "work.zip is what guides"),
        (["video", "photos", "--guidance", "work.zip", "-o", "sub/../work.zip"], "work.zip is what guides"),
        (["segment", "own.safetensors", "a.jpg", "b.png", "-o", "."], "b.png is one of the images"),
        (["segment", "own.safetensors", "a.jpg", "-o", "notes.txt", "--form", "csv"], "notes.txt cannot be written: "),
        (["segment", "none.safetensors", "a.jpg", "-o", "x"], "none.safetensors"),
        (["segment", "cut.safetensors", "a.jpg", "-o", "x"], "cut.safetensors"),
        (["segment", "foreign.safetensors", "a.jpg", "-o", "x"], "checkpoint"),
    ],
)
def test_a_wrong_call_does_nothing_and_says_why(call, photos, tmp_path, segmenter, arguments, words, monkeypatch):
    monkeypatch.chdir(photos)
    foreign = type(segmenter).untrained(seed=1).guide(photos / "a.jpg", Annotation(points=[(5, 5, "cat")]))
    foreign.save("foreign.safetensors")
    call("guide", "a.jpg", *CLICKS, "-o", "own.safetensors")
    (photos / "cut.safetensors").write_bytes((photos / "foreign.safetensors").read_bytes()[:-9])
    before = set(photos.iterdir())
    status, said, errors = call(*arguments)
    assert (status, said) == (2, "")
    assert words in errors
    assert errors.startswith("guided_demo: ")
    assert errors.count("\n") == 1
    assert set(photos.iterdir()) == before


def test_where_nothing_can_be_written_a_sentence_says_so(call, photos, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder.safetensors").mkdir()
    for out, place in (("folder.safetensors", "folder.safetensors"), ("file/cat.safetensors", "file")):
        status, _, errors = call("guide", photos / "a.jpg", *CLICKS, "-o", tmp_path / out)
        assert status == 2
        assert errors.startswith(f"guided_demo: {tmp_path / place} cannot be written: ")


def test_a_name_that_no_file_can_have_stops_nothing(call, photos, tmp_path):
    call("guide", photos / "a.jpg", *CLICKS, "-o", tmp_path / "g.safetensors")
    none = "a" * 300 + ".jpg"
    status, said, errors = call("segment", tmp_path / "g.safetensors", none, photos / "a.jpg", "-o", tmp_path / "m")
    assert (status, errors) == (1, f"{none}: {none} cannot be read: File name too long.\n") and "1 image," in said
    status, _, errors = call("guide", photos / "a.jpg", "--masks", none, "-o", tmp_path / "h.safetensors")
    assert status == 2 and f"{none} does not exist" in errors
    status, _, errors = call("video", none, "--guidance", tmp_path / "g.safetensors", "-o", tmp_path / "n")
    assert status == 2 and f"{none} does not exist" in errors
    (tmp_path / "ring.jpg").symlink_to("ring.jpg")
    status, _, errors = call("segment", tmp_path / "g.safetensors", tmp_path / "ring.jpg", "-o", tmp_path / "m")
    assert status == 1 and errors.startswith(f"{tmp_path / 'ring.jpg'}: ring.jpg cannot be read: ")


def test_a_terminal_that_lacks_letters_is_told_all_the_same(checkpoint, photos, tmp_path, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr("sys.stdout", terminal)
    clicks = ["--point", "5,6,кот", "-o", str(tmp_path / "g.safetensors"), "--checkpoint", str(checkpoint)]
    assert main(["guide", str(photos / "a.jpg"), *clicks]) == 0
    terminal.seek(0)
    assert "1 image, classes background, \\u043a" in terminal.read()


def test_masks_below_the_photos_are_no_photos(call, photos, tmp_path):
    call("guide", photos / "a.jpg", *CLICKS, "-o", tmp_path / "g.safetensors")
    for _ in range(2):  # as after a first time that was interrupted
        status, said, errors = call("segment", tmp_path / "g.safetensors", photos, "-o", photos / "masks")
        assert (status, errors) == (0, "") and "3 images" in said
    status, said, errors = call("guide", photos, "--masks", photos / "masks", "-o", tmp_path / "h.safetensors")
    assert (status, errors) == (0, "") and "3 images" in said


def test_an_interruption_is_said_in_a_line(call, photos, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("guided_demo.cli.read_guidance", interrupt)
    (tmp_path / "g.safetensors").touch()
    status, said, errors = call("segment", tmp_path / "g.safetensors", photos, "-o", tmp_path / "m")
    assert (status, said, errors) == (130, "", "guided_demo: stopped; the files written so far are whole.\n")
    monkeypatch.setattr("guided_demo.meta.evaluation.open_contestant", interrupt)
    assert main(["evaluate", "--another", "procedural:4"]) == 130


def test_a_program_that_is_told_to_end_leaves_no_half_of_a_file(call, photos, tmp_path, checkpoint):
    call("guide", photos / "a.jpg", *CLICKS, "-o", tmp_path / "g.safetensors")
    for number in range(500):
        (photos / f"{number}.jpg").symlink_to("a.jpg")
    command = ["segment", tmp_path / "g.safetensors", photos, "-o", tmp_path / "out" / "masks.zip", "--checkpoint", checkpoint]
    running = subprocess.Popen([sys.executable, "-m", "guided_demo", *command], stderr=subprocess.PIPE, text=True)
    while running.poll() is None and not list(tmp_path.glob("out/.*.part")):
        time.sleep(0.01)
    running.terminate()
    assert running.communicate(timeout=60)[1] == "guided_demo: stopped; the files written so far are whole.\n"
    assert running.returncode == 130 and list(tmp_path.glob("out/*")) == []


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_reader_that_has_gone_ends_it_as_other_programs(call, photos, tmp_path, checkpoint, buffered):
    call("guide", photos / "a.jpg", *CLICKS, "-o", tmp_path / "g.safetensors")
    command = ["segment", tmp_path / "g.safetensors", photos, "-o", tmp_path / "m", "--checkpoint", checkpoint]
    where = os.environ | {"PYTHONUNBUFFERED": buffered}
    read, write = os.pipe()
    os.close(read)
    running = [sys.executable, "-m", "guided_demo", *map(str, command)]
    ended = subprocess.run(running, stdout=write, stderr=subprocess.PIPE, cwd=ROOT, env=where)
    os.close(write)
    assert (ended.stderr, -ended.returncode) == (b"", signal.SIGPIPE)
    assert len(list((tmp_path / "m").rglob("*.png"))) == 3


def test_what_is_not_read_is_no_fault_of_a_file(tmp_path):
    with pytest.raises(BrokenPipeError), replacing(tmp_path / "a.zip"):
        raise BrokenPipeError
    assert list(tmp_path.iterdir()) == []


def test_no_photo_is_written_over(call, photos, tmp_path):
    before = {path: path.read_bytes() for path in photos.rglob("*.*")}
    call("guide", photos / "a.jpg", *CLICKS, "-o", tmp_path / "g.safetensors")
    status, _, errors = call("segment", tmp_path / "g.safetensors", photos, "-o", photos / "sub" / "..")
    assert status == 2 and "is one of the images, and a mask would take its place; write to another folder." in errors
    status, _, errors = call("guide", photos / "a.jpg", *CLICKS, "-o", photos / "a.jpg")
    assert status == 2 and errors.endswith("a.jpg is no name for guidance; let it end in .safetensors.\n")
    assert before.items() <= {path: path.read_bytes() for path in photos.rglob("*.*")}.items()


def test_nothing_usable_writes_nothing(call, photos, tmp_path):
    (photos / "bad.jpg").write_bytes(b"no image")
    status, _, errors = call("guide", photos / "bad.jpg", *CLICKS, "-o", tmp_path / "g.safetensors")
    assert status == 1
    assert [line.split()[0] for line in errors.splitlines()] == [f"{photos / 'bad.jpg'}:", f"{tmp_path / 'g.safetensors'}:"]
    assert not (tmp_path / "g.safetensors").exists()
    (tmp_path / "empty").mkdir()
    call("guide", photos / "a.jpg", *CLICKS, "-o", tmp_path / "g.safetensors")
    status, _, errors = call("segment", tmp_path / "g.safetensors", tmp_path / "empty", "-o", tmp_path / "m")
    assert status == 1
    assert errors == f"{tmp_path / 'empty'}: There are no images in this folder.\n"


@pytest.mark.parametrize("command", [[], ["guide"], ["segment"], ["video"], ["bench"]])
def test_help_is_complete(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([*command, "--help"])
    assert end.value.code == 0
    said, errors = capsys.readouterr()
    assert errors == ""
    for word in {"": ["guide", "segment", "video", "train", "evaluate", "bench", "exit status", "130 stopped"],
                 "guide": ["--point", "--stroke", "--radius", "--annotations", "--masks", "--classes", "--add", "examples"],
                 "segment": ["--out", "--scope", "--unsure", "--form", "--checkpoint", "--device", "examples"],
                 "video": ["--point", "--stroke", "--guidance", "--mask", "--classes", "--out", "--overlay", "examples"],
                 "bench": ["--checkpoint", "--rounds"]}["".join(command)]:  # fmt: skip
        assert word in said


def test_a_zip_of_photos_is_to_be_unpacked_first(call, photos, tmp_path):
    call("guide", photos / "a.jpg", *CLICKS, "-o", tmp_path / "g.safetensors")
    (tmp_path / "photos.zip").write_bytes(zip_bytes([("a.jpg", (photos / "a.jpg").read_bytes())]))
    status, _, errors = call("segment", tmp_path / "g.safetensors", tmp_path / "photos.zip", "-o", tmp_path / "m")
    assert status == 1 and "photos.zip is an archive that cannot be opened here; unpack it" in errors
