import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pictures import photo

from guided_demo import Annotation, GuidedSegmenter, Stroke
from guided_demo.core import correction, model
from guided_demo.core.absence import DEEP
from guided_demo.core.correction import LIKE, SURE, UNLIKE, USUAL, confine, corrections
from guided_demo.core.encoder import GROUPS, SEMANTIC
from guided_demo.core.scores import normalize

SIZE = 12, 16  # at stride 4


def kinds(count: int) -> torch.Tensor:
    """Descriptors (count, SEMANTIC) that have nothing in common, each group of unit length."""
    out = torch.zeros(count, SEMANTIC)
    for i in range(count):
        out[i, torch.tensor([0, *GROUPS[:-1]]).cumsum(0) + i] = 1
    return out


THING, WRONG, OTHER = kinds(3)


def picture(places: torch.Tensor) -> torch.Tensor:
    """Semantics (1, SEMANTIC, h8, w8) from which kind each place is of: 0, 1, 2 as above."""
    return torch.stack([THING, WRONG, OTHER])[places].permute(2, 0, 1)[None]


def marked(row: int, column: int) -> torch.Tensor:
    cells = torch.zeros(SIZE, dtype=torch.bool)
    cells[row, column] = True
    return cells


# The left half is the thing, the right half what the mark is on.
PLACES = torch.zeros(6, 8, dtype=torch.long)
PLACES[:, 4:] = 1
NOWHERE = torch.zeros(SIZE, dtype=torch.bool)
BEFORE = torch.full((1, *SIZE), 2.0)
AFTER = torch.full((1, *SIZE), -3.0)


def test_what_is_like_the_class_keeps_its_mask_and_what_is_like_the_mark_loses_it():
    out = confine(BEFORE, lambda: AFTER, marked(5, 12), picture(PLACES), WRONG[None], THING[None], True)
    assert (out[..., :6] == 2).all() and (out[..., 10:] == -3).all()


def test_a_region_more_like_the_mark_goes_as_a_whole():
    places = PLACES.clone()
    places[2:4, 5:7] = 0  # a part of it is like the class
    before = BEFORE.clone()
    before[..., 6:9] = -1  # it is a region of its own
    out = confine(before, lambda: AFTER, marked(1, 14), picture(places), WRONG[None], THING[None], True)
    assert (out[..., :6] == 2).all() and (out[..., 9:] == -3).all()


def test_a_region_unlike_the_class_goes_whatever_the_head_says_where_nothing_of_it_is_marked():
    places = torch.ones(6, 8, dtype=torch.long)
    before = BEFORE.clone()
    before[..., 6:9] = -1  # two regions, the mark in one of them
    out = confine(before, lambda: before, marked(1, 14), picture(places), WRONG[None], THING[None], False)
    assert (out[..., :6] == 2).all() and (out[..., 9:] == -USUAL).all()
    alike = torch.cat(
        [THING[:-DEEP], 0.9 * WRONG[-DEEP:] + 0.19**0.5 * THING[-DEEP:]]
    )  # by a cosine of .9, which is 1 at the mark
    out = confine(before, lambda: before, marked(1, 14), picture(places), WRONG[None], alike[None], False)
    assert torch.equal(out, before)


def test_marks_where_nothing_was_found_change_all_that_they_change():
    before = BEFORE.clone()
    before[0, 5, 12] = -0.1
    assert torch.equal(confine(before, lambda: AFTER, marked(5, 12), picture(PLACES), WRONG[None], THING[None], True), AFTER)


def test_of_marks_that_correct_in_part_what_is_kept_is_that_part():
    before = BEFORE.clone()
    before[0, 5, 12] = -1
    both = marked(5, 12) | marked(5, 14)
    out = confine(before, lambda: AFTER, both, picture(PLACES), WRONG[None], THING[None], True)
    assert torch.allclose(out[..., :6], torch.tensor(-0.5))  # halfway


def test_corrections_raise_nothing():
    assert torch.equal(
        confine(BEFORE, lambda: BEFORE + 1, marked(5, 12), picture(PLACES), WRONG[None], THING[None], True), BEFORE
    )


def test_corrections_of_other_images_take_what_is_like_them_unless_it_is_very_sure():
    before = BEFORE.clone()
    before[..., 12:] = 14
    before[..., 10:12] = -1
    out = confine(before, lambda: AFTER, NOWHERE, picture(PLACES), WRONG[None], THING[None], True)
    assert (out[..., :6] == 2).all() and (out[..., 9] == -3).all() and (out[..., 13:] == 14).all()


def test_logits_with_corrections_are_not_worked_out_where_nothing_is_like_them():
    before = BEFORE.clone()
    before[..., 6:] = -1
    never = lambda: pytest.fail("they make no difference")  # noqa: E731
    assert torch.equal(confine(before, never, NOWHERE, picture(PLACES), WRONG[None], THING[None], True), before)


def regions(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    left, found = set(zip(*map(list, np.nonzero(mask)), strict=True)), []
    while left:
        todo, region = [left.pop()], []
        while todo:
            y, x = todo.pop()
            region.append((y, x))
            near = {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} & left
            left -= near
            todo += near
        found.append(region)
    return found


def cosine(a, b):
    return float(a @ b) / float(a.norm() * b.norm())


@pytest.mark.parametrize("shows", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_a_loop_over_pixels_gives(seed, shows):
    torch.manual_seed(seed)
    before, after = F.avg_pool2d(torch.randn(2, 2, *SIZE), 3, 1, 1) * 4
    semantic = normalize(torch.randn(6, 8, SEMANTIC) + 10 * torch.stack([THING, WRONG, OTHER])[torch.randint(3, (6, 8))])
    wrong, known = normalize(torch.randn(3, SEMANTIC) + 5 * WRONG), normalize(torch.randn(2, SEMANTIC) + 5 * THING)
    cells = torch.rand(SIZE) < 0.05
    out = confine(before, lambda: after, cells, semantic.permute(2, 0, 1)[None], wrong, known, shows)
    parts = [[c.split(GROUPS) for c in rows] for rows in (wrong, known)]
    for k in range(2):
        like = torch.zeros(6, 8)
        for y in range(6):
            for x in range(8):
                pixel = semantic[y, x].split(GROUPS)
                cosines = [
                    [sum(float(a @ b) for a, b in zip(pixel, row, strict=True)) / len(GROUPS) for row in side] for side in parts
                ]
                like[y, x] = max(cosines[0]) - cosines[1][k]
        like = F.interpolate(like[None, None], SIZE, mode="bilinear", align_corners=False)[0, 0]
        old, at = before[k], before[k][cells]
        like = like + SURE * (max(0, float(at.max())) - old.clamp_min(0))
        best, gone = like.clone(), torch.zeros(SIZE)
        for region in regions((old > 0).numpy()):
            mean = np.mean([float(like[p]) for p in region])
            mine = [p for p in region if cells[p]]
            for p in region:
                best[p] = max(float(best[p]), mean)
            if mine and not shows:
                whole, place = (
                    torch.stack([semantic[y // 2, x // 2, -DEEP:] for y, x in part]).mean(0) for part in (region, mine)
                )
                unlike = cosine(whole, place) - cosine(whole, known[k, -DEEP:])
                for p in region:
                    gone[p] = min(1, max(0, (unlike - UNLIKE[0]) / (UNLIKE[1] - UNLIKE[0])))
        contradicted = float((at > 0).float().mean())
        for y in range(SIZE[0]):
            for x in range(SIZE[1]):
                share = min(1, max(0, float(best[y, x]) / LIKE))
                kept = float(old[y, x]) + share * min(0, float(after[k, y, x] - old[y, x]))
                left = 1 - float(gone[y, x])
                kept = min(kept, left * float(old[y, x]) - (1 - left) * USUAL)
                wanted = contradicted * kept + (1 - contradicted) * float(after[k, y, x])
                assert float(out[k, y, x]) == pytest.approx(wanted, abs=1e-4)


# --- in an image -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def segmenter():
    return GuidedSegmenter.untrained(seed=1, side=96)


CAT = Annotation(points=[(20, 20, "cat"), (70, 50, "background")])


@pytest.mark.parametrize("own", [[(60, 20, "background")], [(60, 20, "background"), (30, 30, "cat"), (9, 50, "dog")]])
def test_before_is_the_image_without_its_background_marks(segmenter, monkeypatch, own):
    monkeypatch.setattr(model, "confine", lambda before, *_: before)
    own, dog = Annotation(points=own), Annotation(points=[(9, 9, "dog")])
    guidance = segmenter.guide(photo(0), CAT) + segmenter.guide(photo(2), dog)
    whole = segmenter.segment(photo(1), guidance, own).probabilities.copy()
    without = segmenter.segment(photo(1), guidance, own.drop("background")).probabilities
    whole[:, 20, 60] = without[:, 20, 60]
    assert np.array_equal(whole, without)


LION = Annotation(points=[(60, 20, "background"), (10, 40, "background")])


def test_images_with_nothing_but_background_marked_correct_those_of_others(segmenter, monkeypatch):
    cat, lion = segmenter.guide(photo(0), CAT), segmenter.guide(photo(1), LION)
    assert (cat + lion).uncorrected.ledger == cat.ledger and cat.uncorrected is cat
    monkeypatch.setattr(model, "confine", lambda before, *_: before)
    a, b = (segmenter.segment(photo(2), guidance).probabilities for guidance in (cat + lion, cat))
    assert np.array_equal(a, b)
    monkeypatch.setattr(model, "confine", lambda before, after, *_: after())
    assert not np.array_equal(segmenter.segment(photo(2), cat + lion).probabilities, b)


def test_corrections_are_what_others_are_without(segmenter):
    guidance = segmenter.guide(photo(0), CAT) + segmenter.guide(photo(1), LION)
    rows = [c.samples["background"].semantic for c in guidance.ledger.values()]
    lion, cat = sorted(rows, key=len, reverse=True)
    assert np.array_equal(corrections(guidance, None).wrong, lion)
    split = corrections(guidance, segmenter.encode(photo(0)).key)
    assert len(split.wrong) == len(lion) + len(cat) and split.classes == frozenset()
    assert [set(c.samples) for c in split.before.ledger.values()] == [{"cat"}]


def test_of_many_corrections_an_even_choice_is_compared(segmenter, monkeypatch):
    monkeypatch.setattr(correction, "MOST", 3)
    points = Annotation(points=[(x + 0.5, 20.5, "background") for x in range(0, 70, 7)])
    rows = segmenter.guide(photo(1), points)
    (every,) = (c.samples["background"].semantic for c in rows.ledger.values())
    assert np.array_equal(corrections(rows, None).wrong, every[[0, round((len(every) - 1) / 2), -1]])


def test_what_only_the_image_itself_guides_is_not_confined(segmenter, monkeypatch):
    monkeypatch.setattr(model, "confine", lambda *_: pytest.fail("nothing was to be corrected"))
    segmenter.segment(photo(0), segmenter.guide(photo(0), CAT), CAT)
    dog = segmenter.guide(photo(1), Annotation(points=[(9, 9, "dog")]))
    segmenter.segment(photo(0), dog, CAT, scope="object")
    segmenter.segment(photo(0), dog, CAT.drop("background"))


def test_marks_that_were_erased_again_correct_nothing(segmenter, monkeypatch):
    monkeypatch.setattr(model, "confine", lambda *_: pytest.fail("nothing was to be corrected"))
    point = Annotation(points=[(20, 20, "background"), (50, 20, "cat")])
    erased = point.add(Stroke(((20, 20),), None, 8))
    guidance = segmenter.guide(photo(0), CAT) + segmenter.guide(photo(1), point)
    segmenter.segment(photo(1), guidance, erased)
