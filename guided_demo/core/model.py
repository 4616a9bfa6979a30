"""GuidedSegmenter: encode an image once, guide with annotation, segment with guidance. No user state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..annotation import BACKGROUND, MAX_CLASSES, Annotation
from ..errors import InputError
from ..files import image_key, read_image
from ..geometry import Frame
from . import checkpoint
from .backbone import fuse
from .contribution import Contribution, Sample, samples_of
from .correction import confine, corrections
from .edges import FINEST, Edges
from .encoded import EncodedImage
from .encoder import FINE, compact
from .exemplars import pool
from .found import surely
from .guidance import Guidance, Itself
from .head import Classifier, novelty
from .lesser import doubt_lesser
from .network import GuidedNetwork, closeness
from .problem import MARKS, assemble, shown_in
from .query import Query
from .result import Result
from .scope import marked_regions

Scope = Literal["everywhere", "object"]
SCOPES = get_args(Scope)
_ANNOTATION = "An annotation is made with Annotation(points=..., strokes=...) or Annotation.from_mask"
MARKING = 4  # images being marked that are kept ready
Answer = tuple[Tensor, Callable[[], Tensor]]
LOWEST = -1e4  # logit of a class that is not guided: its probability is exactly 0


class GuidedSegmenter:
    """The network with its checkpoint. Safe to share between threads and users: what it keeps, of the last few images and of
    guidance in use, is only found by who has that image or guidance itself."""

    def __init__(self, network: GuidedNetwork, checkpoint_id: str, metadata: dict[str, Any], device: str = "cpu") -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        fuse(self.network.encoder)
        self.network.to(memory_format=torch.channels_last)
        self.checkpoint_id, self.metadata = checkpoint_id, metadata
        self.device = torch.device(device)
        self.side: int = metadata["side"]
        # Guidance is immutable, so what is worked out for one can be kept as long as somebody holds it.
        self._compiled: WeakKeyDictionary[Itself, dict[tuple[bool, frozenset[str], bool], Classifier]] = WeakKeyDictionary()
        # Of an image, its last marks (`Contribution.entry`), and the answer to these alone.
        self._answers: WeakKeyDictionary[EncodedImage, tuple[str, Answer]] = WeakKeyDictionary()
        self._lock = threading.Lock()
        # An image that somebody is marking is asked for after every stroke; it takes some 10 MB.
        self._kept = lru_cache(maxsize=MARKING)(self._query)

    def __repr__(self) -> str:
        return f"GuidedSegmenter(checkpoint {self.checkpoint_id}, {self.device})"

    def __reduce__(self) -> tuple:
        # To other processes, which share the work on ten thousand images, go the weights, not what is kept of images here.
        return GuidedSegmenter, (self.network, self.checkpoint_id, self.metadata, str(self.device))

    @classmethod
    def load(cls, name: str | Path = "default", *, device: str = "cpu") -> GuidedSegmenter:
        """The shipped checkpoint ("default"), or any by path. Offline; never unpickles.

        Raises InputError for what is not a checkpoint of a guided network, with what to do instead, and for a device that is not
        there.
        """
        check_device(device)
        state, metadata, checkpoint_id = checkpoint.read(checkpoint.find(name))
        if metadata.get("model", "guided") != "guided":
            raise InputError(
                f"{name} is a network of the kind {metadata['model']}, which is there for comparison: "
                f"measure it with `python -m guided_demo evaluate --model {name} --another DATA`."
            )
        try:
            network, side = GuidedNetwork(**metadata["config"]), int(metadata["side"])
            missing = [key for key in network.load_state_dict(state, strict=False).missing_keys if "num_batches" not in key]
            if missing:
                raise ValueError(f"it has no {missing[0]}")
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            said = str(error).split("\n")[0]
            raise InputError(f"{name} is not a checkpoint of this version's network ({said}); train it again.") from error
        return cls(network, checkpoint_id, {**metadata, "side": side}, device)

    @classmethod
    def untrained(cls, seed: int = 0, variant: str = "lite0", side: int = 128) -> GuidedSegmenter:
        """A small network of random weights, for tests and for teaching."""
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            network = GuidedNetwork(variant, 32)
        config = {"variant": variant, "width": 32}
        return cls(network, f"untrained-{variant}-{side}-{seed}", {"config": config, "side": side})

    def preprocess(self, image: Any) -> Tensor:
        """What the backbone is given: (1, 3, H, W) float32 in [0, 1], sides multiples of 32."""
        opened = read_image(image)
        return Frame.fit(opened.size, self.side).to_input(np.array(opened))

    @torch.inference_mode()
    def encode(self, image: Any) -> EncodedImage:
        """Features of an image: all that `files.read_image` reads, such as a path, a PIL image or HxWx3 uint8 (RGB); or an
        EncodedImage, which is returned as it is.

        Raises InputError for an image that cannot be read, has over 120 megapixels, or was encoded with another checkpoint.
        """
        if isinstance(image, EncodedImage):
            if image.checkpoint_id != self.checkpoint_id:
                raise InputError("This image was encoded with another checkpoint; encode it again with this one.")
            return image
        opened = read_image(image)
        frame = Frame.fit(opened.size, self.side)
        pixels = np.array(opened)
        shown = frame.to_input(pixels)
        edges = Edges.of(shown[..., : frame.content[1], : frame.content[0]])
        shown = shown.to(self.device).contiguous(memory_format=torch.channels_last)
        return EncodedImage(image_key(pixels), frame, self.checkpoint_id, self.network.encoder(shown).map(compact), edges)

    @torch.inference_mode()
    def guide(self, image: Any, annotation: Annotation) -> Guidance:
        """Guidance with what this annotation of this image contributes; empty where nothing is annotated.

        Where background is marked, too, what is then surely found in the image guides others besides, see `found`.

        image: as for `encode`. Raises InputError as that does, and for annotation that is not of this image: with a point or a
        stroke outside of it, a mask of another size, or a class that cannot be called so.
        """
        _expect(annotation, Annotation, _ANNOTATION)
        encoded = self.encode(image)
        annotation.validate(encoded.size)
        classes = annotation.classes
        if not classes:
            return Guidance.empty()
        marks = encoded.frame.annotation_to_input(annotation, classes)
        samples = samples_of(pool(encoded.features, marks), classes)
        if not samples:
            return Guidance.empty()
        marked = Contribution(encoded.key, encoded.size, samples, encoded.centre, annotation)
        # A mask leaves nothing to find; and where no background is known, it is not known what is surely of a class.
        found = self._found(encoded, marked) if annotation.mask is None and {BACKGROUND} < samples.keys() else {}
        return Guidance(self.checkpoint_id, {marked.entry: replace(marked, found=found)})

    def _found(self, encoded: EncodedImage, marked: Contribution) -> dict[str, Sample]:
        """What is surely found in an image by its own marks."""
        guidance = Guidance(self.checkpoint_id, {marked.entry: marked})
        answer = self._answer(encoded, guidance, marked.annotation, False)
        self._answers[encoded] = marked.entry, answer
        return samples_of(pool(encoded.features, surely(answer[0], encoded.frame)), guidance.classes)

    @torch.inference_mode()
    def segment(
        self, image: Any, guidance: Guidance, annotation: Annotation | None = None, scope: Scope = "everywhere"
    ) -> Result:
        """Masks of an image under guidance.

        image: as for `encode`, and with its errors.
        annotation: the image's own, if it has one: what is annotated keeps its class, and pixels near it are told by it. It
        counts as guidance too, whether or not `guidance` already holds it. scope: "object" keeps to the region that the own
        annotation is in, and uses nothing else; without own annotation, or with all of it erased, it is as "everywhere".
        Background marks that correct masks of others' guidance only take, and what is like them, see `correction`.
        Raises InputError for an unknown scope, annotation that is not of this image, or guidance of another checkpoint or of more
        than MAX_CLASSES classes.
        """
        check_scope(scope)
        _expect(guidance, Guidance, "Guidance is made with `guide`, or read with Guidance.load")
        encoded = self.encode(image)
        if guidance.checkpoint_id not in (None, self.checkpoint_id):
            raise InputError(
                f"This guidance was made with checkpoint {guidance.checkpoint_id}, but {self.checkpoint_id} is loaded: load "
                "that one, or guide again with the annotations it carries (guidance.annotations)."
            )
        if annotation is not None:
            _expect(annotation, Annotation, _ANNOTATION)
        own = annotation if annotation is not None and not annotation.is_empty else None
        if own is not None:
            own.validate(encoded.size)
            if guidance.annotations.get(encoded.key) != own:
                guidance = guidance + self.guide(encoded, own)
            if encoded.key not in guidance.images:
                own = None  # all of it was erased
        classes = guidance.classes
        if len(classes) > MAX_CLASSES:
            raise InputError(f"This guidance has {len(classes)} classes, and a mask at most {MAX_CLASSES}; use less of it.")
        alone = own is not None and scope == "object"
        entry, answer = self._answers.get(encoded, ("", None))
        if answer is None or own is None or alone or tuple(guidance.ledger) != (entry,):
            answer = self._answer(encoded, guidance, own, alone)
        logits, unlike = answer
        logits = encoded.edges.along(logits[1:])
        if own is not None and alone:
            height, width = logits.shape[1:]
            marks = encoded.frame.annotation_to_input(own, classes[1:], FINEST)[0, :, :height, :width]
            logits = marked_regions(logits, marks)
        return Result(classes, encoded.frame, F.pad(logits, (0, 0, 0, 0, 1, 0)), unlike, own)

    def _answer(self, encoded: EncodedImage, guidance: Guidance, own: Annotation | None, alone: bool) -> Answer:
        """Logits (K, h4, w4) of all classes, and what gives the novelty (h8, w8) when asked."""
        classes = guidance.classes
        source = guidance.only(encoded.key) if alone else guidance
        query = self._query(encoded) if own is None else self._kept(encoded)
        guided = [name for name in classes[1:] if any(name in c.samples for c in source.ledger.values())]
        height, width = query.fine.shape[-2:]
        logits = torch.full((len(classes), height, width), LOWEST)
        logits[0] = 0
        unlike = partial(torch.ones, query.coarse.shape[-2:])
        if guided:
            classifier = self._compile(source, tuple(guided), None if own is None else encoded.key, alone)
            found = partial(self._find, encoded.frame, query, classifier, own, guided)
            rows = [classes.index(name) for name in guided]
            # Where no other image guides there was no mask to correct.
            settled = alone or guidance.images == (encoded.key,)
            logits[rows] = found() if settled else self._confined(found, encoded, query, guidance, own, guided)
            if not alone:
                logits[rows] = self._doubted(logits[rows], encoded, classifier, own, guided)
            unlike = partial(self._novelty, encoded.features.semantic, classifier.exemplars)
        elif source.ledger:
            background = [sample.semantic for c in source.ledger.values() for sample in c.samples.values()]
            exemplars = torch.from_numpy(np.concatenate(background)).to(self.device)
            unlike = partial(self._novelty, encoded.features.semantic, exemplars)
        return logits, unlike

    def _doubted(
        self, logits: Tensor, encoded: EncodedImage, classifier: Classifier, own: Annotation | None, guided: Sequence[str]
    ) -> Tensor:
        """Logits (K', h4, w4) of the guided classes, lower in lesser regions, see `doubt_lesser`."""
        width, height = (side // FINE for side in encoded.frame.content)
        marks = torch.zeros(logits.shape, dtype=torch.bool)
        if own is not None:
            marks = encoded.frame.annotation_to_input(own, guided, FINE)[0]
        semantic, known = encoded.features.halved[0], classifier.means[:, 0].cpu()
        within = logits[:, :height, :width]
        within[:] = doubt_lesser(within, semantic, known, marks[:, :height, :width])
        return logits

    def _query(self, encoded: EncodedImage) -> Query:
        return self.network.head.ready(encoded.features.map(lambda t: t.to(self.device)))

    def _find(self, frame: Frame, query: Query, classifier: Classifier, own: Annotation | None, guided: Sequence[str]) -> Tensor:
        """Logits (K', h4, w4) of the guided classes, on the CPU."""
        near = None if own is None else self._own(frame, own, guided)
        return self.network.head(query, classifier, near)[0].cpu()

    def _confined(
        self,
        found: Callable[[], Tensor],
        encoded: EncodedImage,
        query: Query,
        guidance: Guidance,
        own: Annotation | None,
        guided: list[str],
    ) -> Tensor:
        """What is `found`, logits (K', h4, w4), but for what corrections would change beyond where they reach, see `confine`."""
        marked = torch.zeros(query.fine.shape[-2:], dtype=torch.bool)
        if own is not None and BACKGROUND in own.classes:
            marked = encoded.frame.annotation_to_input(own, (BACKGROUND,), FINE)[0, 0]
        corrects = bool(marked.any())
        if not corrects and guidance.uncorrected is guidance:
            return found()
        split = corrections(guidance, encoded.key if corrects else None)
        corrected = tuple(name for name in guided if name in split.classes)
        if not corrected:
            return found()
        rest = own.drop(BACKGROUND) if own is not None and corrects else own
        rest = rest if rest is not None and rest.classes else None
        classifier = self._compile(split.before, corrected, None if rest is None else encoded.key, False)
        before = self._find(encoded.frame, query, classifier, rest, corrected)
        rows, found = [guided.index(name) for name in corrected], cache(found)
        semantic, known = encoded.features.semantic.float(), classifier.means[:, 0].cpu()
        confined = confine(before, lambda: found()[rows], marked, semantic, split.wrong, known, rest is not None)
        if len(corrected) == len(guided):
            return confined
        every = found()
        every[rows] = confined
        return every

    def _compile(self, guidance: Guidance, guided: tuple[str, ...], own: str | None, alone: bool) -> Classifier:
        """The classifier of a guidance, kept with it; one for the image `own` alone is not: if that counts as more than one, or
        is told by less than others are."""
        its = [c for c in guidance.ledger.values() if c.key == own]
        shared = sum(len(c.annotation.marks) for c in its) <= MARKS and not any(c.found for c in its)
        with self._lock:
            kept = self._compiled.setdefault(guidance.itself, {})
        which = own is None, shown_in(guidance, own), alone
        classifier = kept.get(which) if shared else None
        if classifier is None:
            classifier = self.network.head.prepare(assemble(guidance, guided, own, alone).to(self.device))
            if shared:
                kept[which] = classifier
        return classifier

    def _novelty(self, semantic: Tensor, exemplars: Tensor) -> Tensor:
        # Asked for long after, if at all, so what waits for it are features in float16, which the image has in any case.
        return novelty(semantic.to(self.device).float(), exemplars).cpu()

    def _own(self, frame: Frame, own: Annotation, guided: Sequence[str]) -> Tensor:
        """Closeness to the own marks of each guided class, and to those of all others: (K', OWN, h4, w4).

        Zeros for a class that has none, see `assemble`.
        """
        names = tuple(dict.fromkeys([*guided, *own.classes]))
        marks = frame.annotation_to_input(own, names, FINE)[0]
        rows = [names.index(name) for name in guided]
        rest = [[i for i in range(len(names)) if i != row] for row in rows]
        sides = torch.stack([torch.stack([marks[row], marks[others].any(0)]) for row, others in zip(rows, rest, strict=True)])
        return closeness(sides & sides[:, :1].amax((2, 3), keepdim=True)).to(self.device)


def check_scope(scope: str) -> None:
    """Raises InputError for what is none of SCOPES."""
    if scope not in SCOPES:
        raise InputError(f'There is no scope {scope!r}; use "everywhere" or "object".')


def check_device(device: str) -> str:
    """The same, if it is there: a device in torch's words, "cpu", "cuda" or "cuda:1". Raises InputError."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"There is no {device} here; use cpu, or cuda where there is a GPU.") from error
    return device


def _expect(given: Any, kind: type, made: str) -> None:
    if not isinstance(given, kind):
        raise InputError(f"{made}; {given!r:.80} is none.")
