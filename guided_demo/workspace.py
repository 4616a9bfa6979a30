"""A session and a segmenter together: what the page, the widget and the command line all call to get masks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from .agreement import Agreement, Labelled, curve, history, overlap, then
from .annotation import Annotation
from .core.encoded import EncodedImage
from .core.features import FeatureCache
from .core.guidance import Guidance, merge
from .core.model import GuidedSegmenter, Scope
from .core.parallel import side_by_side
from .core.result import Result
from .errors import InputError, legible
from .events import AddImages, LoadGuidance
from .export import Mask, write
from .files import ImageSource
from .recent import Recent
from .session import ClassItem, Event, ImageItem, Session, State
from .storage import Journal, Sources
from .summary import Summary, small, summarize
from .zips import zip_bytes

KEPT = 256  # contributions of images
RESULT_BYTES = 256 << 20  # of results that are kept


@dataclass(frozen=True)
class Problem:
    """An input that could not be used. name: the user's name of it; sentence: what is wrong and what to do."""

    name: str
    sentence: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", legible(self.name))
        object.__setattr__(self, "sentence", legible(self.sentence))


class Workspace:
    """One user's images, annotations and masks. Any thread may call any method.

    segmenter: shared by all workspaces, as is `cache`, which holds encoded images by their digest.
    folder: where everything done is kept as it happens; opened again, the work and its history are back. Raises InputError
    while another program has it open; within this program, the workspace that opened it last goes on.
    """

    def __init__(self, segmenter: GuidedSegmenter, folder: str | Path | None = None, cache: FeatureCache | None = None):
        self.segmenter = segmenter
        self._cache = cache or FeatureCache(segmenter)
        self._journal = None if folder is None else Journal(Path(folder))
        self._sources = Sources(None if folder is None else Path(folder))
        self._session = Session() if self._journal is None else self._journal.replay()
        self._lock = threading.RLock()
        self._contributions = Recent(KEPT)
        self._results = Recent(RESULT_BYTES)
        self._summaries = Recent(8192)
        self._guidance: tuple[tuple[Any, ...], Guidance] | None = None
        self._earlier = Recent(4096)
        self._earlier_guidance = Recent(1)
        self._history = Recent(1)
        self._watchers: tuple[Callable[[], None], ...] = ()

    @property
    def session(self) -> Session:
        return self._session

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have `changed()` called after every change of the session, by whoever made it. Returns what ends this."""

        def end() -> None:
            with self._lock:
                self._watchers = tuple(other for other in self._watchers if other is not changed)

        with self._lock:
            self._watchers = (*self._watchers, changed)
        return end

    def apply(self, event: Event, together: str | None = None) -> Session:
        """Apply an event, and keep it. Raises InputError, and changes nothing, if it cannot be applied. together: as for
        Session.apply."""
        if isinstance(event, LoadGuidance):
            event = replace(event, guidance=self._adapted(event.guidance))
        return self._change(lambda session: session.apply(event, together), event, together)

    def undo(self) -> Session:
        return self._change(Session.undo, "undo")

    def redo(self) -> Session:
        return self._change(Session.redo, "redo")

    def add_image(self, name: str, source: ImageSource) -> str:
        """Read and encode an image, add it to the gallery, return its key. A picture that is there is not added twice.

        Raises InputError if it cannot be read. A path is read again when the image has left the cache.
        """
        return self._add(self._read((name, source)))

    def adding(self, images: Iterable[tuple[str, ImageSource]]) -> Iterator[Callable[[], str]]:
        """`add_image` of (name, source) pairs: a call for each, in order, while those after it are read and encoded already."""
        for reading in side_by_side(self._read, images):
            yield lambda reading=reading: self._add(reading.result())  # type: ignore[misc]

    def add_images(self, images: Iterable[tuple[str, ImageSource]]) -> list[Problem]:
        """Add (name, source) pairs, and return those that could not be; the others are done."""
        images = list(images)
        problems = []
        for (name, _), add in zip(images, self.adding(images), strict=True):
            try:
                add()
            except InputError as error:
                problems.append(Problem(name, str(error)))
        return problems

    def image(self, key: str) -> Image.Image:
        """The upright RGB image, read again from where it came."""
        return self._sources.read(self.session.image(key))

    def image_file(self, key: str) -> bytes:
        """The bytes of the image's file as it was added."""
        return self._sources.file(self.session.image(key, removed=True))

    def summary(self, key: str, scope: Scope = "everywhere", unsure: float = 0.0) -> Summary:
        """Shares of the classes, uncertainty, and where a click would help most; kept as the masks are, and for more images."""
        with self._lock:
            made_of = self.guidance, self._session.annotation(key), unsure
            known = self._summaries.get((key, scope))
        if known is None or known[0][0] is not made_of[0] or known[0][1:] != made_of[1:]:
            made = summarize(self.segment(key, scope), self.session.image(key).size, unsure)
            with self._lock:
                known = self._summaries.put((key, scope), (made_of, made))
        return known[1]

    def kept(self, key: str) -> float:
        """How far the masks of an image are still what they were when it was marked as correct, which it has to be, 0 to 1: later
        marks change them, too."""
        result = self.segment(key)
        with self._lock:
            session = self._session
            # Every photo asks for it after every stroke.
            known = self._history.get(id(session)) or self._history.put(id(session), (session, history(session)))
        truth = then(known[1], self._small_masks, key)
        return overlap((result.classes, result.labels_at(small(session.image(key).size))), truth)

    def agreement(self, enough: Callable[[], bool] = lambda: False) -> tuple[Agreement, ...] | None:
        """How the masks came to agree, click by click, with those marked as correct; of use to draw a chart of.

        The first time it takes as long as segmenting these images some twenty times; later calls go on from there.
        enough: asked on the way; where it says so, this gives None, and the next call goes on from there.
        """
        made = 0

        def masks(state: State, key: str) -> Labelled:
            nonlocal made
            is_new = (id(state), key) not in self._earlier
            if is_new and made and enough():
                raise TimeoutError
            made += is_new
            return self._small_masks(state, key)

        try:
            return curve(self.session, masks)
        except TimeoutError:
            return None

    def encoded(self, key: str) -> EncodedImage:
        # The history has what was marked on images that have left the gallery since.
        return self._cache.get(key) or self._cache.encode(self._sources.read(self._session.image(key, removed=True)))

    @property
    def guidance(self) -> Guidance:
        """All that guides now: what was loaded, unless it is `left_out`, and what is marked here."""
        with self._lock:
            state = self._session.state
            library = self._session.library if self._is_foreign(state.loaded) else None
            made_of = state.own, state.loaded, library
            if self._guidance is None or any(a is not b for a, b in zip(made_of, self._guidance[0], strict=True)):
                self._guidance = made_of, self._merged(state)
            return self._guidance[1]

    @property
    def left_out(self) -> str | None:
        """Why guidance that was loaded with an earlier checkpoint does not guide, in a sentence; None where it does. It is kept,
        and guides again as soon as the photos that it was made from are here."""
        with self._lock:
            try:
                self._adapted(self._session.state.loaded)
            except InputError as error:
                return str(error)
            return None

    def contribution(self, key: str) -> Guidance:
        """What is marked on an image adds this to `guidance`; kept, so that who asks early spares encoding the image again."""
        return self._contribution(key, self._session.annotation(key))

    def segment(self, key: str, scope: Scope = "everywhere") -> Result:
        """The masks of an image under all guidance and its own annotation; kept until one of these changes."""
        encoded = self.encoded(key)  # may take long, so not under the lock
        with self._lock:
            guidance, annotation = self.guidance, self._session.annotation(key)
        return self._segmented(encoded, guidance, annotation, scope)

    def _segmented(self, encoded: EncodedImage, guidance: Guidance, annotation: Annotation, scope: Scope) -> Result:
        with self._lock:
            cached = self._results.get((encoded.key, scope))
        if cached is None or cached[0] is not guidance or cached[1] != annotation:
            own = None if annotation.is_empty else annotation
            result = self.segmenter.segment(encoded, guidance, annotation=own, scope=scope)
            with self._lock:
                # A result holds on to the semantics of its image: they tell what is new to guidance.
                weight = result.nbytes + encoded.features.semantic.nbytes
                cached = self._results.put((encoded.key, scope), (guidance, annotation, result), weight)
        return cached[2]

    @property
    def mask_classes(self) -> tuple[ClassItem, ...]:
        """The classes that label values stand for in every mask, the background first."""
        with self._lock:
            return tuple(ClassItem(name, self.session.colors[name]) for name in self.guidance.classes)

    def mask(self, name: str, key: str, scope: Scope = "everywhere", unsure: float = 0.0) -> Mask:
        """The mask of an image, to be exported under a name.

        unsure: pixels whose likeliest class is less likely than this, 0 to 1, are left without a class: 255.
        """
        return self._mask(name, self.session.image(key), self.segment(key, scope), unsure)

    def masks(self, scope: Scope = "everywhere", unsure: float = 0.0) -> Iterator[Mask]:
        """`mask` of every image of the gallery under its own name, in order; a few are worked out at a time. All are by what is
        marked now, whatever is until they are asked for."""
        with self._lock:
            session, guidance = self._session, self.guidance

        def made(item: ImageItem) -> Mask:
            result = self._segmented(self.encoded(item.key), guidance, session.annotation(item.key), scope)
            return self._mask(item.name, item, result, unsure)

        return (making.result() for making in side_by_side(made, session.images))

    def _mask(self, name: str, item: ImageItem, result: Result, unsure: float) -> Mask:
        # Not `labels`, which the result would keep for as long as the result is kept.
        return Mask(name, result.labels_at(item.size, unsure), lambda: self._sources.read(item))

    def export(self, form: str = "png", scope: Scope = "everywhere", unsure: float = 0.0) -> Iterator[tuple[str, bytes]]:
        """The masks of all images as (file name, bytes). form: a key of export.FORMATS; unsure: as for `mask`."""
        with self._lock:
            names = [item.name for item in self._session.images]
            return write(self.masks(scope, unsure), self.mask_classes, form, names)

    def export_zip(self, form: str = "png", scope: Scope = "everywhere", unsure: float = 0.0) -> bytes:
        """The same files in one zip."""
        return zip_bytes(self.export(form, scope, unsure))

    def close(self) -> None:
        """Let another program open the folder. What is here can still be looked at, but no longer be changed."""
        if self._journal is not None:
            self._journal.close()

    def _read(self, named: tuple[str, ImageSource]) -> ImageItem:
        """Read and encode an image, which need not be in the gallery."""
        item, image = self._sources.take(*named)
        self._cache.encode(image)
        return item

    def _add(self, item: ImageItem) -> str:
        self.apply(AddImages((item,)))
        return item.key

    def _change(self, change: Callable[[Session], Session], done: Event | str, together: str | None = None) -> Session:
        with self._lock:
            after = change(self._session)
            if after is not self._session:
                if self._journal is not None:
                    self._journal.append(done, together)
                self._session = after
                for changed in self._watchers:
                    changed()
            return after

    def _adapted(self, guidance: Guidance) -> Guidance:
        """The guidance itself, or, if another checkpoint made it, guidance made anew from its strokes."""
        if not self._is_foreign(guidance):
            return guidance
        missing = set(guidance.images) - {item.key for item in self.session.library}
        if missing:
            raise InputError(
                f"This guidance was made with checkpoint {guidance.checkpoint_id}, but {self.segmenter.checkpoint_id} is "
                f"loaded; add the photos it was made from first ({len(missing)} are not here), and it is made anew."
            )
        return merge(self._contribution(key, annotation) for key, annotation in guidance.annotations.items())

    def _small_masks(self, state: State, key: str) -> Labelled:
        """The masks of an image in this or an earlier state of the session, at most 128 pixels a side."""
        encoded = self.encoded(key)
        with self._lock:
            # The state is kept with what is known of it, so that its id stays its own.
            known = self._earlier.get((id(state), key))
            if known is None:
                merged = self._earlier_guidance.get(id(state))
                if merged is None:
                    merged = self._earlier_guidance.put(id(state), (state, self._merged(state)))
                annotation = replace(self._session, state=state).annotation(key)
                own = None if annotation.is_empty else annotation
                result = self.segmenter.segment(encoded, merged[1], annotation=own)
                known = self._earlier.put((id(state), key), (state, (result.classes, result.labels_at(small(encoded.size)))))
            return known[1]

    def _is_foreign(self, guidance: Guidance) -> bool:
        return bool(guidance.ledger) and guidance.checkpoint_id != self.segmenter.checkpoint_id

    def _merged(self, state: State) -> Guidance:
        # Work from before may have loaded what the checkpoint of then made.
        try:
            loaded = self._adapted(state.loaded)
        except InputError:
            loaded = Guidance.empty()
        return merge([loaded, *(self._contribution(key, annotation) for key, annotation in state.own.items())])

    def _contribution(self, key: str, annotation: Annotation) -> Guidance:
        with self._lock:
            # Room for twice what is marked, or every stroke would have all images of a large import guide anew.
            state = self._session.state
            self._contributions.limit = max(KEPT, 2 * (len(state.own) + len(state.loaded.ledger)))
            known = self._contributions.get((key, annotation))
            if known is None:
                known = self._contributions.put((key, annotation), self.segmenter.guide(self.encoded(key), annotation))
            return known
