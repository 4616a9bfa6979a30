"""How masks came to agree, click by click, with those the user has marked as correct: what a chart of the work shows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from guided_demo.annotation import BACKGROUND
from guided_demo.events import Annotate, MergeClass, RenameClass
from guided_demo.session import Session, State

MOST_IMAGES = 64  # each is segmented as it was at every point of the curve

# The masks of an image in a state of the session: class names, and HxW indices into them.
Labelled = tuple[tuple[str, ...], np.ndarray]


@dataclass(frozen=True)
class Agreement:
    """After `clicks` points and strokes, the masks marked as correct by now were this near to being so: 0 to 1."""

    clicks: int
    accuracy: float


@dataclass(frozen=True, eq=False)
class Moment:
    """A state of the session, after how many clicks it was, and what its classes are called by now."""

    state: State
    clicks: int
    names: dict[str, str]


def curve(session: Session, masks: Callable[[State, str], Labelled], most: int = 20) -> tuple[Agreement, ...]:
    """Accuracy against clicks, from none to all that were made; empty as long as no mask is marked as correct.

    A mask marked as correct is the truth for its image as it was when it was marked; accuracy is the mean over these images
    of how far the masks of then overlap with them. Of more than MOST_IMAGES, some stand for all.
    masks: gives the masks of an image, all of one size, in a state of the session. most: about how many points the curve has;
    where there were more clicks, every second, fourth, eighth … of them is looked at, and the last.
    """
    moments = history(session)
    # Keys are digests, so the first are as good as drawn, and mostly the same when others are marked as correct as well.
    chosen = sorted(session.correct)[:MOST_IMAGES]
    truths = {key: _masks(masks, _when_correct(moments, key), key) for key in chosen}
    if not truths:
        return ()
    after_clicks = list({moment.clicks: moment for moment in moments}.values())
    step = 1
    while len(after_clicks) > most * step:
        step *= 2  # so that a longer history is looked at where the shorter one was, and masks kept from then are of use
    looked_at = dict.fromkeys([*after_clicks[::step], after_clicks[-1]])
    return tuple(
        Agreement(moment.clicks, float(np.mean([overlap(_masks(masks, moment, key), truths[key]) for key in truths])))
        for moment in looked_at
    )


def then(moments: list[Moment], masks: Callable[[State, str], Labelled], key: str) -> Labelled:
    """The masks of an image as they were when it was marked as correct, which it has to be. moments: of `history`; masks: as for
    `curve`."""
    return _masks(masks, _when_correct(moments, key), key)


def overlap(mask: Labelled, truth: Labelled) -> float:
    """Intersection over union of the classes that either has, the background aside, in the mean; 1 where neither has any."""
    (names, labels), (true_names, true_labels) = mask, truth
    present = {names[i] for i in np.unique(labels)} | {true_names[i] for i in np.unique(true_labels)}
    ratios = []
    for name in present - {BACKGROUND}:
        one = labels == names.index(name) if name in names else np.zeros(labels.shape, bool)
        other = true_labels == true_names.index(name) if name in true_names else np.zeros(labels.shape, bool)
        ratios.append((one & other).sum() / (one | other).sum())
    return float(np.mean(ratios)) if ratios else 1.0


def history(session: Session) -> list[Moment]:
    """Before the first step, and after each of those that led here."""
    names: list[dict[str, str]] = [{}]
    for step in reversed(session.past):
        later = names[-1]
        for event in reversed(step.events):
            match event:
                case RenameClass(old, new) | MergeClass(old, new):
                    later = {**later, old: later.get(new, new)}
        names.append(later)
    states = [*(step.state for step in session.past), session.state]
    clicks = np.cumsum([0, *(sum(isinstance(event, Annotate) for event in step.events) for step in session.past)]).tolist()
    return [Moment(*parts) for parts in zip(states, clicks, reversed(names), strict=True)]


def _when_correct(moments: list[Moment], key: str) -> Moment:
    """When the image was marked as correct, the last time."""
    since = moments[-1]
    for moment in reversed(moments):
        if key not in moment.state.correct:
            break
        since = moment
    return since


def _masks(masks: Callable[[State, str], Labelled], moment: Moment, key: str) -> Labelled:
    """The masks of an image at a moment, under the names that the classes have by now."""
    classes, labels = masks(moment.state, key)
    named = [moment.names.get(name, name) for name in classes]
    names = tuple(dict.fromkeys(named))  # of classes that were merged since, one
    return names, np.array([names.index(name) for name in named])[labels]
