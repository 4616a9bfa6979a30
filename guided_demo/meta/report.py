"""From outcomes of an evaluation to numbers, tables and curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import permutations, product

import numpy as np

from . import metrics
from .metrics import Interval
from .protocols import Outcome, Setting, Task


@dataclass(frozen=True)
class Cell:
    """One number of a table."""

    protocol: str
    contestant: str
    setting: str
    measure: str
    value: Interval


@dataclass(frozen=True)
class Job:
    """A protocol on its data: the tasks, and what becomes of them."""

    protocol: str
    data: str
    tasks: list[Task]
    settings: list[Setting]


def summarise(protocol: str, tasks: Sequence[Task], outcomes: Sequence[Outcome], seed: int) -> list[Cell]:
    """Measures by contestant and setting, with confidence intervals over tasks (queries of one task are not independent)."""
    cells = []
    for contestant, setting in dict.fromkeys((o.contestant, o.setting) for o in outcomes):
        some = [o for o in outcomes if (o.contestant, o.setting) == (contestant, setting)]
        for name, statistic in _measures(protocol, some, [tasks[o.task].group for o in some]).items():
            value = metrics.bootstrap(np.arange(len(some)), statistic, seed=seed)
            cells.append(Cell(protocol, contestant, str(setting), name, value))
    return cells


def _measures(protocol: str, some: Sequence[Outcome], groups: Sequence[str]) -> dict[str, Callable[[np.ndarray], float]]:
    """Each measure as a function of which of `some` outcomes to take."""
    iou = np.array([metrics.mean_iou(o.counts) for o in some])
    boundary = np.array([o.boundary.mean() for o in some])
    if protocol == "video":
        return {
            "J&F": lambda i: float((iou[i] + boundary[i]).mean() / 2),
            "J": lambda i: float(iou[i].mean()),
            "F": lambda i: float(boundary[i].mean()),
        }
    if protocol == "absent":  # from every task's first query, which shows the class, and the others, which do not
        together, shown = (metrics.iou(np.stack(c)) for c in zip(*((o.counts.sum(0), o.counts[0]) for o in some), strict=True))
        false = np.array([(o.counts[1:, 1] / np.maximum(o.counts[1:].sum(1), 1)).mean() for o in some])
        return {
            "mean IoU": lambda i: float(together[i].mean()),
            "mean IoU where it is shown": lambda i: float(shown[i].mean()),
            "share found of images that do not show it": lambda i: float(false[i].mean()),
        }
    pooled, names = np.stack([o.counts.sum(0) for o in some]), np.array(groups)
    found: dict[str, Callable[[np.ndarray], float]] = {
        "mean IoU": lambda i: float(iou[i].mean()),
        "positive IU": lambda i: metrics.positive_iu(pooled[i]),
        "class mIoU": lambda i: metrics.class_miou(pooled[i], names[i].tolist()),
        "FB-IoU": lambda i: metrics.fb_iou(pooled[i]),
        "boundary F": lambda i: float(boundary[i].mean()),
    }
    if protocol == "swap":
        other = np.array([metrics.mean_iou(o.other) for o in some])
        found["IoU with the other class"] = lambda i: float(other[i].mean())
        found["share that follows"] = lambda i: float((iou[i] > other[i]).mean())
    return found


def losses(cells: Sequence[Cell], jobs: Sequence[Job], tolerance: float = 0.01) -> list[str]:
    """Where more annotation made the mean IoU (or J) worse by more than `tolerance`: sentences."""
    found = []
    values = {(c.protocol, c.contestant, c.setting): c.value.value for c in cells if c.measure in ("mean IoU", "J")}
    for job in jobs:
        steps = [pair for pair in permutations(job.settings, 2) if _is_next(*pair, job.settings)]
        contestants = dict.fromkeys(c for p, c, _ in values if p == job.protocol)
        for (less, more), contestant in product(steps, contestants):
            a, b = (values[job.protocol, contestant, str(s)] for s in (less, more))
            if b < a - tolerance:
                found.append(f"{job.protocol}, {contestant}: {a:.3f} at {less}, {b:.3f} at {more}")
    return found


def _is_next(less: Setting, more: Setting, settings: Sequence[Setting]) -> bool:
    """Whether `more` is `less` with the next larger P and the same S, or the next larger S and the same P."""

    def size(value: int | None) -> float:
        return np.inf if value is None else value

    for name, other in (("points", "shots"), ("shots", "points")):
        if getattr(less, other) == getattr(more, other):
            larger = [size(getattr(s, name)) for s in settings if size(getattr(s, name)) > size(getattr(less, name))]
            if larger and size(getattr(more, name)) == min(larger):
                return True
    return False


def table(cells: Sequence[Cell], jobs: Sequence[Job] = ()) -> str:
    """Markdown: for each protocol and measure, contestants by settings, each value with its 95 % interval; with the number of
    tasks, where `jobs` are given."""
    counts = {job.protocol: len(job.tasks) for job in jobs}
    lines: list[str] = []
    for protocol in dict.fromkeys(c.protocol for c in cells):
        here = [c for c in cells if c.protocol == protocol]
        measures = dict.fromkeys(c.measure for c in here)
        single = all(c.setting == "" for c in here)
        tasks = f", {counts[protocol]} task{'s' * (counts[protocol] != 1)}" if protocol in counts else ""
        lines += [f"## {protocol}{tasks}", ""]
        for measure in [""] if single else measures:
            shown = [c for c in here if single or c.measure == measure]
            heads = list(dict.fromkeys(c.measure if single else c.setting for c in shown))
            lines += [f"### {measure}", ""] if measure else []
            lines += ["| | " + " | ".join(heads) + " |", "| --- " * (len(heads) + 1) + "|"]
            for contestant in dict.fromkeys(c.contestant for c in shown):
                found = {c.measure if single else c.setting: c.value for c in shown if c.contestant == contestant}
                lines.append(f"| {contestant} | " + " | ".join(_text(found[head]) for head in heads) + " |")
            lines.append("")
    return "\n".join(lines)


def _text(value: Interval) -> str:
    digits = 1 if value.value > 1 else 3
    return f"{value.value:.{digits}f} ({value.low:.{digits}f} to {value.high:.{digits}f})"


def plot(cells: Sequence[Cell], jobs: Sequence[Job]) -> bytes:
    """PNG: for each protocol mean IoU (video: J&F) against P and, where several were run, against S."""
    from matplotlib.figure import Figure

    panels = []
    for job in jobs:
        for name, other in (("points", "shots"), ("shots", "points")):
            for fixed in dict.fromkeys(getattr(s, other) for s in job.settings):
                along = [s for s in job.settings if getattr(s, other) == fixed]
                if len(along) > 1:
                    panels.append((job.protocol, name, f"{other[0].upper()}={fixed or 'all'}", along))
    if not panels:  # single settings, shown as points
        panels = [(job.protocol, "points", "", job.settings) for job in jobs]
    values = {(c.protocol, c.contestant, c.setting): c.value for c in cells if c.measure in ("mean IoU", "J&F")}
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.remove()
    for axes, (protocol, name, fixed, along) in zip(grid, panels, strict=False):
        along = sorted(along, key=lambda s: getattr(s, name) or np.inf)
        for contestant in dict.fromkeys(c for p, c, _ in values if p == protocol):
            points = [values[protocol, contestant, str(s)] for s in along]
            (line,) = axes.plot([p.value for p in points], marker="o", markersize=3, label=contestant)
            low, high = [p.low for p in points], [p.high for p in points]
            axes.fill_between(range(len(along)), low, high, alpha=0.12, color=line.get_color())
        axes.set_xticks(range(len(along)), [str(getattr(s, name) or "all") for s in along])
        axes.set_title(f"{protocol}, {fixed}" if fixed else protocol)
        axes.set_xlabel("annotated pixels P" if name == "points" else "support images S")
        axes.set_ylabel("J&F" if protocol == "video" else "mean IoU")
        axes.set_ylim(0, 1)
        axes.grid(alpha=0.3)
    grid[0].legend(fontsize=7)
    buffer = BytesIO()
    figure.savefig(buffer, dpi=120)
    return buffer.getvalue()
