"""Meta-training: episodes in, a checkpoint out; resumable to the exact step, on one process or several."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .episodes import Batch, Mixture, Sampler, render
from .pool import IGNORE, Pool

OUR_MIXTURE = Mixture(
    semantic={"voc": 0.28, "ccp": 0.06, "facade": 0.07, "coco": 0.02, "synth": 0.10},
    video=0.12,
    views={"bsds": 0.05, "coco": 0.03, "ccp": 0.02, "facade": 0.02, "voc": 0.05, "synth": 0.02},
    same={"voc": 0.10, "ccp": 0.02, "facade": 0.02, "davis": 0.02, "synth": 0.03},
    parts={"voc": 0.05, "bsds": 0.04, "coco": 0.04, "ccp": 0.02, "davis": 0.02, "synth": 0.01},
)


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run is determined by, besides the data; kept in the checkpoint."""

    model: str = "guided"
    steps: int = 10_000
    batch: int = 48
    side: int = 288
    shots: tuple[int, ...] = (1, 1, 1, 1, 1, 1, 2, 3, 5)
    optimiser: str = "adamw"
    rate: float = 1e-3
    backbone_rate: float = 1e-4
    weight_decay: float = 1e-2
    momentum: float = 0.99
    warmup: int = 300
    dice: float = 1.0
    average: float = 0.999  # of the weights, which is what is evaluated and shipped
    seed: int = 0
    mixture: Mixture = field(default_factory=lambda: OUR_MIXTURE)


def episode_loss(logits: Tensor, target: Tensor, dice: float) -> Tensor:
    """Pixelwise cross-entropy, plus `dice` times (1 - soft Dice), of each episode: (B,). Pixels of 255 do not count."""
    known = (target != IGNORE).float()
    truth = (target == 1).float()
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * known
    loss = entropy.sum((1, 2)) / known.sum((1, 2)).clamp_min(1)
    if dice:
        probability = logits.sigmoid() * known
        overlap = 2 * (probability * truth).sum((1, 2)) + 1
        loss = loss + dice * (1 - overlap / (probability.sum((1, 2)) + truth.sum((1, 2)) + 1))
    return loss


def batch_loss(network: nn.Module, batch: Batch, dice: float) -> Tensor:
    """Mean over the episodes whose support shows the class at all (a crop may have lost it)."""
    extra = {"own": batch.own, "scope": batch.scope} if getattr(network, "takes_own", False) else {}
    out = network(batch.support, batch.annotation, batch.query, **extra)
    logits, coarse = out if isinstance(out, tuple) else (out, None)
    loss = episode_loss(logits.float(), batch.target, dice)
    if coarse is not None:
        small = F.interpolate(batch.target[:, None].float(), size=coarse.shape[-2:], mode="nearest")[:, 0]
        loss = loss + 0.4 * episode_loss(coarse, small, dice)
    shown = (batch.annotation[:, :, 0].flatten(1).amax(1) > 0).float()
    return (loss * shown).sum() / shown.sum().clamp_min(1)


def parameter_groups(network: nn.Module, config: TrainConfig) -> list[dict]:
    backbone = {id(p) for n, p in network.named_parameters() if "backbone" in n}
    rest = [p for p in network.parameters() if id(p) not in backbone]
    slow = [p for p in network.parameters() if id(p) in backbone]
    return [
        {"params": rest, "lr": config.rate, "peak": config.rate},
        {"params": slow, "lr": config.backbone_rate, "peak": config.backbone_rate},
    ]


def schedule(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then half a cosine to zero; constant for SGD, as in the paper."""
    if config.optimiser == "sgd":
        return 1.0
    if step < config.warmup:
        return (step + 1) / config.warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))))


@dataclass
class Run:
    """A training run under way: what a checkpoint of it must hold to go on to the exact same result."""

    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0

    def state(self) -> dict:
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }

    def restore(self, state: dict) -> None:
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]


def start(network: nn.Module, config: TrainConfig, device: torch.device | str) -> Run:
    import copy

    network = network.to(device).train()
    average = copy.deepcopy(network).eval().requires_grad_(False)
    groups = parameter_groups(network, config)
    optimiser: torch.optim.Optimizer
    if config.optimiser == "sgd":
        optimiser = torch.optim.SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)
    else:
        optimiser = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    return Run(network, average, optimiser)


def train(
    run: Run,
    config: TrainConfig,
    pool: Pool,
    *,
    until: Callable[[int], bool] = lambda step: False,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> Run:
    """Train to config.steps, or until `until(step)`. Every step's episodes depend on (seed, step) alone."""
    device = pool.images.device
    amp = device.type == "cuda"

    def draw(step: int):
        rng = np.random.default_rng([config.seed, step])
        shots = int(rng.choice(config.shots))
        sampler.rng = np.random.default_rng([config.seed, step, 1])
        count = max(1, 2 * config.batch // (shots + 1))
        return [sampler.draw(shots) for _ in range(count)]

    sampler = Sampler(pool, config.mixture, config.seed)
    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(draw, run.step)
        while run.step < config.steps and not until(run.step):
            episodes = following.result()
            following = ahead.submit(draw, run.step + 1)
            batch = render(pool, episodes, config.side, seed=config.seed * 1_000_003 + run.step)
            for group in run.optimiser.param_groups:
                group["lr"] = group["peak"] * schedule(run.step, config)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=amp):
                loss = batch_loss(run.network, batch, config.dice)
            run.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if config.optimiser == "adamw":
                nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
            run.optimiser.step()
            keep = min(config.average, (1 + run.step) / (10 + run.step))
            with torch.no_grad():
                torch._foreach_lerp_(list(run.average.parameters()), list(run.network.parameters()), 1 - keep)
            run.step += 1
            if run.step % 50 == 0:
                report(run.step, float(loss.detach()))
    return run


def log_to(path: Path) -> Callable[[int, float], None]:
    began = time.time()

    def report(step: int, loss: float) -> None:
        with path.open("a") as out:
            out.write(json.dumps({"step": step, "loss": round(loss, 4), "seconds": round(time.time() - began, 1)}) + "\n")

    return report


def config_json(config: TrainConfig) -> dict:
    return asdict(config)
