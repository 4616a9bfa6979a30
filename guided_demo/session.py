"""One user's work as a value: images, classes, annotations, loaded guidance, and every state before and after.

A Session never changes; `apply(event)`, `undo()` and `redo()` return another one. States are kept whole and share
what they have in common, so going back gives exactly what was there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar, Protocol

from .annotation import BACKGROUND, MAX_CLASSES, Annotation
from .core.guidance import Guidance
from .errors import InputError
from .render import BACKGROUND_COLOR, next_color


@dataclass(frozen=True)
class ImageItem:
    """An image of the gallery. key: its digest; name: as the user knows it; size: (W, H) in pixels, upright."""

    key: str
    name: str
    size: tuple[int, int]


@dataclass(frozen=True)
class ClassItem:
    """A named class and its colour, "#rrggbb"."""

    name: str
    color: str


@dataclass(frozen=True)
class State:
    """What undo and redo move between. `own` has what was marked here; `loaded` what came from guidance files, without the
    images whose annotation has been changed here since."""

    classes: tuple[ClassItem, ...] = (ClassItem(BACKGROUND, BACKGROUND_COLOR),)
    own: Mapping[str, Annotation] = field(default_factory=lambda: MappingProxyType({}))
    loaded: Guidance = field(default_factory=Guidance.empty)
    removed: frozenset[str] = frozenset()
    correct: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Step:
    """What undo takes back at once: events, most often one, and the state on the other side of them: before them in the past of
    a session, after them in its future. together: what events that belong to one step have in common, see Session.apply."""

    events: tuple[Event, ...]
    state: State
    together: str | None = None


@dataclass(frozen=True)
class Session:
    """A user's work and its history. `library`: every image ever added; those removed are not in `images`."""

    library: tuple[ImageItem, ...] = ()
    state: State = field(default_factory=State)
    past: tuple[Step, ...] = ()
    future: tuple[Step, ...] = ()  # what was undone, the next one last

    def __repr__(self) -> str:
        marked = f"{len(self.annotations)} of {len(self.images)} images marked"
        steps = f"{len(self.past)} steps to undo, {len(self.future)} to redo"
        return f"Session({marked}; classes {', '.join(self.class_names)}; {steps})"

    @cached_property  # as it is asked for with every image
    def images(self) -> tuple[ImageItem, ...]:
        return tuple(item for item in self.library if item.key not in self.state.removed)

    @property
    def classes(self) -> tuple[ClassItem, ...]:
        """`background` first, then in the order they were added."""
        return self.state.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(item.name for item in self.classes)

    @property
    def colors(self) -> dict[str, str]:
        return {item.name: item.color for item in self.classes}

    @property
    def annotations(self) -> dict[str, Annotation]:
        """What is marked on the images of the gallery, by key, whether here or in loaded guidance; none is empty."""
        found = {item.key: self.annotation(item.key) for item in self.images}
        return {key: annotation for key, annotation in found.items() if not annotation.is_empty}

    @cached_property
    def correct(self) -> frozenset[str]:
        """Keys of the images of the gallery whose mask the user has marked as correct."""
        return self.state.correct.intersection(item.key for item in self.images)

    def annotation(self, key: str) -> Annotation:
        """What is marked on an image: here, or else in the loaded guidance, or else nothing."""
        return self.state.own.get(key) or self.state.loaded.annotations.get(key) or Annotation()

    def count_marks(self, name: str) -> int:
        """How many marks are of a class, in loaded guidance of other images, too; a dense mask with the class counts as one."""
        labels: list[str | None] = []
        for annotation in (*self.state.own.values(), *self.state.loaded.annotations.values()):
            labels += [mark.label for mark in annotation.marks]
            labels += annotation.mask.classes if annotation.mask else ()
        return labels.count(name)

    def image(self, key: str, removed: bool = False) -> ImageItem:
        """The image of the gallery, or, with `removed`, one that has left it, by its key; raises InputError if there is none."""
        item = self._by_key.get(key)
        if item is None or (key in self.state.removed and not removed):
            raise InputError("This image is not in the gallery any more.")
        return item

    @cached_property
    def _by_key(self) -> dict[str, ImageItem]:
        return {item.key: item for item in self.library}

    def apply(self, event: Event, together: str | None = None) -> Session:
        """The session after an event; the same session if it changes nothing. Raises InputError if it cannot be.

        together: any word; events in a row that have the same one are undone together, as what many files brought.
        """
        after = event.on(self)
        if after is self or not event.undoable:
            return after
        past, step = self.past, Step((event,), self.state, together)
        if together is not None and past and past[-1].together == together:
            past, step = past[:-1], replace(past[-1], events=(*past[-1].events, event))
        return replace(after, past=(*past, step), future=())

    def undo(self) -> Session:
        """The session before the last step that can be undone; the same session if there is none."""
        if not self.past:
            return self
        step = self.past[-1]
        undone = replace(step, state=self.state)
        return replace(self, state=step.state, past=self.past[:-1], future=(*self.future, undone))

    def redo(self) -> Session:
        """The session after the step undone last; the same session if there is none."""
        if not self.future:
            return self
        step = self.future[-1]
        done = replace(step, state=self.state)
        return replace(self, state=step.state, past=(*self.past, done), future=self.future[:-1])

    def with_state(self, **changes) -> Session:
        return replace(self, state=replace(self.state, **changes))

    def with_back(self, keys: Iterable[str]) -> Session:
        """With removed images in the gallery again, in every state that undo and redo lead to from here, too."""
        back = self.state.removed.intersection(keys)

        def brought(state: State) -> State:
            return replace(state, removed=state.removed - back) if state.removed & back else state

        past, future = (tuple(replace(s, state=brought(s.state)) for s in steps) for steps in (self.past, self.future))
        return replace(self, state=brought(self.state), past=past, future=future) if back else self

    def with_annotation(self, key: str, annotation: Annotation) -> Session:
        """With the whole annotation of an image replaced; from here on it counts as marked here."""
        if annotation == self.annotation(key):
            return self
        own = {**self.state.own, key: annotation}
        if annotation.is_empty:
            del own[key]
        return self.with_state(own=MappingProxyType(own), loaded=self.state.loaded.without(key))

    def with_loaded_here(self) -> Session:
        """With what loaded guidance has of the images of the gallery as if it had been marked here, to be made anew."""
        loaded = self.state.loaded
        here = {item.key: loaded.annotations[item.key] for item in self.images if item.key in loaded.annotations}
        return self.with_state(own=MappingProxyType({**self.state.own, **here}), loaded=loaded.without(*here))

    def with_class(self, name: str, color: str | None = None) -> Session:
        """With one more class, in the next colour where none is given; the same session if there is one of the name."""
        if name in self.colors:
            return self
        if len(self.classes) >= MAX_CLASSES:
            raise InputError(f"There can be at most {MAX_CLASSES} classes.")
        color = color or next_color(self.colors.values())
        return self.with_state(classes=(*self.classes, ClassItem(name, color)))


class Event(Protocol):
    """Something the user did. `on` gives the session after it; `undoable` says whether undo takes it back."""

    undoable: ClassVar[bool]

    def on(self, session: Session) -> Session: ...
