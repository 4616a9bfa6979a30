"""`python -m guided_demo bench`: what encoding, guiding and segmenting cost, as ratios measured in one run.

Times of one machine say little about another; ratios of times taken in turn, in one run, do.
"""

import argparse
import importlib.metadata
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image

from guided_demo.annotation import Annotation, Point, Stroke
from guided_demo.core.model import GuidedSegmenter
from guided_demo.errors import InputError
from guided_demo.events import AddClass, Annotate
from guided_demo.files import read_image
from guided_demo.options import device_of, positive
from guided_demo.workspace import Workspace

SIZE = (800, 600)
GALLERY = 24
THREADS = 2  # what is wanted is wanted of two cores

# A row is a name, seconds or ratios by round, what is wanted at most (or None), and the unit.
Row = tuple[str, Sequence[float], float | None, str]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0, or 2 if the call was wrong."""
    parser = argparse.ArgumentParser(prog="python -m guided_demo bench", description=__doc__.split("\n\n")[1])
    parser.add_argument("--checkpoint", default="default", metavar="NAME", help="a checkpoint in weights/ by name, or a path")
    parser.add_argument("--device", type=device_of, default="cpu", help="cpu (default) or cuda")
    parser.add_argument(
        "--rounds", type=positive, default=15, help="measurements of each, of which the median counts (default 15)"
    )
    arguments = parser.parse_args(argv)
    try:
        segmenter = GuidedSegmenter.load(arguments.checkpoint, device=arguments.device)
    except InputError as error:
        print(f"guided_demo: {error}", file=sys.stderr)
        return 2
    with _threads(THREADS):
        photos = sample_photos(GALLERY)
        backbone, encode, answer = measure_photo(segmenter, photos[0], arguments.rounds)
        stroke = measure_stroke(segmenter, photos, arguments.rounds)
    rows: list[Row] = [
        ("backbone alone", backbone, None, "ms"),
        ("encode", encode, None, "ms"),
        ("guide + segment, when encoded", answer, None, "ms"),
        ("(guide + segment) / encode", _ratios(answer, encode), 0.15, ""),
        ("encode / backbone", _ratios(encode, backbone), 1.5, ""),
        (f"a stroke, {GALLERY} masks updated", stroke, 0.5, "s"),
    ]
    print(
        f"Photos of {SIZE[0]}x{SIZE[1]}, checkpoint {segmenter.checkpoint_id}, {segmenter.device}, {THREADS} threads; "
        f"the median of {arguments.rounds} rounds, and the middle half of them\n"
    )
    print(f"{'':32}{'measured':>12}   {'middle half':<18}wanted")
    for row in rows:
        print(_line(*row))
    return 0


def sample_photos(count: int) -> list[Image.Image]:
    """`count` different 800x600 photos: gradio's own, and crops of them."""
    folder = importlib.metadata.distribution("gradio").locate_file("gradio/media_assets/images")
    found = [Path(str(folder), name) for name in ("cheetah.jpg", "cheetah1.jpg", "lion.jpg", "tower.jpg")]
    photos = []
    for number in range(count):
        image = read_image(found[number % len(found)])
        margin = 1 + number // len(found)
        box = (image.width * margin // 50, image.height * margin // 50, image.width, image.height)
        photos.append(image.crop(box).resize(SIZE, Image.Resampling.BICUBIC))
    return photos


def measure_photo(segmenter: GuidedSegmenter, photo: Image.Image, rounds: int) -> list[list[float]]:
    """Seconds by round for the bare backbone's forward pass, for encoding, and for guide and segment when encoded."""
    tensor = segmenter.preprocess(photo).to(segmenter.device).contiguous(memory_format=torch.channels_last)
    encoded = segmenter.encode(photo)
    count = 0

    def backbone() -> None:
        with torch.inference_mode():
            segmenter.network.backbone(tensor)
        if segmenter.device.type == "cuda":
            torch.cuda.synchronize()

    def answer() -> None:
        nonlocal count
        count = (count + 1) % 200  # other marks each time, so that nothing remembered is of use, and all within the photo
        annotation = Annotation(
            points=[(400.0 + count, 300.0, "animal"), (20.0, 20.0 + count, "background")],
            strokes=[
                ([(360.0 + count, 310.0), (440.0, 330.0)], "animal"),
                ([(30.0, 560.0), (700.0, 580.0 - count)], "background"),
            ],
        )
        result = segmenter.segment(encoded, segmenter.guide(encoded, annotation), annotation=annotation)
        assert result.labels.shape == SIZE[::-1]  # labels are made when they are asked for

    return _timed([backbone, lambda: segmenter.encode(photo), answer], rounds)


def measure_stroke(segmenter: GuidedSegmenter, photos: Sequence[Image.Image], rounds: int) -> list[float]:
    """Seconds by round from one more stroke on a gallery of encoded photos until every mask has been made again."""
    workspace = Workspace(segmenter)
    workspace.add_images((f"{number}.png", photo) for number, photo in enumerate(photos))
    workspace.apply(AddClass("animal"))
    key = workspace.session.images[0].key
    workspace.apply(Annotate(key, Point(20.0, 20.0, "background")))
    position = 0.0

    def stroke() -> None:
        nonlocal position
        position = (position + 7) % 400
        workspace.apply(Annotate(key, Stroke(((300 + position, 300), (350 + position, 320)), "animal")))
        assert len(list(workspace.masks())) == len(photos)

    return _timed([stroke], rounds)[0]


def _timed(actions: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Seconds of each, by round. They take turns, so that a slow spell of the machine meets them all; two rounds warm up."""
    taken: list[list[float]] = [[] for _ in actions]
    for _ in range(rounds + 2):
        for action, seconds in zip(actions, taken, strict=True):
            start = time.perf_counter()
            action()
            seconds.append(time.perf_counter() - start)
    return [seconds[2:] for seconds in taken]


def _ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Round by round: what slows a round slows both."""
    return [one / other for one, other in zip(above, below, strict=True)]


def _line(name: str, values: Sequence[float], wanted: float | None, unit: str) -> str:
    scale, digits = (1000, 1) if unit == "ms" else (1, 2)
    quarters = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    low, measured, high = (f"{scale * value:.{digits}f}" for value in quarters)
    limit = "" if wanted is None else f"at most {wanted:.2f}{' ' * bool(unit)}{unit}"
    return f"{name:32}{measured:>9} {unit:2}   {f'{low} to {high}':<18}{limit}".rstrip()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
