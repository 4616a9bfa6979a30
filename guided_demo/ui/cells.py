"""Where the work of a call of `annotate` is: nothing that was marked goes when a cell is run again."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

from IPython import get_ipython

from ..core.features import FeatureCache
from ..core.model import GuidedSegmenter
from ..errors import InputError
from ..events import RemoveImages
from ..workspace import Workspace


@dataclass
class Place:
    """A workspace, and the keys of the images that `annotate` was asked to show in it last."""

    workspace: Workspace
    asked: frozenset[str] = frozenset()

    def ask(self, keys: frozenset[str]) -> None:
        """Note what is asked for now. What was before and is no longer leaves the gallery, unless it is marked."""
        session = self.workspace.session
        here = {item.key for item in session.images} - set(session.annotations)
        if gone := (self.asked - keys) & here:
            self.workspace.apply(RemoveImages(tuple(gone)))
        self.asked = keys


_places: dict[tuple[str, int], Place] = {}  # by cell, and how many calls of the same run came before
_runs: dict[str, tuple[str, int]] = {}  # by cell: its last run, and the last call of that


def place_of(workspace: Workspace | str | os.PathLike | None) -> Place:
    """The place of the workspace that `annotate` was given; without one, that of the cell's last run, or a new one.

    Raises InputError for what is neither a workspace nor a folder, and for a folder that cannot be had.
    """
    if isinstance(workspace, Workspace):
        return Place(workspace)
    if isinstance(workspace, str | os.PathLike):
        return Place(_new(Path(workspace).expanduser()))
    if workspace is not None:
        raise InputError(f"workspace is a {type(workspace).__name__}; give a folder to keep the work in, or a Workspace.")
    call = _call()
    if call is None:
        return Place(_new())
    if call not in _places:
        _places[call] = Place(_new())
    return _places[call]


def _new(folder: Path | None = None) -> Workspace:
    cache = _cache()
    return Workspace(cache.segmenter, folder, cache)


@functools.cache
def _cache() -> FeatureCache:
    """What all have in common, so that neither the network nor a photo is read twice."""
    return FeatureCache(GuidedSegmenter.load())


def _call() -> tuple[str, int] | None:
    """The cell that runs now, and how many calls came before in this run; None where there is no cell that can be told."""
    shell = get_ipython()
    request = shell.get_parent() if hasattr(shell, "get_parent") else {}
    cell = request.get("metadata", {}).get("cellId")
    if cell is None:
        return None
    run, number = _runs.get(cell, ("", 0))
    now = request["header"]["msg_id"]
    _runs[cell] = now, number + 1 if run == now else 0
    return cell, _runs[cell][1]
