"""`python -m guided_demo bench`: what encoding, guiding and segmenting cost, as ratios measured in one run.

Times of one machine say little about another; ratios of times taken in turn, in one run, do.
"""

import argparse
import importlib.metadata
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image

from guided_demo.annotation import Annotation, Point, Stroke
from guided_demo.core.model import GuidedSegmenter
from guided_demo.events import AddClass, Annotate
from guided_demo.files import read_image
from guided_demo.workspace import Workspace

SIZE = (800, 600)
ANNOTATION = Annotation(
    points=[(400.0, 300.0, "animal"), (20.0, 20.0, "background")],
    strokes=[([(360.0, 310.0), (440.0, 330.0)], "animal"), ([(30.0, 560.0), (700.0, 580.0)], "background")],
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m guided_demo bench", description=__doc__.split("\n\n")[1])
    parser.add_argument("--checkpoint", default="default", metavar="NAME", help="a checkpoint in weights/ by name, or a path")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--repeats", type=int, default=9, help="measurements of each, of which the median counts")
    arguments = parser.parse_args(argv)
    segmenter = GuidedSegmenter.load(arguments.checkpoint, device=arguments.device)
    photos = sample_photos(24)

    print(f"One {SIZE[0]}x{SIZE[1]} photo, then a gallery of {len(photos)}; {torch.get_num_threads()} threads")
    backbone, encode, answer = measure_photo(segmenter, photos[0], arguments.repeats)
    print(f"  backbone alone      {backbone * 1000:7.1f} ms")
    print(f"  encode              {encode * 1000:7.1f} ms")
    print(f"  guide and segment   {answer * 1000:7.1f} ms")
    stroke = measure_stroke(segmenter, photos, arguments.repeats)
    print(f"(guide + segment) / encode   {answer / encode:5.2f}   (at most 0.15 wanted)")
    print(f"encode / backbone            {encode / backbone:5.2f}   (at most 1.50 wanted)")
    print(f"a stroke, {len(photos)} masks updated  {stroke:5.2f} s (at most 0.50 s wanted)")
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


def measure_photo(segmenter: GuidedSegmenter, photo: Image.Image, repeats: int) -> tuple[float, ...]:
    """Median seconds for the bare backbone's forward pass, for encoding, and for guide and segment when encoded."""
    tensor = segmenter.preprocess(photo)
    encoded = segmenter.encode(photo)

    def backbone() -> None:
        with torch.inference_mode():
            segmenter.network.backbone(tensor)

    def answer() -> None:
        result = segmenter.segment(encoded, segmenter.guide(encoded, ANNOTATION), annotation=ANNOTATION)
        assert result.labels.shape == SIZE[::-1]  # labels are made when they are asked for

    return _medians([backbone, lambda: segmenter.encode(photo), answer], repeats)


def measure_stroke(segmenter: GuidedSegmenter, photos: Sequence[Image.Image], repeats: int) -> float:
    """Median seconds from one more stroke on a gallery of encoded photos until every mask has been made again."""
    workspace = Workspace(segmenter)
    workspace.add_images((f"{number}.png", photo) for number, photo in enumerate(photos))
    workspace.apply(AddClass("animal"))
    key = workspace.session.images[0].key
    workspace.apply(Annotate(key, Point(20.0, 20.0, "background")))
    position = 0.0

    def stroke() -> None:
        nonlocal position
        position += 7
        workspace.apply(Annotate(key, Stroke(((300 + position, 300), (350 + position, 320)), "animal")))
        assert len([result.labels for _, result in workspace.segment_all()]) == len(photos)

    return _medians([stroke], repeats)[0]


def _medians(actions: Sequence[Callable[[], object]], repeats: int) -> tuple[float, ...]:
    """Median seconds of each. They take turns, so that a slow spell of the machine meets them all; the first is warm-up."""
    taken: list[list[float]] = [[] for _ in actions]
    for _ in range(repeats + 1):
        for action, seconds in zip(actions, taken, strict=True):
            start = time.perf_counter()
            action()
            seconds.append(time.perf_counter() - start)
    return tuple(statistics.median(seconds[1:]) for seconds in taken)
