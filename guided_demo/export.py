"""Masks as files that other programs read: one function a format, each yielding (file name, bytes)."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from guided_demo.errors import InputError, legible
from guided_demo.names import unique_stems
from guided_demo.polygons import polygons
from guided_demo.render import overlay
from guided_demo.session import ClassItem

Files = Iterator[tuple[str, bytes]]


@dataclass(frozen=True)
class Mask:
    """One segmented image. name: the image's; labels: HxW uint8, an index into the classes, or 255 for no class;
    photo: gives the image; stem: what a file of it is called but for the ending, which `write` says."""

    name: str
    labels: np.ndarray
    photo: Callable[[], Image.Image]
    stem: str = ""


def voc_palette() -> bytes:
    """The 256 colours of PASCAL VOC's masks as 768 bytes: the bits of an index, dealt to red, green and blue."""
    index = np.arange(256)[:, None]
    bits = sum(((index >> (3 * place + np.arange(3))) & 1) << (7 - place) for place in range(8))
    return np.asarray(bits, np.uint8).tobytes()


def indexed_png(labels: np.ndarray) -> bytes:
    """A label map, HxW uint8, as a PNG whose pixel values are the labels and whose palette is PASCAL VOC's."""
    picture = Image.fromarray(labels).convert("P")  # from grey, which keeps the values
    picture.putpalette(voc_palette())
    return _file(picture, "PNG", compress_level=6)


def write_png(masks: Iterable[Mask], classes: Sequence[ClassItem]) -> Files:
    """Indexed PNGs named as the images, and classes.txt: line i, from 0, names the class of pixel value i; 255 has none."""
    yield _class_list(classes)
    for mask in masks:
        yield f"{mask.stem}.png", indexed_png(mask.labels)


def write_coco_rle(masks: Iterable[Mask], classes: Sequence[ClassItem]) -> Files:
    """COCO JSON; an annotation is all of a class in an image, as compressed run lengths. Category 0 is left out."""

    def parts(region: np.ndarray) -> Iterator[tuple[np.ndarray, Any]]:
        yield region, {"size": list(region.shape), "counts": run_lengths(region)}

    return _write_coco(masks, classes, parts)


def write_coco_polygons(masks: Iterable[Mask], classes: Sequence[ClassItem]) -> Files:
    """COCO JSON; an annotation is one connected part of a class in an image, as a polygon along the pixels' edges."""

    def parts(region: np.ndarray) -> Iterator[tuple[np.ndarray, Any]]:
        for outline in polygons(region):
            yield outline, [outline.ravel().tolist()]

    return _write_coco(masks, classes, parts)


def write_yolo(masks: Iterable[Mask], classes: Sequence[ClassItem]) -> Files:
    """YOLO segmentation: labels/*.txt with a polygon a line, and data.yaml. Class 0 is the first after background."""
    names = "".join(f"  {i}: {json.dumps(item.name, ensure_ascii=False)}\n" for i, item in enumerate(classes[1:]))
    yield "data.yaml", f"path: .\ntrain: images\nval: images\nnames:{'' if names else ' {}'}\n{names}".encode()
    for mask in masks:
        size = mask.labels.shape[::-1]
        lines = [
            " ".join([str(label - 1), *(f"{value:.6f}" for value in (outline / size).ravel())])
            for label, region in _regions(mask, classes)
            for outline in polygons(region)
        ]
        yield f"labels/{mask.stem}.txt", "".join(f"{line}\n" for line in lines).encode()


def write_labelme(masks: Iterable[Mask], classes: Sequence[ClassItem]) -> Files:
    """labelme JSON, one a photo, to lie beside it; polygons through the outermost pixels, as labelme draws them."""
    for mask in masks:
        shapes = [
            {"label": classes[label].name, "points": outline.tolist(), "group_id": None, "description": "",
             "shape_type": "polygon", "flags": {}, "mask": None}
            for label, region in _regions(mask, classes)
            for outline in polygons(region, inset=True)
        ]  # fmt: skip
        yield f"{mask.stem}.json", _json(
            version="5.0.0", flags={}, shapes=shapes, imagePath=PurePosixPath(legible(mask.name)).name, imageData=None,
            imageHeight=mask.labels.shape[0], imageWidth=mask.labels.shape[1],
        )  # fmt: skip


def write_tiff(masks: Iterable[Mask], classes: Sequence[ClassItem]) -> Files:
    """masks.tif, a page an image with the labels as grey values, and pages.txt: line i names the image of page i."""
    names = []

    def pages() -> Iterator[Image.Image]:
        for mask in masks:
            names.append("_".join(legible(mask.name).splitlines()))
            yield Image.fromarray(mask.labels)

    page = pages()
    first = next(page, None)
    if first is not None:
        yield "masks.tif", _file(first, "TIFF", save_all=True, append_images=page, compression="tiff_adobe_deflate")
    yield "pages.txt", "".join(f"{name}\n" for name in names).encode()
    yield _class_list(classes)


def write_csv(masks: Iterable[Mask], classes: Sequence[ClassItem]) -> Files:
    """areas.csv: for each image and class the number of pixels, and their share of the image."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["image", "class", "pixels", "share"])
    for mask in masks:
        counts = np.bincount(mask.labels.ravel(), minlength=len(classes))
        for item, count in zip(classes, counts.tolist(), strict=False):
            table.writerow([_cell(mask.name), _cell(item.name), count, f"{count / mask.labels.size:.6f}"])
    yield "areas.csv", text.getvalue().encode(errors="replace")


def _cell(name: str) -> str:
    """A name as a cell: after an apostrophe where a spreadsheet would compute it, as names come from others, too."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def write_overlays(masks: Iterable[Mask], classes: Sequence[ClassItem]) -> Files:
    """The photos as JPEG, every class but the background tinted in its colour."""
    colors = [item.color for item in classes]
    for mask in masks:
        yield f"{mask.stem}.jpg", _file(overlay(mask.photo(), mask.labels, colors), "JPEG", quality=90)


FORMATS: dict[str, Callable[[Iterable[Mask], Sequence[ClassItem]], Files]] = {
    "png": write_png,
    "coco-rle": write_coco_rle,
    "coco-polygons": write_coco_polygons,
    "yolo": write_yolo,
    "labelme": write_labelme,
    "tiff": write_tiff,
    "csv": write_csv,
    "overlays": write_overlays,
}


def write(masks: Iterable[Mask], classes: Sequence[ClassItem], form: str = "png", names: Iterable[str] = ()) -> Files:
    """The files of an export. form: a key of FORMATS; raises InputError for any other. Masks are taken one at a time.

    names: those of all images, as far as they are known before; see `unique_stems`.
    """
    if form not in tuple(FORMATS):  # a list, say, cannot be looked up
        raise InputError(f"There is no export called {form!r}; choose one of {', '.join(FORMATS)}.")
    stem = unique_stems(names)
    return FORMATS[form]((replace(mask, stem=stem(mask.name)) for mask in masks), classes)


def file_names(names: Iterable[str], form: str = "png") -> list[str]:
    """What `write` calls the files of images that have these names."""
    names, blank = list(names), np.zeros((1, 1), np.uint8)
    masks = (Mask(name, blank, lambda: Image.new("RGB", (1, 1))) for name in names)
    return [file for file, _ in write(masks, (), form, names)]


def run_lengths(region: np.ndarray) -> str:
    """A mask, HxW bool, in COCO's compressed run lengths: column by column, each as the difference to the last but one."""
    flat = np.concatenate([[False], region.ravel(order="F").astype(bool)])
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]), region.size)
    counts = np.diff(ends, prepend=0).tolist()
    text = []
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:  # five bits a character, the least first; the sixth says that more follow
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text.append(chr(48 + (bits | 32 * more)))
    return "".join(text)


def _write_coco(
    masks: Iterable[Mask],
    classes: Sequence[ClassItem],
    parts: Callable[[np.ndarray], Iterator[tuple[np.ndarray, Any]]],
) -> Files:
    images: list[dict] = []
    annotations: list[dict] = []
    for mask in masks:
        height, width = mask.labels.shape
        images.append({"id": len(images) + 1, "file_name": legible(mask.name), "width": width, "height": height})
        for label, region in _regions(mask, classes):
            for shape, segmentation in parts(region):
                area, box = _area_and_box(shape)
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": len(images), "category_id": label, "iscrowd": 0,
                     "segmentation": segmentation, "area": area, "bbox": box}
                )  # fmt: skip
    categories = [{"id": label, "name": item.name, "supercategory": ""} for label, item in enumerate(classes) if label]
    yield "annotations.json", _json(info={}, images=images, annotations=annotations, categories=categories)


def _area_and_box(shape: np.ndarray) -> tuple[float, list[float]]:
    """Area in pixels and (x, y, width, height) of a region HxW bool, or of a polygon Nx2."""
    if shape.dtype == bool:
        y, x = np.nonzero(shape)
        box = [x.min(), y.min(), x.max() + 1 - x.min(), y.max() + 1 - y.min()]
        return float(len(x)), [float(value) for value in box]
    x, y = shape.T
    area = abs(float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))) / 2
    return area, [*shape.min(0).tolist(), *np.ptp(shape, axis=0).tolist()]


def _regions(mask: Mask, classes: Sequence[ClassItem]) -> Iterator[tuple[int, np.ndarray]]:
    """Each class that the mask has, but the background, with its pixels, HxW bool."""
    for label in np.unique(mask.labels).tolist():
        if 0 < label < len(classes):
            yield label, mask.labels == label


def _class_list(classes: Sequence[ClassItem]) -> tuple[str, bytes]:
    return "classes.txt", "".join(f"{item.name}\n" for item in classes).encode()


def _json(**content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _file(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
