"""What a desk knows besides its session, in a file beside the journal, so that it is there when the server starts again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..errors import InputError
from ..files import write_atomic
from .seeing import Look

FILE = "desk.json"


@dataclass(frozen=True)
class Memory:
    """samples: keys of images the user did not bring; floor: how many steps of the history are not the user's to undo;
    open_key: the image that is open on the page; look: how its masks are seen."""

    samples: frozenset[str] = frozenset()
    floor: int = 0
    open_key: str | None = None
    look: Look = field(default_factory=Look)

    def write(self, folder: Path) -> None:
        content = asdict(self) | {"samples": sorted(self.samples)}
        write_atomic(folder / FILE, json.dumps(content).encode())


def read_memory(folder: Path | None) -> Memory | None:
    """What was written in a folder; None where nothing was, or something that cannot be read."""
    if folder is None:
        return None
    try:
        content = json.loads((folder / FILE).read_bytes())
        look = Look().change(content["look"])
        return Memory(frozenset(map(str, content["samples"])), int(content["floor"]), content["open_key"], look)
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None
