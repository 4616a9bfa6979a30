"""Labelled images held in memory as region maps, which every kind of task is a look-up into.

A region is a connected part of one class in one image; pixel value 0 to 253 is its number, 255 is ignored. A binary task on an
image is then a table of 256 entries (1 class, 0 rest, 255 ignored), whether the task is semantic, an instance or a texture.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from guided_demo.errors import InputError

from .datasets import IGNORE, Dataset

MAX_REGIONS = 254
SMALL = 0.002  # of the image: parts smaller than this are not regions of their own


@dataclass(frozen=True)
class Record:
    """One image: `image` HxWx3 uint8, `regions` HxW uint8, `classes[i]` the class of region i (-1: none), its clip and source."""

    image: np.ndarray
    regions: np.ndarray
    classes: tuple[int, ...]
    source: str
    clip: str = ""


def record(image: np.ndarray, labels: np.ndarray, source: str, clip: str = "", ignore: int = IGNORE) -> Record:
    """A Record from a class map (HxW, any integer type): each class is split into its connected parts.

    Small parts of a class are one region, as are those beyond what there are numbers for; of classes beyond, all is ignored.
    """
    regions = np.full(labels.shape, IGNORE, np.uint8)
    classes: list[int] = []
    for value in np.unique(labels[labels != ignore]):
        parts, count = ndimage.label(labels == value)
        sizes = np.bincount(parts.ravel())
        large = [i for i in range(1, count + 1) if sizes[i] >= SMALL * labels.size]
        large = large[: max(0, MAX_REGIONS - 1 - len(classes))]
        for part in large:
            regions[parts == part] = len(classes)
            classes.append(int(value))
        rest = (parts > 0) & ~np.isin(parts, large)
        if rest.any() and len(classes) < MAX_REGIONS:
            regions[rest] = len(classes)
            classes.append(int(value))
    return Record(image, regions, tuple(classes), source, clip)


def regions_record(image: np.ndarray, numbers: np.ndarray, classes: dict[int, int] | None, source: str, clip: str = "") -> Record:
    """A Record from a map of region numbers (below 0: ignored); `classes` gives the class of each, all -1 where None."""
    values, inverse = np.unique(numbers, return_inverse=True)
    inverse = inverse.reshape(numbers.shape)
    largest = np.argsort(-np.bincount(inverse.ravel()))
    kept = largest[values[largest] >= 0][:MAX_REGIONS]
    lookup = np.full(len(values), IGNORE, np.uint8)
    lookup[kept] = np.arange(len(kept))
    return Record(image, lookup[inverse], tuple((classes or {}).get(int(values[k]), -1) for k in kept), source, clip)


def records_of(dataset: Dataset, source: str) -> Iterator[Record]:
    """Every sample of a dataset as a Record: class maps by their connected parts, others by their numbers."""
    for sample in dataset:
        if sample.objects is None and dataset.classes:
            yield record(sample.image, sample.labels, source, sample.clip or "", dataset.ignore)
        else:
            numbers = np.where(sample.labels == dataset.ignore, -1, sample.labels)
            yield regions_record(sample.image, numbers, dict(enumerate(sample.objects or ())), source, sample.clip or "")


@dataclass
class Pool:
    """Records as tensors: images (N, 3, R, R) and regions (N, R, R) uint8, padded at the right and bottom; sizes (N, 2) H, W.

    `boxes[n][i]` is (top, left, bottom, right) of region i of image n, and `areas[n][i]` its share of the image.
    """

    images: Tensor
    regions: Tensor
    sizes: np.ndarray
    classes: list[tuple[int, ...]]
    sources: list[str]
    clips: list[str]
    boxes: list[np.ndarray] = field(repr=False)
    areas: list[np.ndarray] = field(repr=False)

    def __post_init__(self) -> None:
        self.by_class: dict[tuple[str, int], list[int]] = defaultdict(list)
        self.by_source: dict[str, list[int]] = defaultdict(list)
        self.by_clip: dict[tuple[str, str], list[int]] = defaultdict(list)
        for n, (source, clip) in enumerate(zip(self.sources, self.clips, strict=True)):
            if not self.classes[n]:
                continue  # nobody labelled anything in it
            self.by_source[source].append(n)
            if clip:
                self.by_clip[source, clip].append(n)
            for c in set(self.classes[n]) - {-1}:
                share = sum(a for a, k in zip(self.areas[n], self.classes[n], strict=True) if k == c)
                if share >= SMALL:
                    self.by_class[source, c].append(n)

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def clip_sources(self) -> set[str]:
        """Sources of video frames."""
        return {source for source, clip in zip(self.sources, self.clips, strict=True) if clip}

    @property
    def repeated(self) -> set[str]:
        """Sources with a class that two images show, so that another image of a class can be asked for."""
        return {source for (source, c), images in self.by_class.items() if c > 0 and len(images) >= 2}

    @property
    def comparable(self) -> bool:
        """Whether there is a class that two images show, or where they are frames, two frames of a clip."""
        return bool(self.repeated - self.clip_sources) or any(len(frames) >= 2 for frames in self.by_clip.values())

    def to(self, device: torch.device | str) -> Pool:
        self.images, self.regions = self.images.to(device), self.regions.to(device)
        return self

    @classmethod
    def build(cls, records: Iterable[Record], side: int = 352) -> Pool:
        """Images are shrunk, never enlarged, so that the longer side is at most `side`. Raises InputError if there are none."""
        items = [_fit(r, side) for r in records]
        if not items:
            raise InputError("There are no images to draw tasks from.")
        side = max(max(r.regions.shape) for r in items)
        images = torch.zeros(len(items), 3, side, side, dtype=torch.uint8)
        regions = torch.full((len(items), side, side), IGNORE, dtype=torch.uint8)
        boxes, areas = [], []
        for n, r in enumerate(items):
            h, w = r.regions.shape
            images[n, :, :h, :w] = torch.from_numpy(np.ascontiguousarray(r.image.transpose(2, 0, 1)))
            regions[n, :h, :w] = torch.from_numpy(np.array(r.regions))
            slices = ndimage.find_objects(r.regions.astype(np.int32) + 1, max_label=256)
            found = [s or (slice(0, h), slice(0, w)) for s in slices[: len(r.classes)]]
            found += [(slice(0, h), slice(0, w))] * (len(r.classes) - len(found))
            boxes.append(np.array([(a.start, b.start, a.stop, b.stop) for a, b in found], np.float32).reshape(-1, 4))
            areas.append(np.bincount(r.regions.ravel(), minlength=256)[: len(r.classes)] / (h * w))
        sizes = np.array([r.regions.shape for r in items], np.float32)
        return cls(
            images, regions, sizes, [r.classes for r in items], [r.source for r in items], [r.clip for r in items], boxes, areas
        )


def _fit(r: Record, side: int) -> Record:
    h, w = r.regions.shape
    scale = side / max(h, w)
    if scale >= 1:
        return r
    size = max(1, round(w * scale)), max(1, round(h * scale))
    image = np.asarray(Image.fromarray(r.image).resize(size, Image.Resampling.BILINEAR))
    regions = np.asarray(Image.fromarray(r.regions).resize(size, Image.Resampling.NEAREST))
    return Record(image, regions, r.classes, r.source, r.clip)


def save_records(records: Iterable[Record], path: str | Path, quality: int = 80) -> int:
    """Write records as one zip of WebP images and PNG region maps, to carry them to another machine; returns how many."""
    entries = []
    with zipfile.ZipFile(path, "w") as out:
        for n, r in enumerate(records):
            photo, regions = io.BytesIO(), io.BytesIO()
            Image.fromarray(r.image).save(photo, "WEBP", quality=quality, method=4)
            Image.fromarray(r.regions).save(regions, "PNG", optimize=True)
            out.writestr(f"{n}.webp", photo.getvalue())
            out.writestr(f"{n}.png", regions.getvalue())
            entries.append({"classes": r.classes, "source": r.source, "clip": r.clip})
        out.writestr("records.json", json.dumps(entries))
    return len(entries)


def load_records(path: str | Path) -> Iterable[Record]:
    """What save_records wrote, one record at a time.

    Raises:
        InputError: if the file is missing, broken, or something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for n, entry in enumerate(json.loads(archive.read("records.json"))):
                image = np.asarray(Image.open(io.BytesIO(archive.read(f"{n}.webp"))).convert("RGB"))
                regions = np.asarray(Image.open(io.BytesIO(archive.read(f"{n}.png"))))
                yield Record(image, regions, tuple(entry["classes"]), entry["source"], entry["clip"])
    except (OSError, zipfile.BadZipFile, zlib.error, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} cannot be read as records of images: {error}.") from error
