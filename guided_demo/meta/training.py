"""Meta-training: from episodes to weights. Resumable to the exact step, on one process or several."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from . import metrics
from .baselines import FineTuned
from .datasets import IGNORE
from .episodes import Batch, Mixture, Sampler, render
from .pool import Pool
from .simulate import ANNOTATORS, Drawing

OUR_MIXTURE = Mixture(
    semantic={"voc": 0.28, "ccp": 0.06, "facade": 0.07, "coco": 0.02, "synth": 0.10},
    video=0.12,
    views={"bsds": 0.05, "coco": 0.03, "ccp": 0.02, "facade": 0.02, "voc": 0.05, "synth": 0.02},
    same={"voc": 0.10, "ccp": 0.02, "facade": 0.02, "davis": 0.02, "synth": 0.03},
    parts={"voc": 0.05, "bsds": 0.04, "coco": 0.04, "ccp": 0.02, "davis": 0.02, "synth": 0.01},
)
OTHER_SOURCE = {"semantic": 0.10, "views": 0.03, "same": 0.05, "parts": 0.03}


@dataclass(frozen=True)
class TrainConfig:
    """What a run is determined by, besides the data; kept in its checkpoint. Rates are per step, `side` is in pixels.

    Raises InputError for numbers that cannot be trained with.
    """

    model: str = "guided"
    steps: int = 10_000
    batch: int = 48  # episodes a step with one shot; fewer with more, so that the number of images stays the same
    side: int = 288
    shots: tuple[int, ...] = (1, 1, 1, 1, 1, 1, 2, 3, 5)
    annotator: str = "people"
    optimiser: str = "adamw"
    rate: float = 1e-3
    backbone_rate: float = 1e-4
    weight_decay: float = 1e-2
    momentum: float = 0.99
    warmup: int = 300
    dice: float = 1.0
    average: float = 0.999  # of the weights, which is what is evaluated and shipped
    head_only: bool = False  # the encoder stays as it was given
    seed: int = 0
    mixture: Mixture = field(default_factory=lambda: OUR_MIXTURE)

    def __post_init__(self) -> None:
        if self.side % 32:
            raise InputError(f"The side of training images is a multiple of 32 pixels; {self.side} is not.")
        for item in fields(self):
            value, least = getattr(self, item.name), 1 if item.name in ("steps", "batch", "side") else 0
            if isinstance(value, int | float) and not value >= least:
                raise InputError(f"The {item.name.replace('_', ' ')} of training is at least {least}; {value} is not.")


CONFIGS = {
    "ours": TrainConfig(),
    # Section 7.2: SGD 1e-5, momentum 0.99, weight decay 5e-4, batch 1, 100k iterations; S = 1 and P uniform in 1..100.
    # The episodes are ours for every network, so that networks compare: the mixture, the crops, colours and sizes of `Sampler`.
    "paper": TrainConfig(
        model="late-global", steps=100_000, batch=1, shots=(1,), annotator="paper", optimiser="sgd", rate=1e-5,
        backbone_rate=1e-5, weight_decay=5e-4, warmup=0, dice=0.0, average=0.0,
    ),
}  # fmt: skip


def available(mixture: Mixture, pool: Pool) -> Mixture:
    """The mixture as far as the pool has its sources; sources it does not name are given weights of their own."""
    named = {s for kind in OTHER_SOURCE for s in getattr(mixture, kind)}
    kinds: dict[str, Any] = {}
    for kind, weight in OTHER_SOURCE.items():
        known = {s: w for s, w in getattr(mixture, kind).items() if s in pool.by_source}
        kinds[kind] = known | {s: weight for s in pool.by_source if s not in named and s not in pool.clip_sources}
    repeated = pool.repeated
    kinds["semantic"] = {s: w for s, w in kinds["semantic"].items() if s in repeated}
    return replace(mixture, video=mixture.video if pool.by_clip else 0.0, **kinds)


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


def logits_of(network: nn.Module, batch: Batch) -> tuple[Tensor, ...]:
    """Logits (B, H, W) of any network of the registry, and those at strides 8 and 16 that it has on the way."""
    extra = {"own": batch.own, "scope": batch.scope} if getattr(network, "takes_own", False) else {}
    out = network(batch.support, batch.annotation, batch.query, **extra)
    return out if isinstance(out, tuple) else (out,)


def batch_loss(network: nn.Module, batch: Batch, dice: float) -> Tensor:
    """Sum over the episodes. All weights have a gradient then, if of 0: a process whose share is empty adds as many."""
    nothing = 0 * torch.stack([weight.sum() for weight in network.parameters()]).sum()
    if not len(batch.query):
        return nothing
    logits, *on_the_way = logits_of(network, batch)
    loss = episode_loss(logits.float(), batch.target, dice)
    for coarse in on_the_way:
        small = F.interpolate(batch.target[:, None].float(), size=coarse.shape[-2:], mode="nearest")[:, 0]
        loss = loss + 0.4 * episode_loss(coarse, small, dice)
    return loss.sum() + nothing


def shown(batch: Batch) -> Tensor:
    """(B,) bool: whether the support shows the class at all (a crop may have lost it)."""
    return batch.annotation[:, :, 0].flatten(1).amax(1) > 0


def schedule(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then half a cosine to zero; constant for SGD, as in the paper."""
    if config.optimiser == "sgd":
        return 1.0
    if step < config.warmup:
        return (step + 1) / config.warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))))


@dataclass
class Run:
    """A training run under way, and what must be kept of it to go on to the exact same result."""

    config: TrainConfig
    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0

    @classmethod
    def start(cls, network: nn.Module, config: TrainConfig, device: torch.device | str = "cpu") -> Run:
        network = network.to(device).train()
        if config.head_only:
            trained = network.base if isinstance(network, FineTuned) else network
            trained.get_submodule("encoder").requires_grad_(False)
        slow = [p for name, p in network.named_parameters() if "backbone" in name]
        ids = {id(p) for p in slow}
        groups = [
            {"params": [p for p in network.parameters() if id(p) not in ids], "peak": config.rate},
            {"params": slow, "peak": config.backbone_rate},
        ]
        optimiser: torch.optim.Optimizer
        if config.optimiser == "sgd":
            optimiser = torch.optim.SGD(groups, lr=config.rate, momentum=config.momentum, weight_decay=config.weight_decay)
        else:
            optimiser = torch.optim.AdamW(groups, lr=config.rate, weight_decay=config.weight_decay)
        return cls(config, network, copy.deepcopy(network).eval().requires_grad_(False), optimiser)

    def state(self) -> dict[str, Any]:
        parts = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimiser")}
        return {**parts, "step": self.step}

    def restore(self, state: dict[str, Any]) -> None:
        for name in ("network", "average", "optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.step = state["step"]


def train(
    run: Run,
    pool: Pool,
    *,
    until: Callable[[int], bool] = lambda step: False,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> Run:
    """Train to config.steps, or until `until(step)`; `report` is told every step's loss. Raises InputError if that is no number.

    A step's episodes depend on (seed, step) alone. With torch.distributed set up, each process computes its share of them, and
    the gradients are those of one process with the whole batch; on a GPU nearly so, where `core.network.closeness` draws.
    """
    config, device = run.config, pool.images.device
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    sampler = Sampler(pool, available(config.mixture, pool), config.seed, annotator=ANNOTATORS[config.annotator])

    def draw(step: int):
        sampler.rng = np.random.default_rng([config.seed, step])
        shots = int(sampler.rng.choice(config.shots))
        return [sampler.draw(shots) for _ in range(max(1, 2 * config.batch // (shots + 1)))]

    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(draw, run.step)
        while run.step < config.steps and not until(run.step):
            episodes = following.result()
            following = ahead.submit(draw, run.step + 1)
            batch = render(pool, episodes, config.side, seed=config.seed * 1_000_003 + run.step)
            try:
                loss = step(run, batch, rank, world, device.type)
            except torch.linalg.LinAlgError:  # of features that are no numbers
                loss = math.nan
            if not math.isfinite(loss):
                raise InputError(f"Training fell apart at step {run.step}, where the loss is no number; a lower --rate may help.")
            run.step += 1
            report(run.step, loss)
    return run


def step(run: Run, batch: Batch, rank: int, world: int, device: str) -> float:
    """One step of the optimiser on this process's share of a batch; returns the loss of the whole batch."""
    config = run.config
    for group in run.optimiser.param_groups:
        group["lr"] = group["peak"] * schedule(run.step, config)
    batch = batch[shown(batch)]  # nothing can be learned from the others, and not every network takes them
    count = max(1, len(batch.query))
    run.optimiser.zero_grad()
    with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
        loss = batch_loss(run.network, batch[rank::world], config.dice) / count
    loss.backward()
    loss = loss.detach()
    if world > 1:
        gradients = [p.grad for p in run.network.parameters() if p.grad is not None]
        flat = torch.cat([loss[None], *(g.flatten() for g in gradients)])
        dist.all_reduce(flat)
        loss, *parts = flat.split([1, *(g.numel() for g in gradients)])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
    if config.optimiser == "adamw":
        nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
    run.optimiser.step()
    # The average starts short, so that it forgets the initial weights.
    keep = min(config.average, (1 + run.step) / (10 + run.step))
    with torch.no_grad():
        for mean, value in zip(run.average.parameters(), run.network.parameters(), strict=True):
            mean.lerp_(value, 1 - keep)
    return float(loss)


def held_out_iou(network: nn.Module, pool: Pool, side: int, tasks: int = 48, points: int = 5, seed: int = 1) -> float:
    """Mean IoU over `tasks` fixed tasks of another image of the class, of films another frame; whole images, `points` a class."""
    sources, films = sorted(pool.repeated - pool.clip_sources), float(len(pool.clip_sources))
    semantic = dict.fromkeys(sources, 1.0)
    mixture = Mixture(semantic=semantic, video=films, views={}, same={}, parts={}, absent=0.0, union=0.0, swap=0.0)
    sampler = Sampler(pool, mixture, seed, augment=False, annotator=lambda rng: Drawing(points, points))
    counts: list[np.ndarray] = []
    for start in range(0, tasks, 8):
        batch = render(pool, [sampler.draw(1) for _ in range(min(8, tasks - start))], side, seed=seed + start)
        batch = batch[shown(batch)]  # of a film some frames do not show the object
        if not len(batch.query):
            continue
        with torch.no_grad():
            logits, *_ = logits_of(network, batch)
        masks = (logits > 0, batch.target == 1, batch.target != IGNORE)
        counts += map(metrics.count, *(mask.cpu().numpy() for mask in masks))
    return metrics.mean_iou(np.stack(counts)) if counts else 0.0
