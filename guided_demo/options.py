"""What commands are told: images and what is marked on them, which checkpoint and device, numbers; and what fails."""

import argparse
import contextlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from guided_demo.annotation import BACKGROUND, Annotation, Mark, Point, Stroke, class_called
from guided_demo.core.model import check_device
from guided_demo.errors import InputError
from guided_demo.files import list_images, read_bytes
from guided_demo.imports import class_names, read_json, read_mask
from guided_demo.names import safe_name, safe_stem


class Failures:
    """The inputs that failed, each named on stderr as it does."""

    def __init__(self) -> None:
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, name: object, sentence: str) -> None:
        self._count += 1
        print(f"{name}: {sentence}", file=sys.stderr)

    def note(self, sentence: str) -> None:
        """Say something that is worth to know, and is no failure; nothing where it is empty."""
        if sentence:
            print(sentence, file=sys.stderr)

    @contextlib.contextmanager
    def of(self, name: object) -> Iterator[None]:
        """What is done inside concerns one input; where it cannot be used, that is said and the rest goes on."""
        try:
            yield
        except InputError as error:
            self.add(name, str(error))


def images_of(paths: Iterable[Path], failures: Failures, masks: Path | None = None) -> Iterator[tuple[str, Path]]:
    """`list_images`, each file once, however often it is named, and a failure for each folder without any."""
    listed: set[str] = set()
    for path in paths:
        empty = True
        for name, file in list_images([path], masks):
            empty = False
            place = os.path.join(os.path.realpath(file.parent), file.name)  # a link to another is a file of its own
            if place not in listed:
                listed.add(place)
                yield name, file
        if empty:
            failures.add(path, "There are no images in this folder.")


def add_command(commands: Any, name: str, run: Callable, summary: str, epilog: str) -> argparse.ArgumentParser:
    """A command that calls `run(arguments, failures)`, with the options that every command has."""
    command = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    command.add_argument(
        "--checkpoint", default="default", metavar="NAME", help="a checkpoint in weights/ by name, or a path (default: the best)"
    )
    command.add_argument("--device", type=device_of, default="cpu", help="cpu (default) or cuda")
    return command


def add_marks(command: argparse.ArgumentParser) -> None:
    """The options for points, strokes, and the classes of masks."""
    command.add_argument(
        "--point", action="append", default=[], type=_point, metavar="X,Y,CLASS", help="one annotated pixel; repeatable"
    )
    command.add_argument(
        "--stroke",
        action=_AddStroke,
        default=[],
        nargs="+",
        metavar=("CLASS", "X,Y"),
        help="a brush stroke from pixel to pixel; repeatable",
    )
    command.add_argument("--radius", type=float, default=6.0, metavar="PIXELS", help="half a stroke's width (default 6)")
    command.add_argument(
        "--classes", type=_classes, metavar="A,B,…", help="names of mask values 0, 1, …; else classes.txt beside the masks"
    )


def marks(arguments: argparse.Namespace) -> list[Mark]:
    """The points and strokes that were given, points last."""
    return [*(replace(stroke, radius=arguments.radius) for stroke in arguments.stroke), *arguments.point]


def annotations(arguments: argparse.Namespace, failures: Failures) -> list[tuple[Path, Callable[[], Annotation]]]:
    """Each image with a function that gives its annotation, or raises InputError: one that fails stops no other."""
    given = marks(arguments)
    listed = arguments.annotations
    table = _table(listed, failures) if listed else {}  # which names photos from where it lies
    images = list(images_of(arguments.images, failures, arguments.masks))
    if not arguments.images:
        images = [(name, (listed if os.path.isdir(listed) else listed.parent) / name) for name in table]
    if not (given or arguments.masks or table or arguments.add):
        raise InputError("Nothing is annotated; give --point, --stroke, --masks or --annotations.")
    if given and len(images) != 1:
        raise InputError("--point and --stroke are for one image; use --annotations for several.")
    if masks := arguments.masks:
        classes, in_folder = mask_classes(arguments, masks), os.path.isdir(masks)
    alike = Counter(name for name, _ in set(images))
    of_mask = Counter(png for name, _ in set(images) for png in _pngs(name))

    def annotation(name: str) -> Annotation:
        found = Annotation()
        if masks:
            pngs = _pngs(name)
            png = next((png for png in pngs if os.path.exists(masks / png)), pngs[-1])
            file = masks / png if in_folder else masks
            if in_folder and of_mask[png] > 1:
                raise InputError(f"Several photos would have the mask {file}; rename them, and their masks.")
            found = read_mask(read_bytes(file), classes, str(file))
        if table:
            if name not in table:
                raise InputError(f"{name} is not in {listed}.")
            if alike[name] > 1:
                raise InputError(f"Several photos are called {name}, as one in {listed} is; give a folder of them instead.")
            found = found + table[name]()
        return found + Annotation(marks=given)

    return [(path, partial(annotation, name)) for name, path in images]


def _table(listed: Path, failures: Failures) -> dict[str, Callable[[], Annotation]]:
    """Photos by name, of a JSON file or of all in and below a folder, each with what makes its annotation."""
    if not os.path.isdir(listed):
        return dict(read_json(read_bytes(listed), listed.name))
    table: dict[str, Callable[[], Annotation]] = {}
    for file in sorted(listed.rglob("*.json")):
        with failures.of(file):
            table.update(read_json(read_bytes(file), file.relative_to(listed).as_posix()))
    return table


def _pngs(name: str) -> list[Path]:
    """What a photo's mask may be called: as the photo, or as `segment` writes it, without signs that not every system has, and
    with the photo's ending where there is another that differs in that."""
    path = Path(name)
    path = path.with_suffix(".png") if path.name else path  # "" or "." of a JSON file is no photo, as will be said
    return list(dict.fromkeys([Path(f"{name}.png"), Path(f"{safe_name(name)}.png"), path, Path(f"{safe_stem(name)}.png")]))


def mask_classes(arguments: argparse.Namespace, masks: Path) -> list[str]:
    """The names of the pixel values of a mask or a folder of masks."""
    if not os.path.exists(masks):
        raise InputError(f"{masks} does not exist, or is in a folder that may not be looked into.")
    if arguments.classes:
        return arguments.classes
    listed = (masks if os.path.isdir(masks) else masks.parent) / "classes.txt"
    if not os.path.exists(listed):
        raise InputError(f"Nothing names the classes of {masks}; give --classes background,…, or put a classes.txt beside them.")
    names = class_names(read_bytes(listed), str(listed))
    if BACKGROUND not in names:  # it may lack its first line, and every value would have the name of another
        raise InputError(f"{listed} has no background; put that first, as the name of value 0, or give --classes.")
    return names


def probability(text: str) -> float:
    """For argparse: a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


def natural(text: str) -> int:
    """For argparse: a whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def positive(text: str) -> int:
    """For argparse: a whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def path_of(text: str) -> Path:
    """For argparse: a path. An empty text, as of a variable that nobody set, would be the folder that one is in."""
    if not text:
        raise argparse.ArgumentTypeError("a path is empty")
    return Path(text)


def device_of(text: str) -> str:
    """For argparse: a device that is there, see `check_device`."""
    try:
        return check_device(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _point(text: str) -> Point:
    """For argparse: "310,220,lion" to a point."""
    try:
        x, y, label = text.split(",", 2)
        return Point(float(x), float(y), class_called(label))
    except ValueError:
        raise argparse.ArgumentTypeError(f"a point is X,Y,CLASS, such as 310,220,lion, and not {text!r}") from None


class _AddStroke(argparse.Action):
    """--stroke CLASS X,Y X,Y …, as often as one likes."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        try:
            label, *corners = values
            path = tuple((float(x), float(y)) for x, y in (corner.split(",") for corner in corners))
            if not path:
                raise ValueError
            strokes = [*getattr(namespace, self.dest), Stroke(path, class_called(label))]
        except ValueError:
            parser.error(f"{option_string} is CLASS X,Y X,Y ..., not {' '.join(values)!r}")
        setattr(namespace, self.dest, strokes)


def _classes(text: str) -> list[str]:
    """For argparse: names with commas between them."""
    try:
        return [class_called(name) for name in text.split(",")]
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
