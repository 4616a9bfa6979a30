"""Zips: equal entries give equal bytes, and one that is damaged, locked or too large gets a sentence."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from guided_demo.errors import InputError
from guided_demo.files import UNPACK

MAX_UNPACKED = 2_000_000_000  # bytes
MOST_FILES = 100_000  # in a zip; to list one takes 500 bytes of memory, and 50 of the zip
# How files begin that are compressed already: JPEG, PNG, GIF, WebP, AVIF, JPEG 2000, and zips.
_COMPRESSED = re.compile(rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF....WEBP|....ftyp|....jP  |\xff\x4f\xff\x51|PK\x03\x04", re.DOTALL)


def zip_bytes(entries: Iterable[tuple[str, bytes]]) -> bytes:
    """The zip that `write_zip` writes."""
    buffer = io.BytesIO()
    write_zip(buffer, entries)
    return buffer.getvalue()


def write_zip(file: BinaryIO, entries: Iterable[tuple[str, bytes]]) -> None:
    """A zip of (name, bytes), each written as it comes; equal entries give equal bytes. Names are used as they are: make them
    safe first."""
    for _ in writing_zip(file, entries):
        pass


def writing_zip(file: BinaryIO, entries: Iterable[tuple[str, bytes]]) -> Iterator[str]:
    """`write_zip`, step by step: yields the name of every entry when that is written."""
    archive = zipfile.ZipFile(file, "w")
    try:
        for name, data in entries:
            info = zipfile.ZipInfo(name)  # dated 1980, so that the archive depends on its content only
            info.compress_type = zipfile.ZIP_STORED if _COMPRESSED.match(data) else zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
            del data  # or it would be held while the next is made
            yield name
    except BaseException:
        archive.fp = None  # nothing more is written: to close it within an entry would raise another error over this one
        raise
    archive.close()


def read_zip(data: bytes, name: str, limit: int = MAX_UNPACKED) -> dict[str, bytes]:
    """The files of a zip by name, of those with one name the last. Raises InputError as `unzip` does."""
    return dict(unzip(data, name, limit))


def unzip(data: bytes, name: str, limit: int = MAX_UNPACKED) -> list[tuple[str, bytes]]:
    """All files of a zip as (name, bytes); several may have one name. name: what an error calls the zip.

    Raises InputError if it is damaged or locked, has more than MOST_FILES, or would unpack to more than `limit` bytes.
    """
    if data.count(b"PK\1\2") > MOST_FILES:  # as each is listed, before all are
        raise InputError(f"{name} has more than {MOST_FILES} files; split it into smaller ones.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [info for info in archive.infolist() if not info.is_dir()]
            if any(info.flag_bits & 1 for info in files):
                raise InputError(f"{name} is locked with a password; {UNPACK}.")
            if sum(info.file_size for info in files) > limit:
                room = f"{max(limit, 0) // 1_000_000} MB there is room for"
                raise InputError(f"{name} unpacks to more than the {room}; add it by itself, or split it into smaller ones.")
            return [(info.filename, archive.read(info)) for info in files]
    except InputError:
        raise
    except NotImplementedError as error:
        raise InputError(f"{name} is compressed in a way that cannot be read here; {UNPACK}.") from error
    except Exception as error:  # zipfile lets through whatever damage leads to, in the directory or in what is compressed
        raise InputError(f"{name} is not a complete zip file ({error}).") from error
