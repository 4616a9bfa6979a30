"""Guidance: the latent representation of a task, as an immutable ledger of what each annotated image contributed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from ..annotation import BACKGROUND, Annotation
from ..dense import together
from ..errors import InputError
from ..files import read_bytes, write_atomic
from ..marks import check_name
from . import guidance_file
from .contribution import Contribution


class Itself:
    """Stands for one object, and lives as long as that."""


@dataclass(frozen=True, eq=False)
class Guidance:
    """What each annotation of each image contributed. Make it with GuidedSegmenter.guide, and add.

    `+` is order-free, and the same annotation of the same image counts once, however often it is added; it raises InputError
    for guidance of different checkpoints. `without(key)` takes an image out again exactly. Guidance is equal (`==`) to what holds
    the same, as a copy, a file of it, or the same sum in another order does.
    checkpoint_id: of the network that made it, None where it is empty; ledger: its contributions, see `Contribution.entry`.
    """

    checkpoint_id: str | None = None
    ledger: Mapping[str, Contribution] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ledger", MappingProxyType(dict(sorted(self.ledger.items()))))

    def __repr__(self) -> str:
        return f"Guidance({', '.join(self.classes)}; {len(self.images)} image{'s' * (len(self.images) != 1)})"

    def __reduce__(self):
        return Guidance.from_bytes, (self.to_bytes(),)  # to other processes it goes as a file does

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Guidance):
            return NotImplemented
        if self.ledger.keys() != other.ledger.keys() or (self.ledger and self.checkpoint_id != other.checkpoint_id):
            return False
        # An old file may have other samples of the same marks. Sums share theirs, so that mostly none are looked at.
        return all(c is other.ledger[entry] for entry, c in self.ledger.items()) or self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(tuple(self.ledger))

    @cached_property
    def itself(self) -> Itself:
        """What is kept for this object is kept under this: with many photos it takes long to find out that two are equal."""
        return Itself()

    @classmethod
    def empty(cls) -> Guidance:
        """Guidance by nothing: under it, all is background."""
        return cls()

    @property
    def classes(self) -> tuple[str, ...]:
        """`background`, then every guided class in alphabetical order, so that they do not depend on the order of adding."""
        names = {name for c in self.ledger.values() for name in c.samples} - {BACKGROUND}
        return (BACKGROUND, *sorted(names))

    @property
    def images(self) -> tuple[str, ...]:
        """Keys of the annotated images."""
        return tuple(dict.fromkeys(c.key for c in self.ledger.values()))

    @cached_property  # every photo of a gallery asks for its own
    def annotations(self) -> Mapping[str, Annotation]:
        """By image key: all that was marked on it, in however many annotations, see `_all_of`."""
        of_image: dict[str, list[tuple[Annotation, tuple[int, int]]]] = {}
        for c in self.ledger.values():
            of_image.setdefault(c.key, []).append((c.annotation, c.size))
        return MappingProxyType({key: _all_of(*each) if len(each) > 1 else each[0][0] for key, each in of_image.items()})

    @cached_property  # every photo of a gallery asks for it
    def uncorrected(self) -> Guidance:
        """Without the images in which only background is marked: these say where others' guidance is wrong. The same object where
        there are none."""
        showing = {c.key for c in self.ledger.values() if c.samples.keys() - {BACKGROUND}}
        return self.without(*(key for key in self.images if key not in showing))

    def __add__(self, other: Guidance) -> Guidance:
        if not isinstance(other, Guidance):
            return NotImplemented
        return merge([self, other])

    def __radd__(self, other: int) -> Guidance:
        return self if other == 0 else NotImplemented  # with which `sum` begins

    def without(self, *keys: str) -> Guidance:
        """This guidance with nothing of the images of these keys (`EncodedImage.key`); the same object where it holds none."""
        _check_keys(*keys)
        gone = set(keys)
        kept = {entry: c for entry, c in self.ledger.items() if c.key not in gone}
        return replace(self, ledger=kept) if len(kept) < len(self.ledger) else self

    def only(self, key: str) -> Guidance:
        """What the image `key` alone contributed; nothing where there is none of this key."""
        _check_keys(key)
        return replace(self, ledger={entry: c for entry, c in self.ledger.items() if c.key == key})

    def rename(self, old: str, new: str) -> Guidance:
        """Class `old` under the name `new`, which must not be taken in an image that has both. Raises InputError where it
        is, or is no name for a class."""
        new = check_name(new)
        if any(old in c.samples and new in c.samples for c in self.ledger.values()):
            raise InputError(f"There already is a class {new}; choose another name.")

        def renamed(c: Contribution) -> Contribution:
            annotation = c.annotation.rename(old, new)
            samples, found = ({new if name == old else name: s for name, s in part.items()} for part in (c.samples, c.found))
            # In the order that guiding would give them, so that sums come out the same to the bit.
            ordered = sorted(samples, key=annotation.classes.index)
            return replace(c, samples={name: samples[name] for name in ordered}, annotation=annotation, found=found)

        return self._map(renamed)

    def drop_class(self, name: str) -> Guidance:
        """Without a class; an image that showed nothing else leaves the ledger. Guidance that has none of the name stays equal.

        Raises InputError for what is no name of a class.
        """
        name = check_name(name)

        def dropped(c: Contribution) -> Contribution:
            samples, found = ({n: s for n, s in part.items() if n != name} for part in (c.samples, c.found))
            # As in guiding: where no background is known, it is not known what is surely of a class.
            found = {} if name == BACKGROUND else found
            return replace(c, samples=samples, annotation=c.annotation.drop(name), found=found)

        return self._map(dropped)

    def _map(self, change) -> Guidance:
        changed = (change(c) for c in self.ledger.values())
        return replace(self, ledger={c.entry: c for c in changed if c.samples})

    def to_bytes(self) -> bytes:
        """The bytes of a guidance file, see `guidance_file`.

        Raises InputError where points and strokes alone are more than it has room for.
        """
        return guidance_file.write(self.checkpoint_id, self.ledger.values())

    @classmethod
    def from_bytes(cls, data: bytes) -> Guidance:
        """Inverse of to_bytes. Raises InputError for anything that is not a whole guidance file."""
        checkpoint_id, contributions = guidance_file.read(data)
        return cls(checkpoint_id, {c.entry: c for c in contributions})

    def save(self, path: str | Path) -> None:
        """Write it to a file, as `to_bytes` has it; folders that are not there are made.

        Raises InputError if the file cannot be written; one that was there is then as it was.
        """
        write_atomic(_path(path), self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> Guidance:
        """Read it from a file that `save`, the page or the command line wrote. Raises InputError if that cannot be read, or is no
        guidance."""
        return cls.from_bytes(read_bytes(_path(path)))


@lru_cache(maxsize=1024)  # a stroke makes other guidance, but leaves the annotations of other images
def _all_of(*sized: tuple[Annotation, tuple[int, int]]) -> Annotation:
    """What all annotations of one image mark, each with its size (W, H); the same in whatever order they were added.

    Where masks differ, a class lies over the background: who marks one class takes what others mark for that. Marks lie over all
    masks, and where they differ, those of an annotation with fewer marks, as corrections are, over those of one with more. An
    eraser is for what its own annotation marks, and not for what others do, so one with an eraser is taken as the mask it makes.
    """
    told = [Annotation.from_mask(a.label_map(size, a.classes), a.classes) if _erases(a) else a for a, size in sized]
    marks = sorted((a.marks for a in told), key=lambda marks: (-len(marks), repr(marks)))
    masks = [a.mask for a in told if a.mask is not None]
    named = {name for mask in masks for name in mask.classes}
    return Annotation(mask=together(masks, sorted(named, key=lambda name: (name != BACKGROUND, name))), marks=chain(*marks))


def _erases(annotation: Annotation) -> bool:
    return any(mark.label is None for mark in annotation.marks)


def merge(parts: Iterable[Guidance]) -> Guidance:
    """The sum of guidances, in whatever order, in a time that grows as their number does; empty where there are none. Raises
    InputError if they are of different checkpoints."""
    given = [part for part in parts if part.ledger]
    ids = {part.checkpoint_id for part in given}
    if len(ids) > 1:
        raise InputError(
            "Guidances of different checkpoints cannot be added; make those of one checkpoint again from their annotations "
            "with the other."
        )
    ledger: dict[str, Contribution] = {}
    for part in given:
        for entry, c in part.ledger.items():
            known = ledger.setdefault(entry, c)
            # An older version, or dropping a class, may have left other samples of the same marks: the last is not the best.
            ledger[entry] = c if known is c else max(known, c, key=_told)
    return Guidance(next(iter(ids), None), ledger)


def _told(contribution: Contribution) -> tuple[int, bytes]:
    """An order of contributions, the one that tells the most last."""
    data = guidance_file.write(None, [contribution])
    return len(data), data


def _check_keys(*keys: str) -> None:
    if not all(isinstance(key, str) for key in keys):
        raise InputError("An image is called by its key, which is segmenter.encode(image).key.")


def _path(path: str | Path) -> str | Path:
    """The same. Raises InputError if it is none."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"A guidance file is called by its path, such as 'cats.safetensors', and not {path!r:.80}.")
    return path
