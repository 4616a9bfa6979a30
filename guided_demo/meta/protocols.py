"""What is measured: tasks drawn from labelled images with a seed, and every contestant run on the same ones.

A task asks for one class or object in one or more queries, after a support of annotated images. It is run under
several settings: P points a class and image (None: all pixels) and S support images (None: all). Points are drawn
uniformly from the labelled pixels, P of the class and P of the rest; those of a smaller P are among those of a larger
one, and so are support images, so that curves compare like with like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, cycle, islice

import numpy as np

from guided_demo.annotation import Annotation, Point
from guided_demo.core.model import Scope
from guided_demo.errors import InputError

from . import metrics
from .contestants import CLASSES, Contestant
from .datasets import MASK_VALUES, Dataset, Sample

SMALLEST = 0.005  # of the image: a class or object smaller than this is not asked for, but in videos
LARGE = f"on at least {100 * SMALLEST} % of their pixels"
WITHOUT = 2  # images that do not show the class, for each that does


@dataclass(frozen=True)
class Setting:
    """P points a class and image, S support images; None is all."""

    points: int | None
    shots: int | None = 1

    def __str__(self) -> str:
        return f"S={self.shots or 'all'} P={self.points or 'all'}"


@dataclass(frozen=True, eq=False)
class Task:
    """Which samples of `shown` support and which of `asked` are queried, for which class number.

    With `objects`, `number` is that of an object in the sample or clip instead. `other` is a second class in the same
    images, which the masks must not follow (swap test); `group` names the class or clip, for class-wise means; `seed`
    draws the points.
    """

    shown: Dataset
    support: tuple[int, ...]
    asked: Dataset
    queries: tuple[int, ...]
    number: int
    group: str
    seed: tuple[int, ...]
    other: int | None = None
    scope: Scope = "everywhere"
    objects: bool = False


@dataclass(frozen=True)
class Outcome:
    """One contestant on one task under one setting: counts [Q, 4] of the queries, their boundary F [Q], and the counts
    [Q, 4] against the task's other class, if it has one."""

    contestant: str
    setting: Setting
    task: int
    counts: np.ndarray
    boundary: np.ndarray
    other: np.ndarray


# --- drawing tasks ---------------------------------------------------------------------------------------------------


def another_image(dataset: Dataset, count: int, shots: int, seed: int, classes: Sequence[str] = ()) -> list[Task]:
    """A class in one image, given `shots` others that show it; classes take turns."""
    fewer = ", or fewer with fewer shots" * (shots > 1)
    tasks = _draw_another(dataset, count, shots, seed, classes)
    return _distinct(tasks, dataset, f"{shots + 1} images that show one class {LARGE}{fewer}")


def _draw_another(dataset: Dataset, count: int, shots: int, seed: int, classes: Sequence[str]) -> list[Task]:
    tasks = []
    for n, number in _turns(dataset, classes, shots + 1, count):
        picked = _pick(dataset, number, shots + 1, np.random.default_rng([seed, 0, n]))
        if len(picked) == shots + 1:
            *support, query = picked
            tasks.append(Task(dataset, tuple(support), dataset, (query,), number, dataset.classes[number], (seed, n)))
    return tasks


def absent(dataset: Dataset, count: int, seed: int, classes: Sequence[str] = ()) -> list[Task]:
    """As another_image with one shot, but asked of images that do not show the class, not in a crowd either: the queries after
    the first."""
    tasks = []
    for n, task in enumerate(_draw_another(dataset, count, 1, seed, classes)):
        order = np.random.default_rng([seed, 4, n]).permutation(len(dataset)).tolist()
        without = islice((i for i in order if task.number not in dataset.seen(i)), WITHOUT)
        tasks.append(replace(task, queries=(*task.queries, *without)))
    tasks = [task for task in tasks if len(task.queries) > 1]
    return _distinct(tasks, dataset, f"2 images that show one class {LARGE}, and one without it")


def same_image(dataset: Dataset, count: int, seed: int, classes: Sequence[str] = ()) -> list[Task]:
    """The annotated image is the query: a whole class of it, or one object where the dataset has instances."""
    tasks = []
    for n, number in _turns(dataset, classes, 1, count):
        rng = np.random.default_rng([seed, 1, n])
        for index in _pick(dataset, number, 1, rng):
            sample, group = dataset[index], dataset.classes[number]
            if sample.objects is None:
                tasks.append(Task(dataset, (index,), dataset, (index,), number, group, (seed, n)))
                continue
            areas = np.bincount(sample.labels[sample.labels != dataset.ignore], minlength=len(sample.objects))
            large = areas >= SMALLEST * sample.labels.size
            objects = [i for i, kind in enumerate(sample.objects) if kind == number and large[i]]
            if objects:
                chosen = int(rng.choice(objects))
                task = Task(dataset, (index,), dataset, (index,), chosen, group, (seed, n), None, "object", objects=True)
                tasks.append(task)
    return _distinct(tasks, dataset, f"images that show a class {LARGE}")


def video(dataset: Dataset, frames: int, seed: int) -> list[Task]:
    """Every object of every clip, its first frame annotated; up to `frames` others, evenly spaced from the second to the last."""
    tasks: list[Task] = []
    for clip, indices in dataset.by_clip.items():
        if len(indices) < 2:
            continue
        later = np.unique(np.linspace(1, len(indices) - 1, frames).round().astype(int)).tolist()
        first = dataset[indices[0]]
        for number in sorted(set(np.unique(first.labels).tolist()) - {0, dataset.ignore}):
            queries = tuple(indices[i] for i in later)
            group, objects = f"{clip}/{number}", first.objects is not None
            task = Task(dataset, (indices[0],), dataset, queries, number, group, (seed, len(tasks)), objects=objects)
            tasks.append(task)
    return _distinct(tasks, dataset, "a clip of two frames, the first of which shows an object")


def many_shots(shown: Dataset, asked: Dataset, queries: int, seed: int, classes: Sequence[str] = ()) -> list[Task]:
    """One task a class: `queries` images of `asked`, and as support all others of `shown` that have it, in random order.

    Raises:
        InputError: if the sets number classes or ignored pixels differently: a task has one number for both.
    """
    if shown.ignore != asked.ignore or any(a != b for a, b in zip(shown.classes, asked.classes, strict=False)):
        raise InputError(f"{shown.name} and {asked.name} number classes or ignored pixels differently; --many takes two alike.")
    tasks = []
    for n, number in enumerate(_usable(shown, classes, 1)):
        rng = np.random.default_rng([seed, 2, n])
        chosen = _pick(asked, number, queries, rng)
        named = {asked.names[i]: i for i in chosen}
        available = _pick(shown, number, len(shown), rng)
        support = tuple(i for i in available if not _is_one_image(shown, i, asked, named.get(shown.names[i])))
        if chosen and support:
            tasks.append(Task(shown, support, asked, tuple(chosen), number, shown.classes[number], (seed, n)))
    return _distinct(tasks, asked, f"images that show a class {LARGE}, and others of it in {shown.name}")


def _is_one_image(shown: Dataset, index: int, asked: Dataset, other: int | None) -> bool:
    """Whether the image of one set is that of the same id, if there is one, of the other: ids of plain folders say little."""
    return other is not None and (shown is asked or np.array_equal(shown[index].image, asked[other].image))


def swapped(dataset: Dataset, count: int, seed: int) -> list[Task]:
    """Two classes that both images show, each in turn the one asked for: tasks come in pairs that differ in it alone."""
    shared: dict[tuple[int, int], list[int]] = {}
    for index in range(len(dataset)):
        numbers = sorted(n for n in dataset.present(index) if dataset.shares(index).get(n, 0) >= SMALLEST)
        for pair in combinations(numbers, 2):
            shared.setdefault(pair, []).append(index)
    pairs = [(pair, indices) for pair, indices in shared.items() if len(indices) >= 2]
    tasks: list[Task] = []
    for n, ((a, b), indices) in zip(range(count), cycle(pairs), strict=False):
        support, query = np.random.default_rng([seed, 3, n]).permutation(indices)[:2].tolist()
        for number, other in ((a, b), (b, a)):
            group = dataset.classes[number]
            tasks.append(Task(dataset, (support,), dataset, (query,), number, group, (seed, n), other))
    return _distinct(tasks, dataset, f"2 images that show the same two classes {LARGE}")


def _turns(dataset: Dataset, classes: Sequence[str], least: int, count: int) -> Iterator[tuple[int, int]]:
    """`count` times a number from 0 and a class of those that are usable."""
    return zip(range(count), cycle(_usable(dataset, classes, least)), strict=False)


def _usable(dataset: Dataset, classes: Sequence[str], least: int) -> list[int]:
    """The classes of those named (of all, if none is) that at least `least` images show."""
    unknown = set(classes) - set(dataset.classes[1:])  # of background there is no task
    if unknown:
        raise InputError(f"{dataset.name} has no class {sorted(unknown)[0]!r}; it has {', '.join(dataset.classes[1:])}.")
    wanted = [n for n in dataset.by_class if not classes or dataset.classes[n] in classes]
    return [n for n in wanted if len(dataset.by_class[n]) >= least]


def _pick(dataset: Dataset, number: int, count: int, rng: np.random.Generator) -> list[int]:
    """Up to `count` random images in which the class is large enough."""
    candidates = rng.permutation(dataset.by_class.get(number, [])).astype(int).tolist()
    large = (index for index in candidates if dataset.shares(index).get(number, 0) >= SMALLEST)
    return list(islice(large, count))


def _distinct(tasks: list[Task], dataset: Dataset, wanted: str) -> list[Task]:
    """Each task once: of few images the same is drawn again, which adds nothing, and intervals would take for another.

    Raises:
        InputError: with what is `wanted`, if there is none.
    """
    if not tasks and dataset.classes and not dataset.by_class:
        raise InputError(f"The images of {dataset.name} show no class; {MASK_VALUES}")
    if not tasks:
        raise InputError(f"{dataset.name} has too few images for a task of this protocol, which takes {wanted}.")
    once: dict[tuple, Task] = {}
    for task in tasks:
        once.setdefault((task.number, task.other, task.support, task.queries), task)
    return list(once.values())


# --- running them ----------------------------------------------------------------------------------------------------


def run(
    tasks: Sequence[Task],
    settings: Sequence[Setting],
    contestants: Sequence[Contestant],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Outcome]:
    """Every contestant on every task under every setting; the images of one task are in memory at a time."""
    outcomes = []
    for n, task in enumerate(tasks):
        progress(n, len(tasks))
        support = [task.shown[i] for i in task.support]
        # An image that is support and query has to be one object, by which contestants recognise it.
        read = dict(zip(task.support, support, strict=True)) if task.asked is task.shown else {}
        queries = [read[i] if i in read else task.asked[i] for i in task.queries]
        truths = [truth_of(task, sample) for sample in queries]
        others = [_class_map(sample, task.asked.ignore) == task.other for sample in queries]
        for setting in settings:
            shown = [
                (sample.image, annotate(*truth_of(task, sample), setting.points, (*task.seed, place)))
                for place, sample in enumerate(support[: setting.shots])
            ]
            own = [next((a for image, a in shown if image is query.image), None) for query in queries]
            for contestant in contestants:
                guidance = contestant.guide(shown)
                masks = [
                    contestant.segment(guidance, query.image, marks, task.scope)
                    for query, marks in zip(queries, own, strict=True)
                ]
                counts = [metrics.count(mask, *truth) for mask, truth in zip(masks, truths, strict=True)]
                edges = [metrics.boundary_f(mask & known, truth) for mask, (truth, known) in zip(masks, truths, strict=True)]
                against = [metrics.count(m, o, k) for m, o, (_, k) in zip(masks, others, truths, strict=True)]
                outcomes.append(Outcome(contestant.name, setting, n, np.stack(counts), np.array(edges), np.stack(against)))
    progress(len(tasks), len(tasks))
    return outcomes


def truth_of(task: Task, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """(where the task's class or object is, where that is known), both HxW bool."""
    labels = sample.labels if task.objects else _class_map(sample, task.asked.ignore)
    return labels == task.number, sample.labels != task.asked.ignore


def _class_map(sample: Sample, ignore: int) -> np.ndarray:
    """HxW class numbers, 0 where ignored."""
    known = np.where(sample.labels == ignore, 0, sample.labels)
    return known if sample.objects is None else np.array(sample.objects)[known]


def annotate(truth: np.ndarray, known: np.ndarray, points: int | None, seed: Sequence[int]) -> Annotation:
    """`points` pixels of the object and as many of the rest, uniformly, or all of them; fewer where there are fewer."""
    labels = np.where(known, np.where(truth, 0, 1), 255).astype(np.uint8)
    if points is None:
        return Annotation.from_mask(labels, CLASSES)
    marks = []
    for value, name in enumerate(CLASSES):
        rng = np.random.default_rng([*seed, value])
        rows, columns = np.nonzero(labels == value)
        for i in rng.permutation(len(rows))[:points].tolist():
            marks.append(Point(float(columns[i]) + 0.5, float(rows[i]) + 0.5, name))
    return Annotation(points=marks)


def click(task: Task, contestant: Contestant, most: int = metrics.MOST_CLICKS) -> list[float]:
    """IoU after each of `most` clicks, every one at the centre of the largest error so far."""
    sample = task.shown[task.support[0]]
    truth, known = truth_of(task, sample)
    mask, clicked = np.zeros_like(truth), np.zeros_like(truth)
    annotation, ious = Annotation(), list[float]()
    for _ in range(most):
        found = metrics.next_click(mask, truth, known, clicked)
        if found is not None:  # otherwise nothing is wrong any more
            column, row, is_object = found
            clicked[row, column] = True
            annotation = annotation.add(Point(column + 0.5, row + 0.5, CLASSES[not is_object]))
            guidance = contestant.guide([(sample.image, annotation)])
            mask = contestant.segment(guidance, sample.image, annotation, task.scope)
        ious.append(float(metrics.iou(metrics.count(mask, truth, known))))
    return ious
