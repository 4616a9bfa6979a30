"""Zips as they are written and read."""

import io
import zipfile

import numpy as np
import pytest
from pictures import photo_bytes

from guided_demo.errors import InputError
from guided_demo.files import replacing
from guided_demo.zips import read_zip, write_zip, zip_bytes


def test_a_zip_is_written_as_its_files_come(tmp_path):
    sizes = []

    def files():
        for number in range(3):
            sizes.append(file.tell())
            yield f"{number}.png", bytes(1000)

    with replacing(tmp_path / "a.zip") as file:
        write_zip(file, files())
    assert sizes[0] < sizes[1] < sizes[2] and len(list(tmp_path.iterdir())) == 1
    assert (tmp_path / "a.zip").read_bytes() == zip_bytes((f"{number}.png", bytes(1000)) for number in range(3))


def test_an_interruption_as_an_entry_begins_is_what_is_raised(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile, "_ZipWriteFile", interrupt)
    with pytest.raises(KeyboardInterrupt):
        zip_bytes([("a", b"a" * 999)])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "JPEG2000", "zip"])
def test_what_is_compressed_already_goes_into_a_zip_as_it_is_whatever_its_name(kind):
    data = zip_bytes([("a", b"b")]) if kind == "zip" else photo_bytes(0, form=kind)
    entries = [("images/0", data), ("text", b"a" * 999), ("scan", photo_bytes(0, form="BMP"))]
    with zipfile.ZipFile(io.BytesIO(zip_bytes(entries))) as archive:
        assert [info.compress_type for info in archive.infolist()] == [zipfile.ZIP_STORED] + 2 * [zipfile.ZIP_DEFLATED]


def test_zip_round_trip_and_damage():
    entries = {"a.png": b"\x89PNG", "sub/ü.json": b"{}" * 1000}
    data = zip_bytes(entries.items())
    assert read_zip(data, "x.zip") == entries
    assert zip_bytes(entries.items()) == data
    for broken in (b"", data[:-10], b"no zip", data.replace(b"\x89PNG", b"\x88PNG")):
        with pytest.raises(InputError, match=r"x\.zip is not a complete zip"):
            read_zip(broken, "x.zip")
    with pytest.raises(InputError, match="unpacks to more"):
        read_zip(data, "x.zip", limit=100)


def test_a_zip_with_a_password_says_so():
    data = bytearray(zip_bytes([("a.txt", b"hello")]))
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the directory
    with pytest.raises(InputError, match=r"x\.zip is locked with a password; unpack it"):
        read_zip(bytes(data), "x.zip")


def test_a_zip_of_more_files_than_can_be_listed_says_so(monkeypatch):
    data = zip_bytes((f"{number}.txt", b"") for number in range(20))
    assert len(read_zip(data, "a.zip")) == 20
    monkeypatch.setattr("guided_demo.zips.MOST_FILES", 19)
    with pytest.raises(InputError, match=r"a\.zip has more than 19 files"):
        read_zip(data, "a.zip")


def test_a_zip_that_is_compressed_in_another_way_says_so():
    data = bytearray(zip_bytes([("a.txt", b"hello")]))
    for directory, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.index(directory) + method] = 9  # Deflate64, as Windows uses for what is large
    with pytest.raises(InputError, match=r"x\.zip is compressed in a way that cannot be read here; unpack it"):
        read_zip(bytes(data), "x.zip")


@pytest.mark.parametrize("value", [0x00, 0x0E, 0xFF])
def test_a_zip_with_any_byte_changed_is_read_or_refused(value):
    data = zip_bytes({"a.txt": b"hello world " * 50, "b.bin": np.random.default_rng(0).bytes(99)}.items())
    refused = 0
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] = value
        try:
            read_zip(bytes(changed), "x.zip")
        except InputError:
            refused += 1
    assert refused > len(data) / 4
