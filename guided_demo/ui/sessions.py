"""Who has which desk: a random token for every page load; the desk outlives its page, and in a lasting folder the server."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from ..files import write_atomic, writing
from .protocol import Desk

# A page that is gone may be a reload, or a phone that fell asleep: its desk waits this long for it.
GRACE_SECONDS = 30 * 60.0
IDLE_SECONDS = 12 * 3600.0
MOST_DESKS = 200
MOST_OTHERS = 8  # as many tokens a page remembers, see gradio_canvas.py
# What was marked stays in a lasting folder for this long after it was looked at last.
KEEP_SECONDS = 30 * 24 * 3600.0
TOUCH_SECONDS = 60.0
FILE = "token.json"


@dataclass
class _Place:
    """digests: of the token, and, until that is used, of the one before: the page may not have heard of the new one."""

    desk: Desk
    folder: Path
    used: float
    digests: tuple[str, ...] = ()
    left: float | None = None

    @property
    def is_left(self) -> bool:
        """Whether its page has gone. One that is still heard of has only lost the connection that tells."""
        return self.left is not None and self.used - self.left < TOUCH_SECONDS


@dataclass
class Sessions:
    """Desks by token. A token is known to one page only; whoever does not have it cannot reach the desk.

    make: builds a desk whose workspace lives in the folder it is given, new or from before.
    root: a folder in which desks last until they were not looked at for KEEP_SECONDS, whatever becomes of the server; it is
        made for the user's eyes only, or keeps its rights where it is there already: what is made in it is the user's alone.
        Without one, desks are in a temporary folder, and go with their page.
    """

    make: Callable[[Path], Desk]
    root: Path | None = None
    clock: Callable[[], float] = time.time
    _places: dict[str, _Place] = field(default_factory=dict)  # by the digest of their token
    _pages: dict[str, str] = field(default_factory=dict)  # page (as the host names it) -> digest
    _opening: set[Path] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _reopening: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="guided-demo-")) if self.root is None else self.root
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open(self, old: object = None, others: Sequence[object] = ()) -> tuple[str, Desk, object]:
        """A new token, with the desk of the token `old`, or else that of the first of `others` there is one for, or else a new
        desk; and the token that this one replaces, which from here on is of no use, or None.

        old: the token this page had. others: those that other pages of this browser had; one counts if no page has its desk.
        """
        with self._lock:
            self._sweep()
        known = [token for token in (old, *others[:MOST_OTHERS]) if token]
        # One after the other: pages that come with the same token, as by two quick reloads, would have two desks in one folder.
        with self._reopening if known else nullcontext():
            found = ((token, self._reclaim(token, only_left=token is not old)) for token in known)
            was, place = next(((token, place) for token, place in found if place), (None, None))
            token = secrets.token_urlsafe(24)
            place = place or self._new()
            with self._lock:
                for digest in place.digests:
                    self._places.pop(digest, None)
                place.digests = (_digest(token), *([_digest(was)] if was else []))
                place.left = None
                place.used = self.clock()
                self._places[place.digests[0]] = place
                self._write(place)
        return token, place.desk, was

    def find(self, token: object) -> Desk | None:
        """The desk of a token, or None where there is none (any more)."""
        with self._lock:
            place = self._places.get(_digest(token))
            if place is None:
                return None
            now = self.clock()
            if len(place.digests) > 1 or now - place.used > TOUCH_SECONDS:
                place.digests = place.digests[:1]
                self._write(place)
            place.used = now
            return place.desk

    def is_kept(self, token: object) -> bool:
        """Whether `open` would bring back what had this token, though `find` does not: the server was started again."""
        return self._stored(_digest(token)) is not None

    def enter(self, page: str, token: object) -> None:
        """Remember that the page the host knows as `page` holds this token."""
        with self._lock:
            if _digest(token) in self._places:  # else nothing would ever take the page from here
                self._pages[page] = _digest(token)

    def leave(self, page: str) -> None:
        """The page has gone; its desk is kept for a while, in case it comes back."""
        with self._lock:
            place = self._places.get(self._pages.pop(page, ""))
            if place is not None:
                place.left = self.clock()
            self._sweep()

    def close(self) -> None:
        """Let everything go; what lasts can be opened again."""
        with self._lock:
            for digest in list(self._places):
                self._let_go(digest)
        if self.root is None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _new(self) -> _Place:
        with writing(self._folder):
            folder = Path(tempfile.mkdtemp(dir=self._folder))  # for the user's eyes only
        try:
            return _Place(self.make(folder), folder, self.clock())
        except BaseException:  # a full disk, say: no token leads there, and the page asks again every few seconds
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _reclaim(self, token: object, only_left: bool = False) -> _Place | None:
        """The place of a token, for `open` to give to another; from the lasting folder where it is not at hand."""
        digest = _digest(token)
        with self._lock:
            for place in list(self._places.values()):
                if digest in place.digests:
                    return None if only_left and not place.is_left else place
            folder = self._stored(digest)
            if folder is None:
                return None
            self._opening.add(folder)
        try:
            return _Place(self.make(folder), folder, self.clock())
        except InputError as error:
            logging.getLogger(__name__).warning("%s cannot be opened: %s", folder, error)
            return None
        finally:
            with self._lock:
                self._opening.discard(folder)

    def _stored(self, digest: str) -> Path | None:
        """The folder of a desk that is not at hand."""
        with self._lock:  # and not while folders are read, which would keep others waiting
            at_hand = {place.folder for place in self._places.values()} | self._opening
        return next((f for f, known, _ in self._folders() if digest in known and f not in at_hand), None)

    def _folders(self) -> Iterator[tuple[Path, list[str], float]]:
        """The lasting folders, with the digests of the tokens that open them, and when these were written."""
        for file in self._folder.glob(f"*/{FILE}") if self.root else ():
            try:
                yield file.parent, json.loads(file.read_bytes())["tokens"], file.stat().st_mtime
            except (OSError, ValueError, KeyError, TypeError):
                continue  # another program may have taken it away just now

    def _write(self, place: _Place) -> None:
        if self.root is None:
            return
        try:
            write_atomic(place.folder / FILE, json.dumps({"tokens": place.digests}).encode())
            os.utime(place.folder / FILE, (self.clock(), self.clock()))
        except InputError as error:  # the disk is full: that ends what is new, not looking at what is there
            logging.getLogger(__name__).warning("%s", error)

    def _sweep(self) -> None:
        now = self.clock()

        def worth(digest: str) -> tuple[bool, float]:
            # Empty desks go first, however new: else whoever opens many ends the work of all others.
            place = self._places[digest]
            return now - place.used < GRACE_SECONDS and place.desk.is_touched, place.used

        by_worth = sorted(self._places, key=worth)
        crowd = len(by_worth) - MOST_DESKS
        for rank, digest in enumerate(by_worth):
            place = self._places[digest]
            gone = place.left is not None and now - max(place.left, place.used) > GRACE_SECONDS
            if gone or now - place.used > IDLE_SECONDS or rank < crowd:
                self._let_go(digest)
        at_hand = {place.folder for place in self._places.values()} | self._opening
        for folder, _, written in list(self._folders()):
            if folder not in at_hand and now - written > KEEP_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    def _let_go(self, digest: str) -> None:
        place = self._places.pop(digest)
        self._pages = {page: known for page, known in self._pages.items() if known != digest}
        place.desk.close()
        if self.root is None or not place.desk.is_touched:
            shutil.rmtree(place.folder, ignore_errors=True)


def _digest(token: object) -> str:
    """What is kept of a token. Nothing has the digest of what is no token."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest() if isinstance(token, str) and token else ""
