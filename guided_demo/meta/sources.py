"""The data sets of a training run: which source of the mixture each is, and which of their images are held out."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from hashlib import blake2b

from ..errors import InputError
from .datasets import MASK_VALUES, Dataset, open_dataset
from .layouts import COCO_NAME_OF
from .pool import Record, load_records, records_of

Source = tuple[str, Dataset | str]  # its name, and a set or the path of a .zip of records


def open_sets(specs: Sequence[str]) -> list[Source]:
    """Each `[NAME=]DATA` with the name that the mixture has for it.

    Raises:
        InputError: if a set cannot be opened, or has other classes than another of its name: a name has one list of numbers.
    """
    sets: list[Source] = []
    first: dict[str, Dataset] = {}  # by name
    for spec in specs:
        name, separator, rest = spec.partition("=")
        named = separator and ":" not in name  # else the = belongs to the path
        source, location = (name, rest) if named else (spec.split(":")[0].split("/")[0], spec)
        data = location if location.endswith(".zip") else open_dataset(location)
        if isinstance(data, Dataset):
            other = first.setdefault(source, data)
            if other.classes != data.classes:
                raise InputError(
                    f"{other.name} and {data.name} differ in their classes, but both are called {source}, so that those of one "
                    f"would be taken for those of the other; give this one a name of its own, as in NAME={location}."
                )
        sets.append((source, data))
    return sets


def held_out(names: Sequence[str], sets: Sequence[Source]) -> set[str]:
    """The classes to hold out, if the sets allow that; names that may be others for them are told.

    Raises:
        InputError: if a name is of no class of any set, or if a set is a .zip, which does not know names.
    """
    known: dict[str, str] = {}  # each class, and a set that has it
    for _, data in sets if names else ():
        if isinstance(data, str):
            raise InputError(f"{data} has no names of classes, so --hold-out cannot leave any of them out.")
        known |= dict.fromkeys(data.classes[1:], data.name)
    for name in names:
        alike = _alike(name, known)
        if name not in known:
            near = f"do you mean {' or '.join(map(repr, alike))}?" if alike else "check how it is spelt."
            raise InputError(f"No data set has a class {name!r} to hold out; {near}")
        for other in alike:
            if other not in names:
                print(f"guided_demo: {known[other]} has {other!r}, which is not held out; if it is what others call {name!r}, "
                      "name it after --hold-out, too.", file=sys.stderr)  # fmt: skip
    return set(names)


def _alike(name: str, known: Collection[str]) -> list[str]:
    """Classes that may be the same as `name` under another: spelt nearly so, or what VOC and COCO call it."""
    pairs = {**COCO_NAME_OF, **{theirs: ours for ours, theirs in COCO_NAME_OF.items()}}
    plain = {other.lower(): other for other in known if other != name}
    found = [plain[near] for near in get_close_matches(name.lower(), plain, cutoff=0.8)]
    return [other for other in dict.fromkeys([pairs.get(name, name), *found]) if other in known and other != name]


def records(sets: Sequence[Source], held: set[str], keep: bool = False) -> Iterator[Record]:
    """Records of all sets; images with held-out classes are left out, or with `keep` are the only ones (where any are named).

    A photo that several sets of a name have, as VOC's lists do, is taken once: else it could be support and query of a task.

    Raises:
        InputError: if a set has nothing but background, as where its masks are black and white; with `keep`, if it has none
            of the classes.
    """
    first: dict[tuple[str, bytes], int] = {}  # the set that had a photo first
    for number, (source, dataset) in enumerate(sets):
        if isinstance(dataset, str):
            yield from load_records(dataset)
            continue
        shows = not dataset.classes
        for found in records_of(_select(dataset, held, keep) if held else dataset, source):
            shows = shows or max(found.classes, default=0) > 0
            photo = source, blake2b(found.image.tobytes()).digest()
            # Where there are only regions, a photo is there once for everybody who drew some, and is only asked for alone.
            if first.setdefault(photo, number) == number or not dataset.classes:
                yield found
        if not shows:
            raise InputError(f"The images of {dataset.name} that are left show no class; {MASK_VALUES}")


def _select(dataset: Dataset, held: set[str], keep: bool) -> Dataset:
    numbers = {i for i, c in enumerate(dataset.classes) if c in held}
    names = " or ".join(sorted(dataset.classes[i] for i in numbers) or sorted(held))
    if not keep:
        if not numbers:
            return dataset
        left = [i for i in range(len(dataset)) if not dataset.seen(i) & numbers]
        if not left:
            raise InputError(f"No image of {dataset.name} is without {names}, which --hold-out leaves out: none is left.")
        return dataset.subset(left)
    showing = [i for i in range(len(dataset)) if dataset.present(i) & numbers]
    if not showing:
        raise InputError(f"{dataset.name} shows no {names}, which --validate measures as held out; leave it out of --validate.")
    return dataset.subset(showing).keeping(numbers)
