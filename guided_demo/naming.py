"""Which photo of a gallery a file is about, as far as its name tells."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from .errors import InputError, legible
from .names import safe_name
from .session import ImageItem


class Naming:
    """The images of a gallery by their names, and by what these are in the files that are made of them."""

    def __init__(self, images: Iterable[ImageItem]) -> None:
        self._alike: dict[str, list[tuple[tuple[str, ...], ImageItem]]] = {}
        for item in images:
            safe = PurePosixPath(safe_name(item.name))
            files = item.name, str(safe), str(safe.parent / PurePosixPath(item.name).name)  # the last as labelme's JSON has it
            # Whole, too: s.tif.png is about s.tif, which may be beside an s.jpg.
            for path in {_upwards(file + ending) for file in files for ending in ("", ".png")}:
                self._alike.setdefault(path[0] if path else "", []).append((path, item))

    def find(self, name: str, is_mask: bool = False) -> ImageItem | None:
        """The image that a file called `name` is about: the one of the same name; or else the one that, but for the ending, has
        most of the path in common from the end, and of several such the one with its ending, or with no more path; None if no
        image is called so.

        is_mask: the file is a picture, too, and its ending says nothing: a.png may be the mask of a.jpg where there is an a.png.
        Raises InputError where several are as near.
        """
        path, ending = _upwards(name), None if is_mask else PurePosixPath(name).suffix
        alike = self._alike.get(path[0], []) if path else []
        near = [(common(other, path), PurePosixPath(item.name).suffix == ending, other == path) for other, item in alike]
        nearest = max(near, default=None)
        found = list({item.key: item for (_, item), nearness in zip(alike, near, strict=True) if nearness == nearest}.values())
        if len(found) > 1:
            said = f"{name} may be about {' or '.join(item.name for item in found[:2])}: several photos are called so"
            if _upwards(found[0].name) == _upwards(found[1].name):
                whole = PurePosixPath(found[0].name).name + PurePosixPath(name).suffix
                raise InputError(f"{said} but for the ending. Call it by the whole name of its photo, such as {whole}.")
            raise InputError(f"{said}. Put it into a folder that is called as that of its photo, and add the folder.")
        return found[0] if found else None


def distinct(name: str, taken: Iterable[str]) -> str:
    """The name, or where it is one of those `taken`, in whatever case, "name-2", "name-3" … with the ending of it; legible, and
    "image" where it names no file."""
    names = {other.casefold() for other in taken}
    candidate = legible(name) if PurePosixPath(name).name else "image"
    path, number = PurePosixPath(candidate), 2
    while candidate.casefold() in names:
        candidate, number = str(path.with_name(f"{path.stem}-{number}{path.suffix}")), number + 1
    return candidate


def common(one: tuple, other: tuple) -> int:
    """How many parts, from the first, are the same."""
    return ([a == b for a, b in zip(one, other, strict=False)] + [False]).index(False)


def _upwards(name: str) -> tuple[str, ...]:
    """The parts of a path from its end, without the ending of the file; letters are composed, as some systems take them apart."""
    path = PurePosixPath(unicodedata.normalize("NFC", name))
    return path.with_suffix("").parts[::-1] if path.name else ()
