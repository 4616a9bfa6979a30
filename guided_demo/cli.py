"""The command line: `python -m guided_demo guide|segment|video|train|evaluate|bench`."""

import argparse
import contextlib
import importlib
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from guided_demo.annotation import Annotation
from guided_demo.core.model import GuidedSegmenter
from guided_demo.core.parallel import side_by_side
from guided_demo.errors import InputError
from guided_demo.events import AddAnnotation, LoadGuidance, RecolorClass
from guided_demo.export import FORMATS, Mask, file_names, write
from guided_demo.files import list_images, make_folder, read_bytes, replacing, write_atomic
from guided_demo.imports import read_mask
from guided_demo.options import (
    Failures,
    add_command,
    add_marks,
    annotations,
    images_of,
    marks,
    mask_classes,
    path_of,
    probability,
)
from guided_demo.pages import first_only
from guided_demo.project import read_guidance
from guided_demo.render import overlay
from guided_demo.video import read_frames, segment_frames, write_film
from guided_demo.workspace import Workspace
from guided_demo.zips import write_zip

ELSEWHERE = {
    "train": ("guided_demo.meta.command", "meta-train a network through episodes"),
    "evaluate": ("guided_demo.meta.evaluation", "measure networks and baselines under one protocol"),
    "bench": ("guided_demo.bench", "time encoding, guiding and segmenting on this machine"),
}

EXAMPLES = """examples:
  Two clicks on one photo, then masks for a folder:
    python -m guided_demo guide lion.jpg --point 310,220,lion --point 40,30,background -o lion.safetensors
    python -m guided_demo segment lion.safetensors photos/ -o masks/

  What you saved on the page, as a zip:
    python -m guided_demo segment guidance.safetensors photos/*.jpg -o masks.zip

  Two clicks on the first frame of a film, then a film with the lion tinted in every frame:
    python -m guided_demo video lion.mp4 --point 310,220,lion --point 40,30,background --overlay tinted.mp4

exit status: 0 fine; 1 some inputs failed, each named on stderr, the rest done; 2 wrong call, nothing done, or no room to write;
130 stopped."""

GUIDE_EXAMPLES = """examples:
  Clicks and strokes; x and y are pixels from the top left corner:
    guide lion.jpg --point 310,220,lion --stroke background 10,10 200,14 --radius 8 -o lion.safetensors

  One more photo, added to what there is:
    guide lion2.jpg --point 99,80,lion --add lion.safetensors -o lion.safetensors

  Many photos from JSON, {"lion.jpg": {"marks": [{"point": [310, 220], "label": "lion"},
  {"stroke": [[10, 10], [200, 14]], "label": "background", "radius": 8}]}}, paths relative to the JSON file:
    guide --annotations clicks.json -o lion.safetensors

  Masks, PNGs named as the photos, in which pixel value 0 is background, 1 is lion and 255 unmarked:
    guide photos/ --masks masks/ --classes background,lion -o lion.safetensors

  What others marked, as COCO, or as a folder of labelme's files, one a photo:
    guide photos/ --annotations instances.json -o lion.safetensors

  Two people's guidance merged:
    guide --add anna.safetensors --add ben.safetensors -o both.safetensors

  Guidance of another checkpoint, made anew from the photos it was made of:
    guide photos/ --add old.safetensors -o new.safetensors"""

SEGMENT_EXAMPLES = """examples:
    segment lion.safetensors photos/ -o masks/
    segment lion.safetensors a.jpg b.png -o masks.zip --scope object

With --scope object, a photo that was annotated in the guidance gets the regions its strokes are in, not all that looks
like them. An annotated pixel keeps its class either way.

A mask is an indexed PNG named as its photo, a.jpg.png where there is an a.tif, too; classes.txt beside it names the class of
every pixel value, from 0. OpenCV makes colours of these values, but not of those of --form tiff. With --unsure .8, a pixel whose
likeliest class has a probability below .8 gets no class: 255, or nothing in other formats. What is in the folder of -o is never
taken for photos of one above."""

VIDEO_EXAMPLES = """examples:
  What is marked is on the first frame; a mask of it counts as well:
    video clip.mp4 --point 310,220,lion --point 40,30,background -o masks/
    video frames/ --mask first.png --classes background,lion -o masks/ --overlay tinted.mp4

  What you saved on the page, frame by frame:
    video clip.mp4 --guidance lion.safetensors -o masks/

A film is also a folder of images, in the order of their names, a GIF, or a TIFF of pages; others need the package av. Masks
are indexed PNGs named as the images, or by the number of the frame; classes.txt names the class of each pixel value, from 0."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status. Raises SystemExit(2) for a call that argparse refuses."""
    given = sys.argv[1:] if argv is None else argv
    # A stroke may begin outside of its photo, and argparse takes -5,8 for an option, unless there is a blank in it.
    argv = [f" {word}" if re.fullmatch(r"-[\d.]+,-?[\d.]+", word) else word for word in given]
    if isinstance(sys.stdout, io.TextIOWrapper):  # not every terminal has all letters
        sys.stdout.reconfigure(errors="backslashreplace")
    failures = Failures()
    try:
        if argv and argv[0] in ELSEWHERE:
            return importlib.import_module(ELSEWHERE[argv[0]][0]).main(argv[1:])
        arguments = _parser().parse_args(argv)
        arguments.run(arguments, failures)
    except InputError as error:
        print(f"guided_demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("guided_demo: stopped; the files written so far are whole.", file=sys.stderr)
        return 130
    return 1 if failures else 0


def guide(arguments: argparse.Namespace, failures: Failures) -> None:
    """Images and their annotations to a guidance file."""
    if arguments.out.suffix.lower() != ".safetensors":  # so that no photo, project or list of marks is written over
        raise InputError(f"{arguments.out} is no name for guidance; let it end in .safetensors.")
    jobs = annotations(arguments, failures)
    workspace = Workspace(GuidedSegmenter.load(arguments.checkpoint, device=arguments.device))
    for path in arguments.add:
        _load(workspace, path, [image for image, _ in jobs])
    make_folder(arguments.out.parent)
    adding = workspace.adding((str(image), image) for image, _ in jobs)
    for (image, annotation), add in zip(jobs, adding, strict=True):
        with failures.of(image):
            added = annotation()
            key = add()
            workspace.apply(AddAnnotation(key, added))
            failures.note(first_only(image, str(image)))
            workspace.contribution(key)  # while it is encoded: of very many photos, not all are kept so
    guidance = workspace.guidance
    if not guidance.images:
        failures.add(arguments.out, "Nothing was written, as there is nothing to guide with.")
        return
    write_atomic(arguments.out, guidance.to_bytes())
    print(f"{arguments.out}: {_count(len(guidance.images), 'image')}, classes {', '.join(guidance.classes)}")


def segment(arguments: argparse.Namespace, failures: Failures) -> None:
    """Guidance and images to a folder or zip of masks."""
    _keep(arguments.guidance, arguments.out)
    workspace = Workspace(GuidedSegmenter.load(arguments.checkpoint, device=arguments.device))
    _load(workspace, arguments.guidance)
    classes = workspace.mask_classes
    images = list(images_of(arguments.images, failures, arguments.out))
    _prepare(arguments.out, images, arguments.form)
    done = 0

    def made(image: tuple[str, Path]) -> Mask:
        name, path = image
        return workspace.mask(name, workspace.add_image(name, path), arguments.scope, arguments.unsure)

    def masks() -> Iterator[Mask]:
        nonlocal done
        # As on the page, a photo is segmented by one thread: with more of them sums end in other bits.
        for (_, path), making in zip(images, side_by_side(made, images), strict=True):
            with failures.of(path):
                mask = making.result()
                failures.note(first_only(path, str(path)))
                done += 1
                yield mask

    _write(arguments.out, write(masks(), classes, arguments.form, (name for name, _ in images)))
    print(f"{arguments.out}: {_count(done, 'image')}, classes {', '.join(item.name for item in classes)}")


def video(arguments: argparse.Namespace, failures: Failures) -> None:
    """Guidance, or marks on the first frame, and a film to masks of every frame, a tinted film, or both."""
    if not (arguments.out or arguments.overlay):
        raise InputError("There is nothing to write; give -o, --overlay, or both.")
    if arguments.overlay and os.path.realpath(arguments.overlay) == os.path.realpath(arguments.film):
        raise InputError(f"{arguments.film} is the film itself; give --overlay another name.")
    workspace = Workspace(GuidedSegmenter.load(arguments.checkpoint, device=arguments.device))
    if arguments.guidance:
        _keep(arguments.guidance, arguments.out)
        _load(workspace, arguments.guidance)
    frames = read_frames(arguments.film, failures.add, arguments.out)
    first = next(frames)
    annotation = Annotation(marks=marks(arguments))
    if arguments.mask:
        named = mask_classes(arguments, arguments.mask)
        annotation = read_mask(read_bytes(arguments.mask), named, str(arguments.mask)) + annotation
    if not annotation.is_empty:
        key = workspace.add_image(first.name, first.image)
        workspace.apply(AddAnnotation(key, annotation))
    if not workspace.guidance.images:
        raise InputError("There is nothing to segment by; give --guidance, or mark the first frame.")
    classes = workspace.mask_classes
    done = 0

    def masks() -> Iterator[Mask]:
        nonlocal done
        for frame, labels in segment_frames(workspace.segmenter, workspace.guidance, chain([first], frames)):
            if add is not None:
                with failures.of(frame.name):
                    add(replace(frame, image=overlay(frame.image, labels, [item.color for item in classes])))
            done += 1
            yield Mask(frame.name, labels, frame.image.copy)

    with write_film(arguments.overlay) if arguments.overlay else contextlib.nullcontext() as add:
        if arguments.out:
            images = list(list_images([arguments.film], arguments.out))
            _prepare(arguments.out, images)
            _write(arguments.out, write(masks(), classes, names=(name for name, _ in images)))
        else:
            for _ in masks():
                pass
    print(f"{arguments.out or arguments.overlay}: {_count(done, 'frame')}, classes {', '.join(item.name for item in classes)}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _keep(guidance: Path, out: Path | None) -> None:
    if out and os.path.realpath(out) == os.path.realpath(guidance):
        raise InputError(f"{out} is what guides; give -o another name.")


def _is_zip(out: Path) -> bool:
    return out.suffix.lower() == ".zip"


def _prepare(out: Path, images: Sequence[tuple[str, Path]], form: str = "png") -> None:
    """Make a folder for the masks of images, or for their zip. Raises InputError if it cannot be, or a mask would take the place
    of an image."""
    if _is_zip(out):
        make_folder(out.parent)
        return
    kept = {os.path.realpath(path) for _, path in images}
    for path in (out / name for name in file_names((name for name, _ in images), form)):
        if os.path.realpath(path) in kept:
            raise InputError(f"{path} is one of the images, and a mask would take its place; write to another folder.")
    make_folder(out)


def _write(out: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write files to a folder, or as a zip."""
    if _is_zip(out):
        with replacing(out) as file:
            write_zip(file, files)
    else:
        for name, data in files:
            write_atomic(out / name, data)


def _load(workspace: Workspace, path: Path, images: Iterable[Path] = ()) -> None:
    """Guidance, or that of a project, whose classes keep their colours. images: where guidance of another checkpoint has those
    that it is made anew from."""
    guidance, colors = read_guidance(read_bytes(path), str(path))
    is_other = guidance.checkpoint_id not in (None, workspace.segmenter.checkpoint_id)
    if is_other:
        workspace.add_images((str(image), image) for image in images)
    try:
        workspace.apply(LoadGuidance(guidance))
    except InputError as error:
        how = f" This command does that: guide PHOTOS --add {path} -o NEW.safetensors" if is_other else ""
        raise InputError(f"{path}: {error}{how}") from error
    for name in colors.keys() & workspace.session.colors.keys():
        workspace.apply(RecolorClass(name, colors[name]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m guided_demo",
        description="Point at a few pixels, and a whole gallery is segmented.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    make = add_command(commands, "guide", guide, "annotated images to a guidance file", GUIDE_EXAMPLES)
    make.add_argument("images", nargs="*", type=path_of, metavar="IMAGE", help="images, or folders of them")
    make.add_argument("-o", "--out", required=True, type=path_of, metavar="FILE", help="the .safetensors file to write")
    add_marks(make)
    make.add_argument(
        "--annotations", type=path_of, metavar="JSON", help="points and strokes, see below, COCO or labelme; or a folder of them"
    )
    make.add_argument("--masks", type=path_of, metavar="PATH", help="a mask, or a folder of masks named as the images")
    make.add_argument(
        "--add", action="append", default=[], type=path_of, metavar="FILE", help="guidance to start from; repeatable"
    )

    use = add_command(commands, "segment", segment, "guidance and images to masks", SEGMENT_EXAMPLES)
    use.add_argument(
        "guidance", type=path_of, metavar="GUIDANCE", help="a .safetensors file of guide or of the page, or a project"
    )
    use.add_argument("images", nargs="+", type=path_of, metavar="IMAGE", help="images, or folders of them")
    use.add_argument("-o", "--out", required=True, type=path_of, metavar="PATH", help="a folder, or a file ending in .zip")
    use.add_argument("--scope", choices=["everywhere", "object"], default="everywhere", help="see below")
    use.add_argument(
        "--unsure", type=probability, default=0.0, metavar="P", help="leave pixels of a less likely class out: 0 (default) to 1"
    )
    use.add_argument("--form", choices=list(FORMATS), default="png", help="what to write (default png)")

    film = add_command(commands, "video", video, "a film to masks of its frames, or to a tinted film", VIDEO_EXAMPLES)
    film.add_argument("film", type=path_of, metavar="FILM", help="a video file, or a folder of frames")
    film.add_argument("-o", "--out", type=path_of, metavar="PATH", help="for masks: a folder, or a file ending in .zip")
    film.add_argument("--overlay", type=path_of, metavar="FILE", help="the .mp4, .mkv or .mov to write, with every class tinted")
    film.add_argument(
        "--guidance", type=path_of, metavar="FILE", help="a .safetensors file of guide or of the page, or a project"
    )
    add_marks(film)
    film.add_argument("--mask", type=path_of, metavar="FILE", help="a mask of the first frame")

    for name, (_, summary) in ELSEWHERE.items():
        commands.add_parser(name, help=summary, add_help=False)
    return parser
