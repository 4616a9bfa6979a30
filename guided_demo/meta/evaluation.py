"""`python -m guided_demo evaluate`: every contestant on the same tasks; a table, curves, and JSON with all it rests on."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from guided_demo.errors import InputError
from guided_demo.files import make_folder, write_atomic
from guided_demo.options import device_of, natural, path_of, positive

from . import metrics, protocols
from .contestants import Contestant, open_contestant
from .datasets import open_dataset
from .protocols import Outcome, Setting, Task
from .report import Cell, Job, losses, plot, summarise, table

EXAMPLES = """examples:
  The shipped checkpoint and two baselines on classes left out of training:
    evaluate --model default prototype=default forest-filters \\
             --another voc/val:/data/VOC --same voc/val:/data/VOC --classes sheep cow -o results/

  Video, clicks, and every images/ + masks/ folder below one:
    evaluate --video davis/2016/val:/data/DAVIS --clicks coco/val2017/instance:/data/coco --domains /data/domains

  Without any data: generated pictures
    evaluate --another procedural:100 --tasks 10

datasets are reader[/option...]:path with the readers plain, voc, pascal5i, coco, coco-many-shot, davis, fss1000, bsds,
procedural, styles; docs/training.md says what each expects. A model is a checkpoint, frozen-prototype, forest-filters, or
NETWORK=CHECKPOINT, which has the encoder of the checkpoint and needs no other training: prototype, nearest-neighbour, ridge,
fine-tuning, supervised, forest-features."""


def evaluate(jobs: Sequence[Job], contestants: Sequence[Contestant], seed: int, log: Callable[[str], None]) -> dict[str, Any]:
    """All jobs with all contestants: what the JSON file holds, and `cells` as Cell objects. A job that cannot be finished, as one
    with a file that cannot be read, is left out of all but `left_out`, and of the log, which says why."""
    cells: list[Cell] = []
    per_task: dict[str, Any] = {}
    measured, left_out = list[Job](), list[str]()
    for job in jobs:
        progress = lambda done, total, job=job: log(f"\r{job.protocol}: task {done} of {total} ")  # noqa: E731
        try:
            found, per_task[job.protocol] = _measured(job, contestants, seed, progress)
        except InputError as error:
            left_out.append(f"{job.protocol} is left out: {error}")
            log(f"\nguided_demo: {left_out[-1]}\n")
            continue
        cells += found
        measured.append(job)
        log("\n")
    return {
        "seed": seed,
        "models": [{"name": c.name, "checkpoint": c.checkpoint_id} for c in contestants],
        "data": {job.protocol: {"dataset": job.data, "tasks": [_listing(task) for task in job.tasks]} for job in measured},
        "left_out": left_out,
        "cells": cells,
        "per_task": per_task,
        "more_annotation_made_worse": losses(cells, [job for job in measured if job.protocol != "clicks"]),
    }


def _measured(job: Job, contestants: Sequence[Contestant], seed: int, progress) -> tuple[list[Cell], Any]:
    """The cells of one job, and what it found by task."""
    if job.protocol == "clicks":
        return count_clicks(job.tasks, contestants, seed, progress)
    outcomes = protocols.run(job.tasks, job.settings, contestants, progress)
    return summarise(job.protocol, job.tasks, outcomes, seed), [_record(outcome) for outcome in outcomes]


def count_clicks(tasks: Sequence[Task], contestants: Sequence[Contestant], seed: int, progress) -> tuple[list[Cell], dict]:
    """NoC@85 and NoC@90 (20 if never reached), and the IoU after some clicks; besides, all IoUs by contestant and task."""
    ious: dict[str, list[list[float]]] = {contestant.name: [] for contestant in contestants}
    for n, task in enumerate(tasks):
        progress(n, len(tasks))
        for contestant in contestants:
            ious[contestant.name].append(protocols.click(task, contestant))
    cells = []
    for name, found in ious.items():
        measures: dict[str, list[float]] = {
            f"NoC@{percent}": [metrics.clicks_needed(i, percent / 100) for i in found] for percent in (85, 90)
        }
        measures |= {f"IoU after {k}": [i[k - 1] for i in found] for k in (1, 3, 5, 10, 20)}
        cells += [Cell("clicks", name, "", m, metrics.bootstrap(np.array(v), seed=seed)) for m, v in measures.items()]
    return cells, ious


def _record(outcome: Outcome) -> dict[str, Any]:
    return {
        "model": outcome.contestant,
        "setting": str(outcome.setting),
        "task": outcome.task,
        "iou": metrics.iou(outcome.counts).round(4).tolist(),
        "boundary_f": outcome.boundary.round(4).tolist(),
    }


def _listing(task: Task) -> dict[str, Any]:
    return {
        "group": task.group,
        "number": task.number,
        "support": [task.shown.names[i] for i in task.support],
        "queries": [task.asked.names[i] for i in task.queries],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 if all went well, 1 if some data cannot be measured (each is told, the rest done), 2 if the call was
    wrong, or nothing can be measured."""
    arguments = _parser().parse_args(argv)
    try:
        contestants = [open_contestant(spec, arguments.device) for spec in arguments.model or ["default"]]
        for name, times in Counter(c.name for c in contestants).items():
            if times > 1:
                raise InputError(f"Two models would be called {name} in the table: give one once, or rename a checkpoint's file.")
        jobs, failed = _jobs(arguments)
        for sentence in failed:
            print(f"guided_demo: {sentence}", file=sys.stderr)
        if arguments.out:
            make_folder(arguments.out)
        results = evaluate(jobs, contestants, arguments.seed, lambda text: print(text, end="", file=sys.stderr, flush=True))
        results["left_out"] = failed = failed + results["left_out"]
        jobs = [job for job in jobs if job.protocol in results["data"]]
        if not jobs:
            return 2
        text = table(results["cells"], jobs)
        print(text)
        for sentence in results["more_annotation_made_worse"]:
            print(f"More annotation made it worse: {sentence}")
        if arguments.out:
            _write(arguments, jobs, results, text)
    except InputError as error:
        print(f"guided_demo: {error}", file=sys.stderr)
        return 2
    return 1 if failed else 0


def _write(arguments: argparse.Namespace, jobs: Sequence[Job], results: dict[str, Any], text: str) -> None:
    curves = [job for job in jobs if job.protocol != "clicks"]
    picture = plot(results["cells"], curves) if curves else None
    results["cells"] = [asdict(cell) for cell in results["cells"]]
    results["arguments"] = {name: value for name, value in vars(arguments).items() if name not in ("out", "domains")}
    write_atomic(arguments.out / "table.md", text.encode())
    write_atomic(arguments.out / "results.json", json.dumps(results, indent=1).encode())
    if picture is not None:
        write_atomic(arguments.out / "curves.png", picture)


def _jobs(a: argparse.Namespace) -> tuple[list[Job], list[str]]:
    """What is to be measured, and a sentence for each domain that cannot be: of many folders one may be broken."""
    jobs, failed = list[Job](), list[str]()
    # Of each setting one: outcomes of two that are the same would count as those of twice as many tasks.
    curve = list(dict.fromkeys(Setting(p, s) for s in a.shots for p in a.points))
    single = list(dict.fromkeys(map(Setting, a.points)))
    many = [Setting(None, s) for s in dict.fromkeys(a.many_shots)]
    if a.another:
        tasks = protocols.another_image(open_dataset(a.another), a.tasks, max(a.shots), a.seed, a.classes)
        jobs.append(Job("another image", a.another, tasks, curve))
    if a.same:
        # Where every pixel is annotated, nothing is left to find out.
        sparse = [s for s in single if s.points is not None] or [Setting(25)]
        if sparse[0] not in single:
            told = "where all pixels are annotated, --same leaves nothing to find; it is run with 25"
            print(f"guided_demo: {told}.", file=sys.stderr)
        tasks = protocols.same_image(open_dataset(a.same), a.tasks, a.seed, a.classes)
        jobs.append(Job("same image", a.same, tasks, sparse))
    if a.video:
        jobs.append(Job("video", a.video, protocols.video(open_dataset(a.video), a.frames, a.seed), single))
    if a.many:
        shown, asked = map(open_dataset, a.many)
        tasks = protocols.many_shots(shown, asked, a.queries, a.seed, a.classes)
        jobs.append(Job("many shots", " ".join(a.many), tasks, many))
    for name, folder in _domains(a.domains).items():
        try:
            tasks = protocols.another_image(open_dataset(f"plain:{folder}"), a.tasks, 1, a.seed)
            jobs.append(Job(f"domain {name}", str(folder), tasks, single))
        except InputError as error:
            failed.append(f"domain {name} is left out: {error}")
    if a.swap:
        jobs.append(Job("swap", a.swap, protocols.swapped(open_dataset(a.swap), a.tasks, a.seed), single))
    if a.absent:
        jobs.append(Job("absent", a.absent, protocols.absent(open_dataset(a.absent), a.tasks, a.seed, a.classes), single))
    if a.clicks:
        tasks = protocols.same_image(open_dataset(a.clicks), a.tasks, a.seed, a.classes)
        jobs.append(Job("clicks", a.clicks, tasks, []))
    if not jobs:
        nothing = "Nothing to evaluate on: give --another, --same, --video, --many, --domains, --swap, --absent or --clicks."
        raise InputError(" ".join(failed) or nothing)
    return jobs, failed


def _domains(root: Path | None) -> dict[str, Path]:
    """The folders with masks, `root` and those in it, by a name that no two of them share."""
    if root is None:
        return {}
    try:
        folders = [root, *sorted(root.iterdir())]
    except OSError as error:
        raise InputError(f"{root} cannot be read: {error.strerror}.") from error
    found = [folder for folder in folders if os.path.isdir(folder / "masks")]
    if not found:
        raise InputError(f"Folders with images/ and masks/ were expected in {root}; there are none.")
    # Where it is one itself, those in it may be called as it is.
    within = root / os.pardir if found[0] is root else root
    return {os.path.relpath(folder, within): folder for folder in found}


def _number_or_all(text: str) -> int | None:
    """For argparse: None for "all"."""
    return None if text == "all" else positive(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m guided_demo evaluate", description=__doc__, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--model", nargs="+", action="extend", metavar="MODEL", help="one or more; by default the shipped checkpoint")
    add("--another", metavar="DATA", help="a class in another image, against P and S")
    add("--same", metavar="DATA", help="the annotated image itself, against P; with instances, one object")
    add("--video", metavar="DATA", help="later frames from the first: J, F, J&F")
    add("--many", nargs=2, metavar=("SUPPORT", "QUERIES"), help="dense masks of many images, against S")
    add("--domains", type=path_of, metavar="FOLDER", help="every images/ + masks/ folder in it: another image, against P")
    add("--swap", metavar="DATA", help="do masks follow the guidance from one class to another in the same images?")
    add("--absent", metavar="DATA", help="a class in another image and in two that do not show it, all three together")
    add("--clicks", metavar="DATA", help="number of clicks to reach IoU .85 and .90")
    add("--classes", nargs="+", default=(), metavar="NAME", help="only these, in another, same, many, absent and clicks")
    add("--points", nargs="+", type=_number_or_all, default=[1, 5, 25, None], metavar="P", help="pixels a class and image; all")
    add("--shots", nargs="+", type=positive, default=[1, 5], metavar="S", help="support images of --another")
    add("--many-shots", nargs="+", type=_number_or_all, default=[1, 5, 25, 100, None], metavar="S", help="of --many; all")
    add("--tasks", type=positive, default=40, help="tasks a protocol (default: 40)")
    add("--frames", type=positive, default=8, help="later frames a clip, evenly spaced (default: 8)")
    add("--queries", type=positive, default=20, help="queries a class of --many (default: 20)")
    add("--seed", type=natural, default=0, help="of tasks, points and intervals (default: 0)")
    add("--device", type=device_of, default="cpu", help="cpu or cuda (default: cpu)")
    add("-o", "--out", type=path_of, metavar="FOLDER", help="for table.md, curves.png and results.json")
    return parser
