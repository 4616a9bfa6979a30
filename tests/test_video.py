"""Films: every frame upright, in time, in the memory of a few, with the masks that the frames have as photos."""

import gc
import itertools
import sys
import weakref
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from guided_demo import Annotation
from guided_demo.export import indexed_png
from guided_demo.video import Frame, read_frames, segment_frames, write_film
from guided_demo.zips import read_zip

CLICKS = ["--point", "10,24,square", "--point", "50,40,background"]


def pictures(count, size=(64, 48), seed=0):
    """A red square that moves over a still, rough background."""
    rough = np.random.default_rng(seed).integers(60, 120, (size[1] // 4, size[0] // 4, 1), dtype=np.uint8)
    ground = np.asarray(Image.fromarray(rough.repeat(3, axis=2)).resize(size, Image.Resampling.BICUBIC))
    for number in range(count):
        picture = ground.copy()
        picture[16:32, 2 + 3 * number : 18 + 3 * number] = 220, 30, 30
        yield Image.fromarray(picture)


def save_film(path, images, times=None, codec="libx264", rotation=0):
    """A film made with PyAV alone."""
    images = list(images)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.width, stream.height = images[0].size
        if rotation:
            stream.set_display_rotation(rotation)
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_image(image)
            frame.pts, frame.time_base = (times[number] if times else 100 * number), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def load_film(path):
    """Images and times in milliseconds of a film, read with PyAV alone."""
    with av.open(str(path)) as container:
        return zip(*[(f.to_image(), round(1000 * f.time)) for f in container.decode(video=0)], strict=True)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_masks_of_a_film_are_those_of_its_frames_as_photos(call, tmp_path):
    film = save_film(tmp_path / "film.mp4", pictures(7))
    (tmp_path / "photos").mkdir()
    for number, image in enumerate(next(iter(load_film(film)))):
        image.save(tmp_path / "photos" / f"{number:06d}.png")
    status, said, errors = call("video", film, *CLICKS, "-o", tmp_path / "masks")
    assert (status, errors) == (0, "")
    assert said == f"{tmp_path / 'masks'}: 7 frames, classes background, square\n"
    call("guide", tmp_path / "photos" / "000000.png", *CLICKS, "-o", tmp_path / "square.safetensors")
    call("segment", tmp_path / "square.safetensors", tmp_path / "photos", "-o", tmp_path / "expected")
    expected = files(tmp_path / "expected")
    assert files(tmp_path / "masks") == expected
    assert set(expected) == {"classes.txt", *(f"{number:06d}.png" for number in range(7))}
    # The same with the guidance as a file, and from a folder of frames.
    call("video", film, "--guidance", tmp_path / "square.safetensors", "-o", tmp_path / "again")
    call("video", tmp_path / "photos", *CLICKS, "-o", tmp_path / "folder")
    assert files(tmp_path / "again") == files(tmp_path / "folder") == expected


def test_masks_of_a_film_leave_as_a_zip_where_its_name_ends_so(call, tmp_path):
    film = save_film(tmp_path / "film.mp4", pictures(1))
    assert call("video", film, *CLICKS, "-o", tmp_path / "masks")[0] == 0
    out = tmp_path / "new" / "masks.zip"
    assert call("video", film, *CLICKS, "-o", out) == (0, f"{out}: 1 frame, classes background, square\n", "")
    assert read_zip(out.read_bytes(), "masks.zip") == files(tmp_path / "masks")


def test_masks_below_the_frames_are_no_frames(call, tmp_path):
    (tmp_path / "frames").mkdir()
    for number, picture in enumerate(pictures(2)):
        picture.save(tmp_path / "frames" / f"{number}.png")
    for _ in range(2):
        status, said, errors = call("video", tmp_path / "frames", *CLICKS, "-o", tmp_path / "frames" / "masks")
        assert (status, errors) == (0, "") and "2 frames" in said


def test_a_mask_of_the_first_frame_guides_the_others(call, tmp_path):
    labels = np.zeros((48, 64), np.uint8)
    labels[16:32, 2:18] = 1
    labels[:, 60:] = 255
    (tmp_path / "first.png").write_bytes(indexed_png(labels))
    (tmp_path / "classes.txt").write_text("background\nsquare\n")
    film = save_film(tmp_path / "film.mp4", pictures(3))
    assert call("video", film, "--mask", tmp_path / "first.png", "-o", tmp_path / "masks")[0] == 0
    first = np.asarray(Image.open(tmp_path / "masks" / "000000.png"))
    assert np.array_equal(first[:, :60], labels[:, :60])
    assert len(files(tmp_path / "masks")) == 4


def test_the_tinted_film_keeps_size_time_and_what_is_background(call, tmp_path):
    times = [0, 40, 90, 400, 1000]
    film = save_film(tmp_path / "film.mp4", pictures(5), times)
    guide = ["--mask", tmp_path / "first.png", "--classes", "background,square"]
    labels = np.zeros((48, 64), np.uint8)
    labels[16:32, 2:18] = 1
    (tmp_path / "first.png").write_bytes(indexed_png(labels))
    out = tmp_path / "new" / "tinted.mp4"
    assert call("video", film, *guide, "--overlay", out) == (0, f"{out}: 5 frames, classes background, square\n", "")
    originals, _ = load_film(film)
    tinted, tinted_times = load_film(out)
    assert list(tinted_times) == times
    assert {image.size for image in tinted} == {(64, 48)}
    difference = np.abs(np.asarray(tinted[0], int) - np.asarray(originals[0])).mean(axis=2)
    assert difference[20:28, 6:14].min() > 30
    assert difference[labels == 0].mean() < 8
    assert [path.name for path in out.parent.iterdir()] == ["tinted.mp4"]


def test_a_film_of_odd_size_is_written_with_an_edge(tmp_path):
    with write_film(tmp_path / "odd.mkv") as add:
        for number, image in enumerate(pictures(3, size=(63, 47))):
            add(Frame("", image, number / 25))
    images, times = load_film(tmp_path / "odd.mkv")
    assert images[0].size == (64, 48)
    assert list(times) == [0, 40, 80]
    difference = np.abs(np.asarray(images[0].crop((0, 0, 63, 47)), int) - np.asarray(next(pictures(1, size=(63, 47)))))
    assert difference.mean() < 8


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_frames_are_upright(tmp_path, rotation):
    image = next(pictures(1))
    film = save_film(tmp_path / "film.mp4", [image, image], rotation=rotation)
    first, _ = read_frames(film, pytest.fail)
    turned = image.rotate(rotation, expand=True)
    assert first.image.size == turned.size
    assert np.abs(np.asarray(first.image, int) - np.asarray(turned)).mean() < 8


def test_a_film_may_be_called_by_a_time(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file:").mkdir()
    for name in ("12:30.mp4", "file:/12:30.mp4"):
        save_film(tmp_path / "film.mp4", pictures(2)).rename(name)
        status, said, _ = call("video", name, *CLICKS, "--overlay", name.replace("30", "31"))
        assert status == 0 and "2 frames" in said
        assert (tmp_path / name.replace("30", "31")).exists()


def test_only_a_few_frames_are_in_memory(segmenter):
    first = next(pictures(1))
    guidance = segmenter.guide(first, Annotation(points=[(10, 24, "square"), (50, 40, "background")]))
    frames = (Frame(str(n), Image.fromarray(np.asarray(first) + np.uint8(n)), n) for n in itertools.count())
    seen = []
    for frame, labels in itertools.islice(segment_frames(segmenter, guidance, frames), 6):
        assert labels.shape == (48, 64)
        seen.append(weakref.ref(frame.image))
    del frame
    gc.collect()
    assert sum(image() is not None for image in seen) <= 1


def test_frames_are_read_as_they_are_asked_for(tmp_path):
    for number, image in enumerate(pictures(3)):
        image.save(tmp_path / f"{number}.png")
    frames = read_frames(tmp_path, pytest.fail)
    assert next(frames).name == "0.png"
    next(pictures(1, seed=1)).save(tmp_path / "1.png")
    assert np.array_equal(np.asarray(next(frames).image), np.asarray(next(pictures(1, seed=1))))


@pytest.mark.parametrize("times", [None, 80])
@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tif"])
def test_pictures_that_move_or_have_pages_are_films(tmp_path, monkeypatch, kind, times):
    """FFmpeg had one frame of a GIF without times, and of others."""
    monkeypatch.setitem(sys.modules, "av", None)
    first, *others = pictures(3)
    options = {"duration": times} if times and kind != "tif" else {}
    options |= {"lossless": True} if kind == "webp" else {}
    first.save(tmp_path / f"a.{kind}", save_all=True, append_images=others, **options)
    frames = list(read_frames(tmp_path / f"a.{kind}", pytest.fail))
    assert [frame.name for frame in frames] == ["000000", "000001", "000002"]
    step = 0.08 if "duration" in options else frames[1].seconds
    assert [frame.seconds for frame in frames] == pytest.approx([0, step, 2 * step]) and step > 0
    for frame, image in zip(frames, [first, *others], strict=True):
        assert np.abs(np.subtract(frame.image, image, dtype=int)).max() <= (60 if kind == "gif" else 0)


def test_a_page_that_is_damaged_leaves_those_before_it(tmp_path):
    first, *others = pictures(3)
    first.save(path := tmp_path / "a.gif", save_all=True, append_images=others)
    path.write_bytes(path.read_bytes()[:-400])
    said = []
    frames = list(read_frames(path, lambda name, sentence: said.append((name, sentence))))
    assert len(frames) == 2
    assert [(name, sentence.split("(")[0]) for name, sentence in said] == [(str(path), "What comes after frame 2 is damaged ")]


def test_a_damaged_frame_stops_no_other(call, tmp_path):
    film = save_film(tmp_path / "film.avi", pictures(5), codec="mjpeg")
    data = bytearray(film.read_bytes())
    places = [place for place in range(len(data)) if data[place : place + 3] == b"\xff\xd8\xff"]
    assert len(places) == 5
    data[places[2] : places[3] - 8] = bytes(places[3] - 8 - places[2])
    film.write_bytes(data)
    status, said, errors = call("video", film, *CLICKS, "-o", tmp_path / "masks")
    assert status == 1
    assert "4 frames" in said
    assert errors.startswith(f"{film}: What comes after frame ")
    assert errors.count("\n") == 1


def test_a_bad_image_in_a_folder_stops_no_other(call, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, image in enumerate(pictures(3)):
        image.save(folder / f"{number}.png")
    (folder / "1.png").write_bytes(b"no image")
    next(pictures(1, size=(32, 32))).save(folder / "3.png")
    status, said, errors = call("video", folder, *CLICKS, "-o", tmp_path / "m", "--overlay", tmp_path / "tinted.mp4")
    assert status == 1
    assert "3 frames" in said
    bad, other = errors.splitlines()
    assert bad.startswith(f"{folder / '1.png'}: ")
    assert other == "3.png: It is 32x32 pixels, but the film is 64x48."
    assert set(files(tmp_path / "m")) == {"classes.txt", "0.png", "2.png", "3.png"}
    _, times = load_film(tmp_path / "tinted.mp4")
    assert list(times) == [0, 80]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["film.mp4", *CLICKS], "nothing to write"),
        (["film.mp4", "-o", "x"], "nothing to segment by"),
        (["film.mp4", *CLICKS, "-o", "x", "--overlay", "x.txt"], "no name for a film"),
        (["film.mp4", "--point", "99,9,square", "-o", "x"], "outside the image"),
        (["film.mp4", "--mask", "none.png", "-o", "x"], "none.png does not exist"),
        (["film.mp4", "--guidance", "none.safetensors", "-o", "x"], "none.safetensors"),
        (["cut.mp4", *CLICKS, "-o", "x"], "cut.mp4 cannot be"),
        (["text.mp4", *CLICKS, "-o", "x"], "text.mp4 cannot be"),
        (["none.mp4", *CLICKS, "-o", "x"], "none.mp4 does not exist"),
        (["sound.wav", *CLICKS, "-o", "x"], "only sound"),
        (["empty", *CLICKS, "-o", "x"], "no frames"),
    ],
)
def test_a_wrong_call_does_nothing_and_says_why(call, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    film = save_film(tmp_path / "film.mp4", pictures(3))
    (tmp_path / "cut.mp4").write_bytes(film.read_bytes()[:-400])
    (tmp_path / "text.mp4").write_text("no film " * 100)
    (tmp_path / "empty").mkdir()
    with av.open("sound.wav", "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    before = set(tmp_path.iterdir())
    status, said, errors = call("video", *arguments)
    assert (status, said) == (2, "")
    assert words in errors
    assert errors.count("\n") == 1
    assert set(tmp_path.iterdir()) == before


def test_neither_the_film_nor_its_frames_are_written_over(call, tmp_path):
    film, folder = save_film(tmp_path / "film.mp4", pictures(2)), tmp_path / "frames"
    folder.mkdir()
    for number, image in enumerate(pictures(2)):
        image.save(folder / f"{number}.png")
    before = files(tmp_path)
    for call_of in (["video", film, "--overlay", tmp_path / "frames/../film.mp4"], ["video", folder, "-o", folder]):
        status, _, errors = call(*call_of, *CLICKS)
        assert status == 2 and ("is the film itself" in errors or "is one of the images" in errors)
    assert before.items() <= files(tmp_path).items()


def test_without_pyav_folders_still_work_and_films_say_what_is_missing(call, tmp_path, monkeypatch):
    film = save_film(tmp_path / "film.mp4", pictures(2))
    (tmp_path / "frames").mkdir()
    for number, image in enumerate(pictures(2)):
        image.save(tmp_path / "frames" / f"{number}.png")
    monkeypatch.setitem(sys.modules, "av", None)
    assert call("video", tmp_path / "frames", *CLICKS, "-o", tmp_path / "masks")[0] == 0
    for arguments in ([film, "-o", tmp_path / "x"], [tmp_path / "frames", "--overlay", tmp_path / "x.mp4"]):
        status, _, errors = call("video", *arguments, *CLICKS)
        assert status == 2
        assert "python -m pip install av" in errors
        assert errors.count("\n") == 1


def test_a_film_that_fails_leaves_the_old_one(tmp_path):
    (tmp_path / "old.mp4").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), write_film(tmp_path / "old.mp4") as add:
        add(Frame("", next(pictures(1)), 0))
        raise KeyboardInterrupt
    with write_film(tmp_path / "old.mp4"):
        pass
    assert files(tmp_path) == {"old.mp4": b"old"}
