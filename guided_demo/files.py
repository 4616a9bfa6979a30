"""Images of every kind as upright RGB, content digests, files that are whole or absent."""

import errno
import hashlib
import io
import os
import uuid
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from guided_demo.depth import to_8_bit
from guided_demo.errors import InputError, legible

ImageSource = str | os.PathLike | bytes | BinaryIO | Image.Image | np.ndarray

MAX_PIXELS = 120_000_000
MAX_TEXT = 50_000_000  # bytes of JSON, which become fifty times as many in memory where that is what they are for
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".avif", ".jp2")
)
Image.init()
# Formats whose decoder runs another program (EPS, WMF), or takes any bytes for an image (TGA), are left out on purpose.
FORMATS = tuple({"JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000", "ICO"} & Image.OPEN.keys())
_ARCHIVES = {".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".tbz", ".xz", ".txz", ".zst"}
_FILMS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".3gp"}
UNPACK = "unpack it, and add the files that are in it"


class NotAnImage(InputError):
    """A file is of another kind."""


def read_image(source: ImageSource, name: str | None = None) -> Image.Image:
    """Read any still image as upright RGB.

    source: a path, the bytes of a file, an open binary file, a PIL image, or an array: HxW, HxWx1, HxWx3 (RGB) or
        HxWx4 (RGBA) of uint8, bool, uint16 or float in [0, 1].
    name: what an error calls the image; by default the path, or "the image".

    Returns a PIL image of mode "RGB" and the size it has when held upright as its EXIF orientation says. Transparency
    is laid over white, of an animation or a stack the first page is taken. More than 8 bits become 8 as `depth.to_8_bit` has
    it, which stretches what they use. Of colour files of 16 bits Pillow reads the upper 8 only: if they use 12, as of many
    cameras, 4 are left; save such as grey, or as 8 bits.
    Raises InputError, with a sentence that names the image, if it cannot be read or has over 120 megapixels.
    """
    if name is None:
        name = os.fspath(source) if isinstance(source, str | os.PathLike) else "the image"
    try:
        return _to_rgb(_open(source, name), name)
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(_too_large(name)) from None
    except Exception as error:  # what a decoder raises on damaged bytes is its own affair, and differs by format
        if "raw mode" in str(error):  # Pillow's, of a TIFF
            raise InputError(_no_layout(name)) from error
        raise InputError(f"{name} is cut short or damaged ({error}); save it again as PNG or JPEG.") from error


def image_key(image: Image.Image | np.ndarray) -> str:
    """The digest that stands for an RGB image, or its pixels (H, W, 3) uint8: 32 hexadecimal digits of SHA-256 over its size and
    RGB bytes."""
    pixels = np.ascontiguousarray(image)
    digest = hashlib.sha256(f"{pixels.shape[1]}x{pixels.shape[0]}:".encode())
    digest.update(pixels.data)
    return digest.hexdigest()[:32]


def list_images(paths: Iterable[str | os.PathLike], masks: Path | None = None) -> Iterator[tuple[str, Path]]:
    """Yield (name, path) of every image: a file as itself, a folder as the image files in and below it, sorted.

    A name is a file's path relative to the folder it was found in, with ? for bytes that are no UTF-8. Links to folders are
    followed. Files of a folder that do not look like images, hidden ones, and what is in `masks`, a folder below it, are passed
    over; a file named outright is always yielded, so that a wrong one is noticed, and so is a link that leads nowhere, and a
    folder that may not be looked into.
    """
    for path in map(Path, paths):
        if not os.path.isdir(path) or _is_locked(path):
            yield legible(path.name), path
            continue
        apart = _real(masks) if masks and _real(path) in _real(masks).parents else None
        for found in sorted(_below(path)):
            is_image = found.suffix.lower() in SUFFIXES and (os.path.isfile(found) or not os.path.exists(found))
            if (is_image or _is_locked(found)) and not (apart and apart in _real(found).parents):
                yield legible(found.relative_to(path).as_posix()), found


def _below(path: Path) -> Iterator[Path]:
    """All that is in a folder and below it but what is hidden: each folder once, under its own name where it has one here, and
    else under that of a link to it; links may lead round in a ring."""
    starts, seen = [path], set()
    for start in starts:  # which grow by the links that are found
        for folder, folders, files in os.walk(start):
            if (real := os.path.realpath(folder)) in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = [name for name in folders if not name.startswith(".")]
            inside = [Path(folder, name) for name in (*folders, *files) if not name.startswith(".")]
            starts += [found for found in inside[: len(folders)] if os.path.islink(found)]
            yield from inside


# Of os.path, as the methods of a Path raise errors where a folder above is locked, a name too long or a link leads to itself.
def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _is_locked(path: Path) -> bool:
    return os.path.isdir(path) and not os.access(path, os.R_OK | os.X_OK)


def read_bytes(path: str | os.PathLike, name: str | None = None) -> bytes:
    """All bytes of a file. Raises InputError if it cannot be read. name: what an error calls it; by default the path."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{name or os.fspath(path)} cannot be read: {error.strerror}.") from error


def write_atomic(path: str | os.PathLike, data: bytes) -> None:
    """Write a file as `replacing` does. Raises InputError if it cannot be written."""
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A file to write to, which becomes the one at `path` when the context ends well: at every moment, a crash included, that
    holds either its old bytes or all the new ones.

    Raises InputError if it cannot be written.
    """
    path = Path(path)
    temporary = path.parent / f".{uuid.uuid4().hex}.part"  # short, whatever the name: systems allow 255 bytes
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """A folder to write to, with those above it. Raises InputError if it cannot be made or written to."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What is done inside writes to `path`. Raises InputError if that fails, as on a full disk."""
    try:
        yield
    except BrokenPipeError:  # of what is printed meanwhile, to somebody who has gone
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error


def _open(source: ImageSource, name: str) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source, name)
    if isinstance(source, bytes):
        if not source:
            raise InputError(f"{name} is empty (0 bytes).")
        source = io.BytesIO(source)
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError, ValueError):  # the last, of a name that no file can have
            raise InputError(f"{name} does not exist.") from None
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror}.") from error
        if path.is_dir():
            raise InputError(f"{name} is a folder{' that may not be looked into' if _is_locked(path) else ', not an image'}.")
        return _open(read_bytes(path, name), name)
    elif not hasattr(source, "read"):
        raise InputError(f"{name} is a {type(source).__name__}; give a path, bytes, a PIL image or an array.")
    try:
        # Pillow warns from 89 megapixels on; the limit that counts here is checked before decoding.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(source, formats=FORMATS)
    except UnidentifiedImageError:
        suffix = Path(name).suffix.lower()
        if suffix in _ARCHIVES:
            raise InputError(f"{name} is an archive that cannot be opened here; {UNPACK}.") from None
        if suffix in _FILMS:
            said = f"{name} is a film, and photos are read here; with saved guidance,"
            raise InputError(f"{said} python -m guided_demo video segments its frames.") from None
        if _is_tiff(source):
            raise InputError(_no_layout(name)) from None
        raise NotAnImage(f"{name} is not an image that can be read here; use JPEG, PNG, WebP or TIFF.") from None
    return image


def _from_array(array: np.ndarray, name: str) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or 0 in array.shape:
        raise InputError(f"{name} has shape {array.shape}; give HxW, HxWx3 or HxWx4.")
    # What resampling leaves below black is little; far below lie values that were normalized, or are no brightness.
    if array.dtype.kind in "if" and array.min() < -0.25 * max(1, array.max()):
        raise InputError(f"{name} has values from {array.min():g} to {array.max():g}; give uint8, or float from 0 to 1.")
    return Image.fromarray(array if array.dtype == np.uint8 else to_8_bit(array, name))


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.width * image.height == 0:
        raise InputError(f"{name} has no pixels.")
    if image.width * image.height > MAX_PIXELS:
        raise InputError(_too_large(name, image.size))
    # Of colour with 16 bits, it is only before decoding that one can tell.
    is_deep = image.mode in ("I", "F") or image.mode.startswith("I;16") or (image.mode == "RGB" and _has_16_bits(image))
    image = ImageOps.exif_transpose(image)  # decodes the file too
    if is_deep:
        return Image.fromarray(to_8_bit(np.asarray(image), name)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    result = image.convert("RGB")
    result.info = {}  # nothing of the file's metadata goes further
    return result


def _has_16_bits(image: Image.Image) -> bool:
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _is_tiff(source: Any) -> bool:
    try:
        source.seek(0)
        return source.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    except (AttributeError, OSError, ValueError):  # what cannot be read twice
        return False


def _no_layout(name: str) -> str:
    said = f"{name} is a TIFF that cannot be read here, as it is damaged or of a layout such as two channels or 64-bit floats"
    return f"{said}; save it as grey or RGB, of 8 or 16 bits."


def _too_large(name: str, size: tuple[int, int] | None = None) -> str:
    measured = f"has {size[0]}x{size[1]} pixels" if size else "has too many pixels"
    return f"{name} {measured}; at most {MAX_PIXELS // 1_000_000} megapixels can be read, so make it smaller first."
