"""What the page sees of a workspace, as JSON: photos, masks in one of several views, and what is known of them."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from ..annotation import BACKGROUND, UNMARKED
from ..core.guidance import Guidance
from ..core.model import SCOPES, Scope
from ..core.parallel import side_by_side
from ..errors import InputError
from ..render import BACKGROUND_COLOR, heat_png, mask_png, outline
from ..workspace import Workspace

Reply = dict[str, Any]
Made = TypeVar("Made")

# A reply with many pictures brings those made in this many seconds, so that the first are soon on the screen.
REPLY_SECONDS = 0.2
SMALLEST_EDGE, LARGEST_EDGE = 16, 6144
# Of pictures this large, so many are kept: to read a photo of many megapixels again takes seconds.
LARGE, MOST_KEPT = 1024, 6

VIEWS = ("overlay", "mask", "outline", "probability", "novelty")
NOVELTY_COLOR = "#ff33cc"
HATCH = ("#ffffff", "#1f2937", None, None)  # diagonal stripes where a mask is unsure


@dataclass(frozen=True)
class Look:
    """How masks are seen. `scope` and `unsure` (0 to 1, see Workspace.mask) count for exported masks, too.

    view: one of VIEWS; label: the class whose probability is seen where that is the view.
    """

    scope: Scope = "everywhere"
    unsure: float = 0.0
    view: str = "overlay"
    label: str | None = None

    def change(self, wish: Reply) -> Look:
        """With what a message asks for. Raises InputError where there is no such thing."""
        after = replace(self, **{name: wish[name] for name in ("scope", "unsure", "view", "label") if name in wish})
        sure = isinstance(after.unsure, int | float) and 0 <= after.unsure <= 1
        if after.scope not in SCOPES or after.view not in VIEWS or not sure or not isinstance(after.label, str | None):
            raise InputError("There is no such way to look at masks; reload the page.")
        return after


class Seeing:
    """A workspace as one desk sees it. Any thread may call any method."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.look = Look()
        self._lock = threading.Lock()
        self._hurries = 0
        self._kept_picture = lru_cache(MOST_KEPT)(self._picture)  # a key stands for the same pixels for ever
        self._seen, self._revision = (workspace.session, self.look), 0

    @property
    def revision(self) -> int:
        """The number of what is seen now: one more whenever the session or the look has changed."""
        with self._lock:
            now = self.workspace.session, self.look
            if now[0] is not self._seen[0] or now[1] != self._seen[1]:
                self._seen = now
                self._revision += 1
            return self._revision

    def photos(self, keys: list[str], edge: int) -> Reply:
        """Pictures of images by key, their longer side at most `edge`; of the first that there is time for."""

        make = self._kept_picture if edge >= LARGE else self._picture
        return {"photos": self._in_time(keys, lambda key: make(key, edge))}

    def _picture(self, key: str, edge: int) -> str:
        picture = self.workspace.image(key)
        picture.thumbnail((edge, edge))
        return _data_url("jpeg", picture, quality=85)

    def masks(self, keys: list[str], edge: int) -> Reply:
        """Masks and summaries of images by key, the revision and view they are of; of the first that there is time for."""
        revision, view = self.revision, self.look.view
        made = self._in_time(keys, lambda key: (self.mask(key, edge), self._summary(key)))
        masks, summaries = ({key: parts and parts[i] for key, parts in made.items()} for i in (0, 1))
        return {"revision": revision, "view": view, "masks": masks, "summaries": summaries}

    def summaries(self, keys: list[str]) -> Reply:
        """The same without masks, for images that are not on the screen."""
        revision = self.revision
        return {"revision": revision, "summaries": self._in_time(keys, self._summary)}

    def agreement(self) -> Reply:
        """Workspace.agreement as pairs of clicks and accuracy, or None where it needs more time: ask again."""
        points = self.workspace.agreement(self._patience())
        return {"points": None if points is None else [[point.clicks, round(point.accuracy, 4)] for point in points]}

    def mask(self, key: str, edge: int) -> str | None:
        """The masks of an image as a picture whose longer side is at most `edge`; None where there is nothing to see."""
        if self._is_blank:
            return None
        look = self.look
        result = self.workspace.segment(key, look.scope)
        # What was renamed or removed meanwhile is shown as nothing: the page knows by the revision to ask again.
        colors = defaultdict(lambda: BACKGROUND_COLOR, self.workspace.session.colors)
        width, height = self.workspace.session.image(key).size
        shrink = min(1.0, edge / max(width, height))
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        if look.view == "novelty":
            return _png_url(heat_png(result.novelty_at(size), NOVELTY_COLOR))
        if look.view == "probability":
            label = result.classes[-1] if look.label is None else look.label
            if label in result.classes:
                likely = result.probabilities_at(size)[result.classes.index(label)]
            else:
                likely = np.zeros(size[::-1], np.float32)  # it is not marked yet
            return _png_url(heat_png(likely, colors[label]))
        labels = result.labels_at(size, look.unsure)
        if look.view == "outline":
            labels = outline(labels, max(2, round(max(size) / 320)))
        return _png_url(_hatched(labels, [colors[name] for name in result.classes]))

    def hurry(self) -> None:
        """Something more important is to be answered: end the answers under way early."""
        self._hurries += 1

    def _patience(self) -> Callable[[], bool]:
        """What says when an answer that is begun now has taken long enough."""
        until, hurries = time.monotonic() + REPLY_SECONDS, self._hurries
        return lambda: time.monotonic() > until or self._hurries != hurries

    @property
    def _is_blank(self) -> bool:
        return marked(self.workspace.guidance) <= {BACKGROUND}

    def _summary(self, key: str) -> Reply | None:
        if self._is_blank:
            return None
        summary = self.workspace.summary(key, self.look.scope, self.look.unsure)
        shares = {name: round(share, 4) for name, share in summary.shares.items()}
        click = [round(place, 1) for place in summary.click]
        told: Reply = {"shares": shares, "uncertainty": round(summary.uncertainty, 4), "click": click}
        return {**told, "kept": round(self.workspace.kept(key), 4)} if key in self.workspace.session.correct else told

    def _in_time(self, keys: list[str], make: Callable[[str], Made]) -> dict[str, Made | None]:
        """`make` for as many keys as there is time for, at least one."""
        known = {item.key for item in self.workspace.session.images}

        def made_of(key: str) -> Made | None:
            try:
                return make(key) if key in known else None
            except InputError:  # one photo that cannot be read any more must not keep the others from the page
                return None

        made: dict[str, Made | None] = {}
        enough = self._patience()
        with closing(side_by_side(made_of, keys)) as results:
            for key, result in zip(keys, results, strict=True):
                made[key] = result.result()
                if enough():
                    break
        return made


def marked(guidance: Guidance) -> set[str]:
    """Classes that are annotated somewhere."""
    return {name for annotation in guidance.annotations.values() for name in annotation.classes}


def edge_of(message: Reply) -> int:
    """The longer side of the pictures that a message asks for, within bounds."""
    return min(LARGEST_EDGE, max(SMALLEST_EDGE, int(message["edge"])))


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _hatched(labels: np.ndarray, colors: list[str]) -> bytes:
    """mask_png with stripes where a pixel has no class."""
    left_out = labels == UNMARKED
    if left_out.any():
        height, width = labels.shape
        step = max(2, max(height, width) // 160)
        stripe = (np.add.outer(np.arange(height), np.arange(width)) // step) % len(HATCH)
        values = np.array([0 if color is None else len(colors) + i for i, color in enumerate(HATCH)], np.uint8)
        labels = np.where(left_out, values[stripe], labels)
        colors = [*colors, *(color for color in HATCH if color)]
    return mask_png(labels, colors)


def _png_url(data: bytes) -> str:
    return "data:image/png;base64," + base64_of(data)


def _data_url(form: str, picture: Image.Image, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return f"data:image/{form};base64,{base64_of(buffer.getvalue())}"
