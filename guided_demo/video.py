"""Films and folders of frames under guidance, a frame at a time: however long a film is, a few frames are in memory."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .core.guidance import Guidance
from .core.model import GuidedSegmenter
from .core.parallel import side_by_side
from .errors import InputError
from .files import list_images, read_image, writing
from .pages import PICTURES, has_pages

FRAMES_PER_SECOND = 25  # of a folder or of pages, which do not say
SUFFIXES = (".mp4", ".mkv", ".mov")  # of films that can be written
_TICKS = 90_000  # a second; video containers agree on it

Report = Callable[[str, str], None]  # called with a name, and a sentence on what is wrong with it


@dataclass(frozen=True)
class Frame:
    """One picture of a film. name: what its mask is called after; image: upright RGB; seconds: since the film began."""

    name: str
    image: Image.Image
    seconds: float


def read_frames(path: Path, report: Report, masks: Path | None = None) -> Iterator[Frame]:
    """The frames of a film, of a picture that moves or has pages, or of a folder of images in the order of their names, read as
    they are asked for.

    masks: a folder in that folder, without frames. A frame that cannot be read is reported, and left out. Raises InputError if it
    is no film, or nothing of it can be read.
    """
    empty = True
    read = _read_pages if _has_pages(path) else _read_film
    for frame in _read_folder(path, report, masks) if os.path.isdir(path) else read(path, report):
        empty = False
        yield frame
    if empty:
        raise InputError(f"{path} has no frames that can be read.")


def segment_frames(segmenter: GuidedSegmenter, guidance: Guidance, frames: Iterable[Frame]) -> Iterator[tuple[Frame, np.ndarray]]:
    """Each frame with its labels, HxW uint8, an index into `guidance.classes`.

    A frame that the guidance has annotation of keeps it. Raises InputError if the guidance is another checkpoint's.
    """
    annotations = guidance.annotations

    def labelled(frame: Frame) -> tuple[Frame, np.ndarray]:
        encoded = segmenter.encode(frame.image)
        return frame, segmenter.segment(encoded, guidance, annotation=annotations.get(encoded.key)).labels

    for made in side_by_side(labelled, frames):
        yield made.result()


@contextmanager
def write_film(path: Path) -> Iterator[Callable[[Frame], None]]:
    """A function that adds a frame to the film (H.264) at `path`, which is there when the context ends well.

    It raises InputError, and adds nothing, for a frame of another size than the first. Raises InputError if the name does
    not end as a film's. There is no film without a frame.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is no name for a film; let it end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.")
    av = _av()
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        # FFmpeg takes what is before a colon for a protocol, as in 12:30.mp4.
        with _film_errors(path), av.open(f"file:{temporary}", "w") as container:
            stream: Any = None
            size, last = (0, 0), -1

            def add(frame: Frame) -> None:
                nonlocal stream, size, last
                if stream is None:
                    size = frame.image.size
                    stream = _stream(container, size)
                if frame.image.size != size:
                    raise InputError(f"It is {_by(frame.image.size)} pixels, but the film is {_by(size)}.")
                picture = av.VideoFrame.from_image(frame.image.crop((0, 0, stream.width, stream.height)))
                # Time must go on, even where a film says otherwise.
                picture.pts = last = max(last + 1, round(frame.seconds * _TICKS))
                picture.time_base = Fraction(1, _TICKS)
                with _film_errors(path):
                    container.mux(stream.encode(picture))

            yield add
            if stream is not None:
                container.mux(stream.encode())
        if stream is not None:
            with writing(path):
                temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def _stream(container: Any, size: tuple[int, int]) -> Any:
    stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"crf": "20", "preset": "veryfast"})
    stream.width, stream.height = (side + side % 2 for side in size)  # the format has no odd sides
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, _TICKS)
    return stream


def _read_folder(path: Path, report: Report, masks: Path | None) -> Iterator[Frame]:
    for number, (name, file) in enumerate(list_images([path], masks)):
        try:
            yield Frame(name, read_image(file), number / FRAMES_PER_SECOND)
        except InputError as error:
            report(str(file), str(error))


def _has_pages(path: Path) -> bool:
    """Whether it is a picture that moves or has pages: of these FFmpeg has only the first where they have no times, or none."""
    if not os.path.isfile(path):  # what comes through a pipe can be read once only
        return False
    try:
        with Image.open(path, formats=PICTURES) as picture:
            return has_pages(picture)
    except Exception:  # a film, or what FFmpeg will say more about
        return False


def _read_pages(path: Path, report: Report) -> Iterator[Frame]:
    seconds = 0.0
    with Image.open(path, formats=PICTURES) as picture:
        for number in count():
            try:
                picture.seek(number)
                image = read_image(picture)
            except EOFError:
                return
            except Exception as error:  # what a decoder raises on damaged bytes differs by format
                report(str(path), _damaged(number, error))
                return
            yield Frame(f"{number:06d}", image, seconds)
            seconds += picture.info.get("duration", 0) / 1000 or 1 / FRAMES_PER_SECOND


def _read_film(path: Path, report: Report) -> Iterator[Frame]:
    if not os.path.exists(path):
        raise InputError(f"{path} does not exist, or is in a folder that may not be looked into.")
    av = _av()
    number = 0
    with _film_errors(path), av.open(f"file:{path}") as container:
        if not container.streams.video:
            raise InputError(f"{path} has no pictures, only sound.")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = float(stream.average_rate or FRAMES_PER_SECOND)
        for packet in container.demux(stream):
            try:
                pictures = packet.decode()
            except av.error.InvalidDataError as error:
                report(str(path), _damaged(number, error.strerror))
                continue
            for picture in pictures:
                image = picture.to_image().rotate(picture.rotation, expand=True)  # as the camera was held
                yield Frame(f"{number:06d}", image, number / rate if picture.time is None else picture.time)
                number += 1


def _damaged(number: int, error: object) -> str:
    return f"What comes after frame {number} is damaged ({error}); it is left out."


@contextmanager
def _film_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except _av().FFmpegError as error:
        raise InputError(f"{path} cannot be read or written as a film ({error.strerror}).") from error


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise InputError("Films need one package more: python -m pip install av") from error
    return av


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
