"""Labelled images, whatever they come from, behind one interface; and the plain folder anyone can make.

    dataset = open_dataset("plain:/data/leaves")        # see READERS for the others
    sample = dataset[0]                                  # read now, not before
    sample.image, sample.labels, dataset.classes[sample.labels.max()]

The public benchmarks are in `layouts`, a set that needs no files in `procedural`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from scipy.io.matlab import MatReadError

from guided_demo import imports
from guided_demo.errors import InputError
from guided_demo.files import SUFFIXES, read_bytes, read_image

IGNORE = 255  # in class maps
IGNORE_NUMBER = 65535  # in maps of instances, regions, or more than 254 classes

MASK_VALUES = "in masks 0 is background, 1 the first class, and 255, white, what nobody knows."  # where they show no class

Labels = tuple[np.ndarray, tuple[int, ...] | None]  # see Sample.labels and Sample.objects


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled image.

    Attributes:
        image: HxWx3 uint8, RGB.
        labels: HxW int32. In a class map the index into `Dataset.classes`; in a map of instances or regions their
            numbers. `Dataset.ignore` where nobody knows.
        id: unique within the dataset.
        clip: the video it is a frame of, if any.
        objects: in a map of instances, the class of each number (`objects[0]` is 0, the background); else None.
    """

    image: np.ndarray
    labels: np.ndarray
    id: str
    clip: str | None = None
    objects: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Entry:
    """How to read one sample when it is asked for; `present` are its classes, where known without reading, and `crowds` those of
    its crowds, which are ignored in its labels."""

    id: str
    image: Callable[[], np.ndarray]
    labels: Callable[[], Labels]
    clip: str | None = None
    present: frozenset[int] | None = None
    crowds: frozenset[int] = frozenset()


class Dataset(Sequence[Sample]):
    """Samples, read when asked for: `len(dataset)`, `dataset[i]`, iteration.

    Attributes:
        name: for tables and messages.
        classes: names by class number; empty where there are only regions.
        ignore: the label of pixels that nobody labelled.
    """

    def __init__(self, name: str, entries: Iterable[Entry], classes: Sequence[str], ignore: int = IGNORE) -> None:
        self.name, self.classes, self.ignore = name, tuple(classes), ignore
        self._entries = tuple(entries)
        self._shares: dict[int, dict[int, float]] = {}
        if not self._entries:
            raise InputError(f"{name} has no images.")

    @property
    def names(self) -> tuple[str, ...]:
        """The ids of the samples."""
        return tuple(entry.id for entry in self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        entry = self._entries[index]
        image, (labels, objects) = entry.image(), self._labels(entry)
        if image.shape[:2] != labels.shape:
            raise InputError(f"{self.name}: image and labels of {entry.id} differ in size.")
        return Sample(image, labels, entry.id, entry.clip, objects)

    @cached_property
    def by_class(self) -> dict[int, list[int]]:
        """Indices of the samples that show each class, background left out. The first use may read all labels."""
        found: dict[int, list[int]] = {}
        for index in range(len(self)):
            for number in sorted(self.present(index)):
                found.setdefault(number, []).append(index)
        return dict(sorted(found.items()))

    @cached_property
    def by_clip(self) -> dict[str, list[int]]:
        """Indices of the frames of each video, in order."""
        found: dict[str, list[int]] = {}
        for index, entry in enumerate(self._entries):
            if entry.clip is not None:
                found.setdefault(entry.clip, []).append(index)
        return found

    def present(self, index: int) -> set[int]:
        """The classes in one sample, background left out; none where there are only regions."""
        known = self._entries[index].present
        return set(self.shares(index)) if known is None else set(known)

    def seen(self, index: int) -> set[int]:
        """As `present`, and the classes of crowds: what whoever looks at the image sees, though no task can ask for it."""
        return self.present(index) | self._entries[index].crowds

    def shares(self, index: int) -> dict[int, float]:
        """The share of one sample's pixels that each class has, background left out; reads its labels once."""
        if index not in self._shares:
            labels, objects = self._labels(self._entries[index]) if self.classes else (np.zeros((1, 1), int), None)
            known = labels[(labels != self.ignore) & (labels > 0)]
            pixels = np.bincount(known if objects is None else np.array(objects)[known])
            self._shares[index] = {int(n): pixels[n] / labels.size for n in np.flatnonzero(pixels) if n > 0}
        return self._shares[index]

    def _labels(self, entry: Entry) -> Labels:
        labels, objects = entry.labels()
        count = len(self.classes) if objects is None else len(objects)
        largest = int(labels[labels != self.ignore].max(initial=0))
        if self.classes and largest >= count:
            what = "class" if objects is None else "object"
            raise InputError(f"{self.name}: {entry.id} shows {what} {largest}, but the last that is known is {count - 1}.")
        return labels, objects

    def subset(self, indices: Iterable[int], name: str | None = None) -> Dataset:
        """Some of the samples, in the order given."""
        return Dataset(name or self.name, [self._entries[i] for i in indices], self.classes, self.ignore)

    def keeping(self, classes: Iterable[int]) -> Dataset:
        """The same samples, in which only these classes are labelled; the others become background."""
        kept = frozenset(classes)
        entries = [
            replace(
                entry,
                labels=partial(_keep, entry.labels, kept | {self.ignore}),
                present=None if entry.present is None else entry.present & kept,
            )
            for entry in self._entries
        ]
        return Dataset(self.name, entries, self.classes, self.ignore)


def _keep(read: Callable[[], Labels], kept: frozenset[int]) -> Labels:
    labels, objects = read()
    if objects is None:
        return np.where(np.isin(labels, list(kept)), labels, 0).astype(np.int32), None
    gone = [number for number, kind in enumerate(objects) if kind not in kept]
    return np.where(np.isin(labels, gone), 0, labels).astype(np.int32), objects


# --- reading ---------------------------------------------------------------------------------------------------------


def read_rgb(path: Path) -> np.ndarray:
    """HxWx3 uint8, upright."""
    return np.asarray(read_image(path))


def read_numbers(path: Path) -> np.ndarray:
    """HxW int32: the numbers of a mask file, not its colours.

    Raises:
        InputError: if the file is missing, broken, or a colour picture.
    """
    return imports.read_numbers(read_bytes(path), str(path))[0].astype(np.int32)


def read_class_map(path: Path) -> Labels:
    """A mask file whose numbers are classes."""
    return read_numbers(path), None


def read_text(path: Path) -> str:
    """A text file, which is UTF-8.

    Raises:
        InputError: if it is missing or something else.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8; save it as that.") from error


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """What is done inside fails only where the file is broken or is not `what`.

    Raises:
        InputError: that says so.
    """
    try:
        yield
    except (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError, MatReadError, zlib.error) as error:
        raise InputError(f"{path} is not {what} ({type(error).__name__}: {error}).") from error


def expect(path: Path, what: str) -> Path:
    """`path`, if it is there.

    Raises:
        InputError: naming what was expected where.
    """
    if not path.exists():
        raise InputError(f"{what} was expected at {path}, which does not exist.")
    return path


# --- the plain folder ------------------------------------------------------------------------------------------------


def plain(root: str | Path) -> Dataset:
    """`images/*.jpg|png|...`, `masks/` with an indexed PNG of the same name for each, and `classes.txt`.

    Line i of `classes.txt` (from 0) names mask value i; 0 is background, 255 is ignored. Without that file a class is
    named by its number. Hidden files are passed over.

    Raises:
        InputError: if a folder or a mask is missing, two images would have the same mask, or two values the same name or none.
    """
    root = Path(root)
    images = expect(root / "images", "A folder of images")
    masks = expect(root / "masks", "A folder of masks, one PNG an image,")
    files: dict[str, tuple[Path, Path]] = {}
    for path in sorted(images.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            if path.stem in files:
                raise InputError(f"{files[path.stem][0]} and {path.name} would have the same mask; rename one and its mask.")
            files[path.stem] = path, expect(masks / f"{path.stem}.png", f"The mask of {path.name}")
    entries = [Entry(stem, partial(read_rgb, image), partial(read_class_map, mask)) for stem, (image, mask) in files.items()]
    listing = root / "classes.txt"
    classes = [line.strip() for line in read_text(listing).rstrip().splitlines()] if listing.exists() else []
    for value, name in enumerate(classes):
        if not name or name in classes[:value]:
            said = f"calls mask value {value} {name!r}, as it does another" if name else f"has no name for mask value {value}"
            raise InputError(f"{listing} {said}; line {value + 1} wants a name of its own.")
    if not classes:
        values = {int(v) for _, mask in files.values() for v in np.unique(read_numbers(mask))} - {IGNORE}
        classes = ["background", *(str(i) for i in range(1, max(values, default=0) + 1))]
    return Dataset(root.name, entries, classes)


# --- by name ---------------------------------------------------------------------------------------------------------


def open_dataset(spec: str) -> Dataset:
    """A dataset from `reader[/option...]:path`, as the command line takes it.

    Examples: "plain:/data/leaves", "voc/val:/data/VOC", "voc/train/instance:/data/VOC", "pascal5i/0/test:/data/VOC",
    "coco/val2017:/data/coco", "davis/2017/val:/data/DAVIS", "fss1000:/data/fss", "bsds/val:/data/bsds500",
    "procedural/7:200" (seed 7, 200 images).

    Raises:
        InputError: if there is no such reader, or what it expects is not at the path.
    """
    from .layouts import READERS

    head, separator, path = spec.partition(":")
    name, *options = head.split("/")
    if not separator or name not in READERS:
        raise InputError(f"{spec!r} is not a dataset: write reader:path, the reader being one of {', '.join(READERS)}.")
    try:
        return READERS[name](path, *options)
    except InputError:
        raise
    except OSError as error:  # a folder that may not be looked into, or a file in the place of one
        raise InputError(f"{error.filename or path} cannot be read: {error.strerror}.") from error
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"{spec!r} is not a dataset: {name} does not take the options {options} ({error}).") from error
