"""The public benchmarks, read as they are laid out when unpacked. See `datasets` for what is returned."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from scipy.io import loadmat

from guided_demo.errors import InputError
from guided_demo.imports import coco_region

from .datasets import (
    IGNORE,
    IGNORE_NUMBER,
    Dataset,
    Entry,
    Labels,
    expect,
    plain,
    read_class_map,
    read_numbers,
    read_rgb,
    read_text,
    reading,
)
from .procedural import procedural
from .styles import styles

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
# What COCO calls things of VOC, where it has another name for them.
COCO_NAME_OF = {"aeroplane": "airplane", "diningtable": "dining table", "motorbike": "motorcycle", "pottedplant": "potted plant",
                "sofa": "couch", "tvmonitor": "tv"}  # fmt: skip


# --- PASCAL VOC 2012, SBD, PASCAL-5i ---------------------------------------------------------------------------------


def voc(root: str | Path, split: str = "train", kind: str = "semantic", sbd: str | Path | None = None) -> Dataset:
    """PASCAL VOC 2012 with, for training, SBD's annotation of further images.

    Args:
        root: the folder that holds `VOCdevkit/VOC2012`. If that has `SegmentationClassAug` (SBD in VOC's form), masks
            are taken from there.
        split: "train", "val", "trainval", or another list in `ImageSets/Segmentation`, as those that come with
            `SegmentationClassAug`.
        kind: "semantic", or "instance" (`SegmentationObject`, `inst`).
        sbd: the folder `dataset` of SBD's `benchmark_RELEASE`, by default that below `root` if there is one; added to
            "train", without VOC's validation images.
    """
    from torchvision.datasets import SBDataset

    base = expect(Path(root) / "VOCdevkit" / "VOC2012", "PASCAL VOC 2012")
    listing = base / "ImageSets" / "Segmentation" / f"{split}.txt"
    augmented = base / "SegmentationClassAug"
    class_masks = augmented if augmented.exists() else base / "SegmentationClass"
    for part in (base / "JPEGImages", class_masks, listing):
        expect(part, f"{part.relative_to(base)} of PASCAL VOC 2012")
    _one_of("kind", kind, ("semantic", "instance"))
    if kind == "instance":
        expect(base / "SegmentationObject", "The instance masks of PASCAL VOC 2012")
    entries = []
    for line in _lines(listing):
        name = Path(line.split()[0]).stem  # the lists of SBD in VOC's form name an image file, and its mask after it
        masks = class_masks / f"{name}.png", base / "SegmentationObject" / f"{name}.png"
        read = partial(read_class_map, masks[0]) if kind == "semantic" else partial(_voc_instances, *masks)
        entries.append(Entry(name, partial(read_rgb, base / "JPEGImages" / f"{name}.jpg"), read))
    if sbd is None and (Path(root) / "benchmark_RELEASE" / "dataset").exists():
        sbd = Path(root) / "benchmark_RELEASE" / "dataset"
    if sbd is not None and split == "train":
        expect(Path(sbd) / "cls", "The class masks of SBD (benchmark_RELEASE/dataset)")
        seen = {entry.id for entry in entries} | set(_lines(base / "ImageSets/Segmentation/val.txt"))
        for half in ("train", "val"):
            listing = expect(Path(sbd, f"{half}.txt"), "A list of SBD's images")
            with reading(listing, "a list of SBD"):
                images = SBDataset(str(sbd), half, mode="segmentation").images
            for image in map(Path, images):
                if image.stem not in seen:
                    read = partial(_sbd, Path(sbd, "cls" if kind == "semantic" else "inst", f"{image.stem}.mat"))
                    entries.append(Entry(image.stem, partial(read_rgb, image), read))
    return Dataset(f"VOC2012 {split}", entries, VOC_CLASSES, IGNORE if kind == "semantic" else IGNORE_NUMBER)


def _voc_instances(classes: Path, objects: Path) -> Labels:
    kinds, numbers = read_numbers(classes), read_numbers(objects)
    count = int(numbers[numbers != IGNORE].max(initial=0))
    kind_of = [0]
    for number in range(1, count + 1):
        inside = kinds[(numbers == number) & (kinds != IGNORE)]
        kind_of.append(int(np.bincount(inside).argmax()) if inside.size else 0)
    return np.where(numbers == IGNORE, IGNORE_NUMBER, numbers).astype(np.int32), tuple(kind_of)


def _sbd(path: Path) -> Labels:
    """A .mat of SBD: GTcls has classes; GTinst has instances and their classes. Nothing in it is ignored."""
    with reading(path, "a mask of SBD"):
        content = loadmat(path)
        key = "GTcls" if "GTcls" in content else "GTinst"
        truth = content[key][0, 0]
        labels = truth["Segmentation"].astype(np.int32)
        return labels, None if key == "GTcls" else (0, *truth["Categories"].ravel().astype(int).tolist())


def pascal5i(root: str | Path, fold: int | str, split: str = "train", sbd: str | Path | None = None) -> Dataset:
    """PASCAL-5i of Shaban et al. 2017: fold i (0 to 3) holds out classes 5i + 1 to 5i + 5.

    "train" has the training images without any pixel of a held-out class; "test" has the validation images that show
    one, with only the held-out classes labelled.
    """
    _one_of("split", split, ("train", "test"))
    _one_of("fold", str(fold), ("0", "1", "2", "3"))
    held_out = range(5 * int(fold) + 1, 5 * int(fold) + 6)
    whole = voc(root, "train" if split == "train" else "val", sbd=sbd)
    showing = {index for number in held_out for index in whole.by_class.get(number, ())}
    name = f"PASCAL-5i fold {fold} {split}"
    if split == "train":
        return whole.subset((i for i in range(len(whole)) if i not in showing), name)
    return whole.subset(sorted(showing), name).keeping(held_out)


# --- COCO 2017 -------------------------------------------------------------------------------------------------------


def coco(root: str | Path, split: str = "train2017", kind: str = "semantic") -> Dataset:
    """COCO instances: `annotations/instances_{split}.json` and images in `{split}/`.

    Classes are numbered from 1 in the order of COCO's category ids. Where objects overlap, the smaller is on top;
    crowds are ignored.
    """
    _one_of("kind", kind, ("semantic", "instance"))
    listing = expect(Path(root) / "annotations" / f"instances_{split}.json", "COCO's instance annotation")
    folder = expect(Path(root) / split, "The folder of COCO's images")
    with reading(listing, "COCO's instances JSON"):
        content = json.loads(listing.read_text(encoding="utf-8"))
        categories = sorted(content["categories"], key=lambda category: category["id"])
        number = {category["id"]: i for i, category in enumerate(categories, start=1)}
        objects: dict[int, list[dict]] = {}
        for item in sorted(content["annotations"], key=lambda item: (not item.get("iscrowd", 0), -item["area"])):
            objects.setdefault(item["image_id"], []).append(item)
        classes = ("background", *(str(category["name"]) for category in categories))
        ignore = IGNORE if kind == "semantic" and len(classes) <= IGNORE else IGNORE_NUMBER
        entries = []
        for image in sorted(content["images"], key=lambda image: image["id"]):
            size, items = (int(image["width"]), int(image["height"])), objects.get(image["id"], [])
            read = partial(_coco_labels, listing, items, number, size, kind == "instance", ignore)
            crowds, shown = (frozenset(number[i["category_id"]] for i in items if i.get("iscrowd", 0) == c) for c in (1, 0))
            path = folder / image["file_name"]
            name = str(PurePosixPath(image["file_name"]).with_suffix(""))  # with its subfolder: others may have one of that name
            entries.append(Entry(name, partial(read_rgb, path), read, present=shown, crowds=crowds))
    return Dataset(f"COCO {split}", entries, classes, ignore)


def _coco_labels(
    listing: Path, items: list[dict], number: dict[int, int], size: tuple[int, int], instances: bool, ignore: int
) -> Labels:
    labels = np.zeros(size[::-1], np.int32)
    kind_of = [0]
    for item in items:
        with reading(listing, f"COCO's instances JSON in an object of image {item['image_id']}"):
            box, inside = coco_region(item["segmentation"], size)
        if item.get("iscrowd", 0):
            labels[box][inside] = ignore
        elif instances:
            labels[box][inside] = len(kind_of)
            kind_of.append(number[item["category_id"]])
        else:
            labels[box][inside] = number[item["category_id"]]
    return labels, tuple(kind_of) if instances else None


def coco_many_shot(root: str | Path, half: str = "support", seed: int = 0) -> Dataset:
    """The paper's many-shot split: validation images with classes that VOC has not, only those labelled, in two halves.

    The halves ("support" and "test") have the same number of images of every class, as near as images that show
    several classes allow; rare classes are divided first.
    """
    _one_of("half", half, ("support", "test"))
    whole = coco(root, "val2017")
    new = [i for i, name in enumerate(whole.classes) if i > 0 and name not in {*VOC_CLASSES, *COCO_NAME_OF.values()}]
    generator = np.random.default_rng(int(seed))
    side: dict[int, int] = {}
    for number in sorted((n for n in new if n in whole.by_class), key=lambda n: len(whole.by_class[n])):
        indices = whole.by_class[number]
        shares = [sum(side.get(i) == s for i in indices) for s in (0, 1)]
        for index in generator.permutation([i for i in indices if i not in side]).tolist():
            side[index] = int(shares[0] > shares[1])
            shares[side[index]] += 1
    wanted = ("support", "test").index(half)
    return whole.subset(sorted(i for i, s in side.items() if s == wanted), f"COCO many-shot {half}").keeping(new)


# --- DAVIS -----------------------------------------------------------------------------------------------------------


def davis(root: str | Path, year: str = "2016", split: str = "val", resolution: str = "480p") -> Dataset:
    """DAVIS: 2016 has one object a clip (0/1); its lists are in `ImageSets/{resolution}`, or in `ImageSets/2016` where the
    archive of 2017 brought them. 2017 numbers the objects of a clip (instances of class 1)."""
    _one_of("year", year, ("2016", "2017"))
    root, lists = Path(root), Path(root, "ImageSets")
    lists /= resolution if year == "2016" and (lists / resolution).exists() else year
    listing = expect(lists / f"{split}.txt", f"The list of clips of DAVIS {year}")
    entries = []
    for clip in dict.fromkeys(Path(line.split()[0]).parent.name or line for line in _lines(listing)):
        folder = expect(root / "Annotations" / resolution / clip, f"The masks of clip {clip} of DAVIS")
        for mask in sorted(folder.glob("*.png")):
            image = root / "JPEGImages" / resolution / clip / f"{mask.stem}.jpg"
            read = partial(_davis_labels, mask, year == "2016")
            entries.append(Entry(f"{clip}/{mask.stem}", partial(read_rgb, image), read, clip))
    ignore = IGNORE if year == "2016" else IGNORE_NUMBER
    return Dataset(f"DAVIS {year} {split}", entries, ("background", "object"), ignore)


def _davis_labels(path: Path, single: bool) -> Labels:
    numbers = read_numbers(path)
    if single:
        # DAVIS 2016 itself marks the object by 255; the files of 2017 number objects, and 255 is ignored.
        if not ((numbers > 0) & (numbers < IGNORE)).any():
            return (numbers > 0).astype(np.int32), None
        return np.where(numbers == IGNORE, IGNORE, numbers > 0).astype(np.int32), None
    labels = np.where(numbers == IGNORE, IGNORE_NUMBER, numbers).astype(np.int32)
    return labels, (0, *(1 for _ in range(int(numbers[numbers != IGNORE].max(initial=0)))))


# --- FSS-1000, BSDS500 -----------------------------------------------------------------------------------------------


def fss1000(root: str | Path, listing: str | Path | None = None) -> Dataset:
    """FSS-1000: a folder a class, with 1.jpg, 1.png, 2.jpg, ...; `listing` is a text file of the class names to keep."""
    root = expect(Path(root), "FSS-1000")
    kept = None if listing is None else set(_lines(expect(Path(listing), "A list of class names")))
    folders = sorted(f for f in root.iterdir() if f.is_dir() and (kept is None or f.name in kept))
    entries = []
    for number, folder in enumerate(folders, start=1):
        for image in sorted(folder.glob("*.jpg"), key=lambda path: (len(path.stem), path.stem)):
            mask = expect(image.with_suffix(".png"), f"The mask of {image}")
            read = partial(_fss_labels, mask, number)
            entries.append(Entry(f"{folder.name}/{image.stem}", partial(read_rgb, image), read))
    return Dataset("FSS-1000", entries, ("background", *(f.name for f in folders)), IGNORE_NUMBER)


def _fss_labels(path: Path, number: int) -> Labels:
    return (read_rgb(path).max(2) > 127).astype(np.int32) * number, None


def bsds(root: str | Path, split: str = "train") -> Dataset:
    """BSDS500 region maps, one sample for each annotator of each image: `ID_0`, `ID_1`, ...

    Either `images/{split}/ID.jpg` with `regions/{split}/ID_0.png`, or the original `groundTruth/{split}/ID.mat` (also
    below `data/`).
    """
    root = Path(root)
    root = root / "data" if (root / "data" / "groundTruth").exists() else root
    images = expect(root / "images" / split, f"The {split} images of BSDS500")
    maps = root / "regions" / split
    entries = []
    if maps.exists():
        for mask in sorted(maps.glob("*.png")):
            image = images / f"{mask.stem.rpartition('_')[0]}.jpg"
            entries.append(Entry(mask.stem, partial(read_rgb, image), partial(read_class_map, mask)))
    else:
        for path in sorted(expect(root / "groundTruth" / split, "Region maps of BSDS500").glob("*.mat")):
            for annotator in range(len(_bsds_maps(path))):
                image, read = images / f"{path.stem}.jpg", partial(_bsds_labels, path, annotator)
                entries.append(Entry(f"{path.stem}_{annotator}", partial(read_rgb, image), read))
    return Dataset(f"BSDS500 {split}", entries, (), IGNORE_NUMBER)


def _bsds_labels(path: Path, annotator: int) -> Labels:
    return _bsds_maps(path)[annotator], None


def _bsds_maps(path: Path) -> list[np.ndarray]:
    with reading(path, "region maps of BSDS500"):
        return [found[0, 0]["Segmentation"].astype(np.int32) for found in loadmat(path)["groundTruth"][0]]


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"The {what} is one of {', '.join(allowed)}; {value!r} is not.")


READERS: dict[str, Callable[..., Dataset]] = {
    "plain": plain,
    "voc": voc,
    "pascal5i": pascal5i,
    "coco": coco,
    "coco-many-shot": coco_many_shot,
    "davis": davis,
    "fss1000": fss1000,
    "bsds": bsds,
    "procedural": procedural,
    "styles": styles,
}
