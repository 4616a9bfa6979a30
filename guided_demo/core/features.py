"""Encoded images kept for reuse, bounded: in memory first, then on disk; keyed by image and checkpoint."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
from collections import OrderedDict
from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..errors import InputError
from ..files import image_key, read_image, write_atomic
from ..geometry import Frame
from .edges import Edges
from .encoded import EncodedImage
from .encoder import Features, compact
from .model import GuidedSegmenter

EDGES = "edges."  # before the names of what edges hold, in a file
SWEEP = 32  # the folder is looked through whenever a 32nd of its bound was written: not for every image


class FeatureCache:
    """`encode` like GuidedSegmenter's, that works an image out once.

    memory_bytes: what is kept in memory at most, the longest unused leaving first; folder: where all can be read again later,
    up to disk_bytes and, unused, for disk_seconds; nothing is kept on disk without one. Safe to share between threads.
    """

    def __init__(
        self,
        segmenter: GuidedSegmenter,
        memory_bytes: int = 2 << 30,
        folder: Path | None = None,
        disk_bytes: int = 8 << 30,
        disk_seconds: float = math.inf,
    ) -> None:
        self.segmenter, self.memory_bytes, self.disk_bytes, self.disk_seconds = segmenter, memory_bytes, disk_bytes, disk_seconds
        self.folder = folder and Path(folder) / segmenter.checkpoint_id
        self._kept: OrderedDict[str, EncodedImage] = OrderedDict()
        self._held = self._written = 0  # bytes in memory, and on disk since the folder was looked through
        self._lock = threading.Lock()
        if self.folder:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # features tell much of a photo
            self._tidy(self.folder.parent)

    def encode(self, image: Any) -> EncodedImage:
        opened = read_image(image)
        key = image_key(opened)
        found = self.get(key)
        if found is None:
            found = self.segmenter.encode(opened)
            self._write(found)
            self._keep(found)
        return found

    def get(self, key: str) -> EncodedImage | None:
        """The encoded image of a key where it is still held."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = self._read(key)
        if found is not None:
            self._keep(found)
        return found

    def _keep(self, encoded: EncodedImage) -> None:
        with self._lock:
            if encoded.key not in self._kept:
                self._held += encoded.nbytes
            self._kept[encoded.key] = encoded
            self._kept.move_to_end(encoded.key)
            while len(self._kept) > 1 and self._held > self.memory_bytes:
                self._held -= self._kept.popitem(last=False)[1].nbytes

    def _write(self, encoded: EncodedImage) -> None:
        if self.folder is None:
            return
        kept = {**vars(encoded.features), **{EDGES + name: part for name, part in vars(encoded.edges).items()}}
        kept = {name: part.contiguous() for name, part in kept.items()}
        frame = {"size": encoded.frame.size, "content": encoded.frame.content}
        try:
            write_atomic(self.folder / f"{encoded.key}.safetensors", save(kept, {"frame": json.dumps(frame)}))
        except InputError:  # a full disk, say: then it is worked out again another time
            return
        with self._lock:
            self._written += encoded.nbytes
            if self._written <= self.disk_bytes // SWEEP:
                return
            self._written = 0
        self._tidy(self.folder.parent)

    def _tidy(self, folder: Path) -> None:
        """Delete what was not used for long, and the longest unused of what is too much, other checkpoints' too, and what is left
        of files that were being written when a program was killed."""
        files = []
        for file in folder.glob("*/*"):
            with contextlib.suppress(OSError):  # another program may have deleted it just now
                about = file.stat()
                files.append((about.st_mtime, about.st_size, file))
        total = self.disk_bytes // SWEEP  # room for what comes until the next time
        for used, size, file in sorted(files, reverse=True):
            total += size
            if total > self.disk_bytes or time.time() - used > self.disk_seconds:
                with contextlib.suppress(OSError):
                    file.unlink()

    def _read(self, key: str) -> EncodedImage | None:
        path = self.folder / f"{key}.safetensors" if self.folder else None
        if path is None or not path.is_file():
            return None
        try:
            os.utime(path)  # its last use
            with safe_open(path, "pt") as file:
                about = json.loads(file.metadata()["frame"])
                frame = Frame(tuple(about["size"]), tuple(about["content"]))
                kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                edges = Edges(**{f.name: kept.pop(EDGES + f.name) for f in fields(Edges)})
                features = Features(**kept).map(compact)
                if frame != Frame.fit(frame.size, self.segmenter.side):
                    raise ValueError("an earlier version showed this photo to the network in another size")
        except (SafetensorError, OSError, KeyError, ValueError, TypeError):
            return None
        return EncodedImage(key, frame, self.segmenter.checkpoint_id, features, edges)
