"""Who has which desk: a random token for every page load, its state freed when the page has gone or rested too long."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .protocol import Desk

# A page that is gone may be a reload, or a phone that fell asleep: its work waits this long for it.
GRACE_SECONDS = 30 * 60.0
IDLE_SECONDS = 12 * 3600.0
MOST_DESKS = 200


@dataclass
class _Place:
    desk: Desk
    folder: Path
    used: float
    left: float | None = None


@dataclass
class Sessions:
    """Desks by token. A token is known to one page only; whoever does not have it cannot reach the desk.

    make: builds a desk whose workspace lives in the folder it is given; the folder is deleted with the desk.
    """

    make: Callable[[Path], Desk]
    clock: Callable[[], float] = time.monotonic
    _root: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="guided-demo-")))
    _places: dict[str, _Place] = field(default_factory=dict)
    _pages: dict[str, str] = field(default_factory=dict)  # page (as the host names it) -> token
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def open(self, old: str | None = None) -> tuple[str, Desk]:
        """A new token, with the desk that had the token `old`, or else with a new desk. `old` is of no use any more."""
        with self._lock:
            self._sweep()
            place = self._places.pop(old, None) if old else None
        if place is None:
            folder = Path(tempfile.mkdtemp(dir=self._root))
            place = _Place(self.make(folder), folder, self.clock())
        token = secrets.token_urlsafe(24)
        with self._lock:
            place.left = None
            place.used = self.clock()
            self._places[token] = place
        return token, place.desk

    def find(self, token: object) -> Desk | None:
        """The desk of a token, or None where there is none (any more)."""
        with self._lock:
            place = self._places.get(token) if isinstance(token, str) else None
            if place is None:
                return None
            place.used = self.clock()
            return place.desk

    def enter(self, page: str, token: str) -> None:
        """Remember that the page the host knows as `page` holds this token."""
        with self._lock:
            self._pages[page] = token

    def leave(self, page: str) -> None:
        """The page has gone; its desk is kept for a while, in case it comes back."""
        with self._lock:
            place = self._places.get(self._pages.pop(page, ""))
            if place is not None:
                place.left = self.clock()
            self._sweep()

    def close(self) -> None:
        """Free everything."""
        with self._lock:
            self._places.clear()
        shutil.rmtree(self._root, ignore_errors=True)

    def _sweep(self) -> None:
        now = self.clock()
        by_use = sorted(self._places, key=lambda token: self._places[token].used)
        crowd = len(by_use) - MOST_DESKS
        for rank, token in enumerate(by_use):
            place = self._places[token]
            gone = place.left is not None and now - max(place.left, place.used) > GRACE_SECONDS
            if gone or now - place.used > IDLE_SECONDS or rank < crowd:
                del self._places[token]
                shutil.rmtree(place.folder, ignore_errors=True)
