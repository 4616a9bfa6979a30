"""What a user can do, one immutable event each: `session.apply(event)` gives the session after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar

from .annotation import BACKGROUND, Annotation, Mark
from .core.guidance import Guidance
from .errors import InputError
from .marks import check_name
from .naming import distinct
from .render import parse_color
from .session import Event, ImageItem, Session


@dataclass(frozen=True)
class AddImages:
    """Images join the gallery; those that are in it already stay as they are. Undo does not take images away.

    Those of one name, as from several cards of a camera, are told apart by a number, here and in all that is written.
    """

    items: tuple[ImageItem, ...]
    undoable: ClassVar[bool] = False

    def on(self, session: Session) -> Session:
        known = {item.key for item in session.library}
        library = list(session.library)
        for item in self.items:
            if item.key not in known:
                library.append(replace(item, name=distinct(item.name, (other.name for other in library))))
                known.add(item.key)
        return replace(session, library=tuple(library)).with_back(item.key for item in self.items)


@dataclass(frozen=True)
class RemoveImages:
    """Images leave the gallery, and what was marked on them no longer guides."""

    keys: tuple[str, ...]
    undoable: ClassVar[bool] = True

    def on(self, session: Session) -> Session:
        for key in self.keys:
            session.image(key)
            session = session.with_annotation(key, Annotation())
        return session.with_state(removed=session.state.removed | set(self.keys), correct=session.state.correct - set(self.keys))


@dataclass(frozen=True)
class AddClass:
    """A new named class; its colour, "#rrggbb", is the next of the palette where none is given."""

    name: str
    color: str | None = None
    undoable: ClassVar[bool] = True

    def on(self, session: Session) -> Session:
        if self.color is not None:
            parse_color(self.color)
        return session.with_class(_new_name(session, self.name), self.color)


@dataclass(frozen=True)
class RenameClass:
    """A class gets another name, on every image and in loaded guidance."""

    old: str
    new: str
    undoable: ClassVar[bool] = True

    def on(self, session: Session) -> Session:
        _check_own_class(session, self.old, "renamed")
        if self.new.strip() == self.old:
            return session
        new = _new_name(session, self.new)
        renamed = (replace(item, name=new) if item.name == self.old else item for item in session.classes)
        return _relabelled(session, self.old, new).with_state(classes=tuple(renamed))


@dataclass(frozen=True)
class MergeClass:
    """A class becomes part of another, whose name and colour stay: all that was marked with it is marked with that one."""

    name: str
    into: str
    undoable: ClassVar[bool] = True

    def on(self, session: Session) -> Session:
        _check_own_class(session, self.name, "merged into another class")
        _check_class(session, self.into)
        if self.into == self.name:
            return session
        # What loaded guidance has of a photo with both has to be made anew, from what is marked there.
        pair = {self.name, self.into}
        both = {guides.key for guides in session.state.loaded.ledger.values() if pair <= guides.samples.keys()}
        absent = both - {item.key for item in session.images}
        if absent:
            photos = "a photo that is" if len(absent) == 1 else f"{len(absent)} photos that are"
            them = "that photo" if len(absent) == 1 else "those photos"
            said = f"The guidance that was loaded has both {self.name!r} and {self.into!r} in {photos} not here"
            raise InputError(f"{said}; add {them} first, then the two can be merged.")
        for key in sorted(both):
            session = session.with_annotation(key, session.annotation(key).rename(self.name, self.into))
        kept = tuple(item for item in session.classes if item.name != self.name)
        return _relabelled(session, self.name, self.into).with_state(classes=kept)


@dataclass(frozen=True)
class RecolorClass:
    """A class gets another colour, "#rrggbb"."""

    name: str
    color: str
    undoable: ClassVar[bool] = True

    def on(self, session: Session) -> Session:
        _check_class(session, self.name)
        parse_color(self.color)
        changed = (replace(item, color=self.color) if item.name == self.name else item for item in session.classes)
        return session.with_state(classes=tuple(changed))


@dataclass(frozen=True)
class RemoveClass:
    """A class and all that was marked with it go; the other classes keep their names, colours and marks."""

    name: str
    undoable: ClassVar[bool] = True

    def on(self, session: Session) -> Session:
        _check_own_class(session, self.name, "removed")
        own = {key: kept.drop(self.name) for key, kept in session.state.own.items()}
        return session.with_state(
            classes=tuple(item for item in session.classes if item.name != self.name),
            own=MappingProxyType({key: kept for key, kept in own.items() if not kept.is_empty}),
            loaded=session.state.loaded.drop_class(self.name),
        )


@dataclass(frozen=True)
class Annotate:
    """One more point or stroke on an image; an eraser is a stroke without a class."""

    key: str
    mark: Mark
    undoable: ClassVar[bool] = True

    def on(self, session: Session) -> Session:
        Annotation(marks=[self.mark]).validate(session.image(self.key).size)
        if self.mark.label is not None:
            _check_class(session, self.mark.label)
        return session.with_annotation(self.key, session.annotation(self.key).add(self.mark))


@dataclass(frozen=True)
class AddAnnotation:
    """Annotation joins what is marked on an image, as when masks are brought; its classes are added."""

    key: str
    annotation: Annotation
    undoable: ClassVar[bool] = True

    def on(self, session: Session) -> Session:
        return SetAnnotation(self.key, session.annotation(self.key) + self.annotation).on(session)


@dataclass(frozen=True)
class SetAnnotation:
    """The whole annotation of an image is replaced; its classes are added."""

    key: str
    annotation: Annotation
    undoable: ClassVar[bool] = True

    def on(self, session: Session) -> Session:
        self.annotation.validate(session.image(self.key).size)
        for name in self.annotation.classes:
            session = session.with_class(check_name(name))
        return session.with_annotation(self.key, self.annotation)


@dataclass(frozen=True)
class ClearAnnotation:
    """All that was marked on an image goes."""

    key: str
    undoable: ClassVar[bool] = True

    def on(self, session: Session) -> Session:
        session.image(self.key)
        return session.with_annotation(self.key, Annotation())


@dataclass(frozen=True)
class LoadGuidance:
    """Guidance from a file joins what is there. An image marked both here and there keeps both; the file's marks win.

    What was loaded for another checkpoint counts as marked here from then on, as far as its images are in the gallery.
    correct: keys of images, here or yet to come, whose masks are marked as correct with it.
    """

    guidance: Guidance
    correct: tuple[str, ...] = ()
    undoable: ClassVar[bool] = True

    def on(self, session: Session) -> Session:
        incoming = self.guidance
        for name in (*incoming.classes, *(name for marked in incoming.annotations.values() for name in marked.classes)):
            session = session.with_class(check_name(name))
        if incoming.ledger and session.state.loaded.checkpoint_id != incoming.checkpoint_id:
            session = session.with_loaded_here()
        both = []
        for item in session.images:
            mine, theirs = session.annotation(item.key), incoming.annotations.get(item.key)
            if theirs is not None and not mine.is_empty:
                session = session.with_annotation(item.key, mine if mine == theirs else mine + theirs)
                both.append(item.key)
        correct = session.state.correct.union(self.correct)
        return session.with_state(loaded=session.state.loaded + incoming.without(*both), correct=correct)


@dataclass(frozen=True)
class MarkCorrect:
    """The user says that the mask of an image is right, or takes that back."""

    key: str
    correct: bool = True
    undoable: ClassVar[bool] = True

    def on(self, session: Session) -> Session:
        key = {session.image(self.key).key}
        correct = session.state.correct
        return session.with_state(correct=correct | key if self.correct else correct - key)


EVENTS = {
    event.__name__: event
    for event in (
        AddImages, RemoveImages, AddClass, RenameClass, MergeClass, RecolorClass, RemoveClass, Annotate,
        AddAnnotation, SetAnnotation, ClearAnnotation, LoadGuidance, MarkCorrect,
    )
}  # fmt: skip


def photos_of(event: Event) -> tuple[str, ...]:
    """Keys of the images that an event is about; none where it is about all, as a new name of a class is."""
    match event:
        case RemoveImages(keys=keys):
            return keys
        case (
            Annotate(key=key) | AddAnnotation(key=key) | SetAnnotation(key=key) | ClearAnnotation(key=key) | MarkCorrect(key=key)
        ):
            return (key,)
    return ()


def _relabelled(session: Session, old: str, new: str) -> Session:
    """With what is marked as one class marked as another, on every image and in loaded guidance."""
    own = {key: kept.rename(old, new) for key, kept in session.state.own.items()}
    return session.with_state(own=MappingProxyType(own), loaded=session.state.loaded.rename(old, new))


def _new_name(session: Session, name: str) -> str:
    name = check_name(name)
    if name in session.colors:
        raise InputError(f"There is a class called {name!r} already.")
    return name


def _check_class(session: Session, name: str) -> None:
    if name not in session.colors:
        raise InputError(f"There is no class called {name!r}; add it first.")


def _check_own_class(session: Session, name: str, done: str) -> None:
    _check_class(session, name)
    if name == BACKGROUND:
        raise InputError(f"The background cannot be {done}.")
