"""Checkpoints: half-precision safetensors with their configuration and provenance as JSON metadata. Never a pickle."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from ..errors import InputError
from ..files import write_atomic

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
NAMES = {"default": "guided.safetensors"}
# VGG-16 makes the paper's network 36 MB, too much to ship; this is how to have it.
RECIPE = (
    "The paper's own network is too large to come along. Train it by `python -m guided_demo train --config paper --data "
    "voc/train:VOC -o runs/vgg16-paper`, and compare it by `python -m guided_demo evaluate --model default "
    "runs/vgg16-paper/last.safetensors --another voc/val:VOC`."
)


def find(name: str | Path) -> Path:
    """The file of a shipped name or of a path."""
    path = WEIGHTS / NAMES[str(name)] if str(name) in NAMES else Path(name)
    if str(name) == "vgg16-paper":
        raise InputError(RECIPE)
    if not os.path.isfile(path):
        known = ", ".join(sorted(NAMES))
        raise InputError(f"There is no checkpoint {name}; give the path of a .safetensors file or one of: {known}.")
    return path


def save(network: nn.Module, path: str | Path, metadata: dict[str, Any]) -> None:
    """Write the weights of a network in fp16; `metadata` must hold `config`, its constructor's arguments, and `side`. Raises
    InputError if the file cannot be written; one that was there is then as it was."""
    state = {
        name: value.detach().cpu().to(torch.float16).contiguous()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    write_atomic(path, safetensors_bytes(state, {"guided_demo": json.dumps(metadata)}))


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """State in float32, metadata, and the checkpoint's id: 12 hex digits of the SHA-256 of its file."""
    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {})["guided_demo"])
            if not isinstance(metadata, dict):
                raise ValueError("its metadata are no dictionary")
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError, RecursionError) as error:
        raise InputError(f"{Path(path).name} is not a checkpoint of guided_demo, or is cut short.") from error
    return state, metadata, hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]
