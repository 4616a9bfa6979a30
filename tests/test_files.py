"""Images of every kind become upright RGB; damaged ones a sentence; files on disk are whole or absent."""

import contextlib
import io
import os
import re
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from PIL import Image

from guided_demo import files
from guided_demo.errors import InputError
from guided_demo.files import (
    image_key,
    list_images,
    read_image,
    write_atomic,
)


def picture(width=40, height=30, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_all_sources_of_one_picture_are_equal(tmp_path):
    array = picture()
    data = encoded(Image.fromarray(array))
    (tmp_path / "a.png").write_bytes(data)
    sources = [array, data, io.BytesIO(data), Image.fromarray(array), tmp_path / "a.png", str(tmp_path / "a.png")]
    images = [read_image(source) for source in sources]
    assert all(image.mode == "RGB" and np.array_equal(image, array) for image in images)
    assert len({image_key(image) for image in images}) == 1
    assert re.fullmatch("[0-9a-f]{32}", image_key(images[0]))


def test_key_tells_pixels_and_shape_apart():
    flat = np.zeros((6, 4, 3), np.uint8)
    other = flat.copy()
    other[5, 3, 2] = 1
    assert len({image_key(read_image(a)) for a in (flat, flat.reshape(4, 6, 3), other)}) == 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    upright = picture()
    undo = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2),
        6: np.rot90(upright), 7: np.rot90(upright, 2).transpose(1, 0, 2), 8: np.rot90(upright, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(undo[orientation])), exif=exif)
    once = read_image(data)
    assert np.array_equal(once, upright)
    assert np.array_equal(read_image(once), upright)  # and is not undone twice


def test_gray_palette_and_cmyk():
    rgb = Image.fromarray(picture())
    for image in (rgb.convert("L"), rgb.convert("1"), rgb.quantize(16)):
        assert np.array_equal(read_image(encoded(image)), image.convert("RGB"))
    smooth = Image.fromarray(picture(8, 8)).resize((64, 64))
    printed = read_image(encoded(smooth.convert("CMYK"), "JPEG", quality=98))
    assert np.abs(np.asarray(printed, float) - np.asarray(smooth, float)).mean() < 6


def test_transparency_is_laid_over_white():
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[..., 3] = [[0, 255, 51], [0, 255, 51]]
    expected = np.array([[255, 0, 204]] * 2)
    for source in (rgba, encoded(Image.fromarray(rgba)), encoded(Image.fromarray(rgba), "WEBP", lossless=True)):
        assert np.array_equal(np.asarray(read_image(source))[..., 1], expected)
    gif = Image.new("P", (2, 1))
    gif.putpalette([0, 0, 0, 9, 9, 9])
    gif.putpixel((1, 0), 1)
    assert np.asarray(read_image(encoded(gif, "GIF", transparency=0)))[0].tolist() == [[255] * 3, [9] * 3]


def test_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (5, 4), color) for color in ("red", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert read_image(data).getpixel((2, 2)) == (255, 0, 0), kind


def test_float_and_bool_arrays():
    array = np.array([[0.0, 0.5], [1.0, np.nan]])
    assert np.asarray(read_image(array))[..., 0].tolist() == [[0, 128], [255, 0]]
    assert np.asarray(read_image(array > 0.4))[..., 2].tolist() == [[0, 255], [255, 0]]


def test_floats_that_overshoot_as_resampling_makes_them_stay_as_bright(tmp_path):
    array = np.array([[-0.06, 0.5, 1.11]])
    Image.fromarray(array.astype(np.float32)).save(tmp_path / "a.tif")
    for source in (array, array * 255, tmp_path / "a.tif"):
        assert np.asarray(read_image(source))[0, :, 0].tolist() == [0, 128, 255]


def test_one_pixel():
    assert read_image(encoded(Image.new("RGB", (1, 1), "red"))).getpixel((0, 0)) == (255, 0, 0)


def png_header(width, height):
    def chunk(kind, body):
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + b"\x08\x00\0\0\0") + chunk(b"IDAT", b"")


@pytest.mark.filterwarnings("error")
def test_a_hundred_megapixels_work_and_more_is_refused_before_decoding():
    assert read_image(encoded(Image.new("1", (10_000, 10_000)))).size == (10_000, 10_000)
    for side in (11_000, 60_000):
        with pytest.raises(InputError, match=r"big\.png has .* 120 megapixels"):
            read_image(png_header(side, side), "big.png")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own words on damaged TIFF tags
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF"])
def test_damaged_files_give_a_sentence(kind, tmp_path):
    data = encoded(Image.fromarray(picture(200, 150)), kind)
    rng = np.random.default_rng(1)
    for length in rng.integers(1, len(data) * 2 // 3, 20):
        path = tmp_path / f"cut.{kind}"
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=re.escape(str(path))):
            read_image(path)
    for _ in range(100):
        noisy = bytearray(data)
        for place in rng.integers(0, min(len(data), 400), 4):
            noisy[place] = rng.integers(0, 256)
        with contextlib.suppress(InputError):  # any other exception would fail the test
            read_image(bytes(noisy))


@pytest.mark.parametrize(
    "source, words",
    [
        (b"", "the image is empty"),
        (b"hello, I am text", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        ("no/such.jpg", "no/such.jpg does not exist"),
        ("a\0.jpg", "does not exist"),
        ("a" * 300, "a cannot be read: File name too long"),
        (".", "is a folder"),
        (3, "is a int"),
        (np.zeros((4, 4, 2), np.uint8), r"shape \(4, 4, 2\)"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
        (np.zeros((4, 4), complex), "type complex"),
        (np.array([[-2.1, 0.4, 2.6]]), "values from -2.1 to 2.6"),
        (np.array([[-128, 127]], np.int16), "values from -128 to 127"),
    ],
)
def test_what_is_no_image_gives_a_sentence(source, words):
    with pytest.raises(InputError, match=words):
        read_image(source)


def test_folders_are_listed_sorted_and_files_as_they_are(tmp_path):
    for name in ("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "sub/c.tif", ".git/d.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "x.txt").touch()
    listed = list(list_images([tmp_path / "photos", tmp_path / "x.txt"]))
    assert [name for name, _ in listed] == ["a.PNG", "b.jpg", "sub/c.tif", "x.txt"]
    assert listed[2][1] == tmp_path / "photos/sub/c.tif"


def test_a_link_that_leads_nowhere_is_noticed(tmp_path):
    for name, target in (("here.jpg", "a.jpg"), ("notes", "gone.txt"), ("photo.jpg", "gone.jpg")):
        (tmp_path / name).symlink_to(target)
    Image.new("RGB", (3, 2)).save(tmp_path / "a.jpg")
    assert [name for name, _ in list_images([tmp_path])] == ["a.jpg", "here.jpg", "photo.jpg"]


def test_links_to_folders_are_followed_and_each_folder_is_listed_once(tmp_path):
    for name in ("photos/real/a.jpg", "elsewhere/b.jpg", "photos/.hidden/d.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    links = {"a link": "real", "out": "../elsewhere", "out too": "../elsewhere", "real/up": "..", ".unseen": "../elsewhere"}
    for name, target in links.items():
        (tmp_path / "photos" / name).symlink_to(target)
    (tmp_path / "elsewhere" / "ring").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "real" / "to itself").symlink_to("to itself")
    assert [name for name, _ in list_images([tmp_path / "photos"])] == ["out/b.jpg", "real/a.jpg"]


def test_an_image_can_come_through_a_pipe(tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe")
    with ThreadPoolExecutor(1) as other:
        other.submit(pipe.write_bytes, encoded(Image.new("RGB", (30, 20))))
        assert read_image(pipe).size == (30, 20)
        other.submit(pipe.write_bytes, b"")
        with pytest.raises(InputError, match="is empty"):
            read_image(pipe)


def test_a_file_name_that_is_no_utf8_can_be_printed(tmp_path):
    odd = tmp_path / os.fsdecode(b"bad\xff.png")
    Image.new("RGB", (3, 2)).save(odd)
    assert list(list_images([tmp_path])) == list(list_images([odd])) == [("bad?.png", odd)]


def test_what_may_not_be_looked_at_is_listed_and_has_a_sentence(tmp_path, monkeypatch):
    for name in ("locked/a.png", "b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (3, 2)).save(tmp_path / name)
    (tmp_path / "ring.png").symlink_to("ring.png")
    locked = tmp_path / "locked"
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path not in (locked, locked / "a.png") and may(path, mode))
    monkeypatch.setattr(os, "walk", lambda top: [(top, ["locked"], ["b.png", "ring.png"])] * (top == tmp_path))
    assert list(list_images([tmp_path], tmp_path / "masks")) == [
        ("b.png", tmp_path / "b.png"),
        ("locked", locked),
        ("ring.png", tmp_path / "ring.png"),
    ]
    too_long = tmp_path / f"{'a' * 300}.png"
    assert list(list_images([locked, too_long])) == [("locked", locked), (too_long.name, too_long)]
    with pytest.raises(InputError, match="locked is a folder that may not be looked into"):
        read_image(locked)


def test_write_atomic_keeps_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file.bin"
    write_atomic(path, b"old")

    def fail(*_):
        raise OSError("power cut")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(InputError, match="cannot be written: power cut"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    for no_file in ("", ".", "new/.."):  # of which Path.with_name has errors of its own
        with pytest.raises(InputError, match="cannot be written"):
            write_atomic(no_file, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("name", ["photos.7z", "photos.tar.gz", "PHOTOS.RAR", "photos.zip"])
def test_another_archive_says_what_to_do(name):
    with pytest.raises(InputError, match=f"{name} is an archive that cannot be opened here; unpack it"):
        read_image(b"7z\xbc\xaf'\x1c" + bytes(50), name)


def test_a_film_says_which_command_is_for_it():
    with pytest.raises(InputError, match=r"^Day 1\.MOV is a film, .* python -m guided_demo video segments its frames\.$"):
        read_image(b"\x00\x00\x00\x14ftypqt  " + bytes(50), "Day 1.MOV")


@pytest.mark.parametrize("layout", [
    {"shape": (20, 30, 2), "dtype": np.uint8, "planarconfig": "contig"},
    {"shape": (2, 20, 30), "dtype": np.uint16, "planarconfig": "separate", "photometric": "minisblack"},
    {"shape": (20, 30), "dtype": np.float64},
])  # fmt: skip
def test_a_tiff_that_is_whole_and_of_no_layout_for_photos_says_how_to_save_it(layout, tmp_path):
    tifffile.imwrite(tmp_path / "two.tif", **layout)
    assert tifffile.imread(tmp_path / "two.tif").shape == layout["shape"]
    with (tmp_path / "two.tif").open("rb") as file:
        for source in (tmp_path / "two.tif", (tmp_path / "two.tif").read_bytes(), file):
            with pytest.raises(
                InputError, match=r"^two\.tif is a TIFF that .* layout .*; save it as grey or RGB, of 8 or 16 bits\.$"
            ):
                read_image(source, "two.tif")
