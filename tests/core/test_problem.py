from dataclasses import replace

import numpy as np
import pytest

from guided_demo.annotation import Annotation
from guided_demo.core.contribution import Contribution, Sample
from guided_demo.core.encoder import DETAIL, SEMANTIC
from guided_demo.core.guidance import Guidance
from guided_demo.core.problem import COMPARED, CORRECTING, FEW, FOUND, MARKS, OTHERS, assemble


def contribution(key: str, cats: int, others: int, exemplars: int = 3) -> Contribution:
    """An image with so many points of a cat and of background, and as many exemplars of each as are asked for."""
    rng = np.random.default_rng(len(key))
    points = [(0.5, 0.5, "cat")] * cats + [(9.5, 9.5, "background")] * others
    samples = {
        name: Sample.of(
            rng.random((exemplars, SEMANTIC)), rng.random((exemplars, DETAIL)), np.full(exemplars, 1 / exemplars), count
        )
        for name, count in (("cat", cats), ("background", others))
        if count
    }
    return Contribution(key, (10, 10), samples, np.zeros(SEMANTIC, np.float16), Annotation(points=points))


@pytest.fixture
def guidance() -> Guidance:
    images = (contribution("a", 3 * MARKS, 1), contribution("b", 1, 40), contribution("c", 5, 5))
    return Guidance("some", {c.entry: c for c in images})


def weights_by_image(guidance: Guidance, own: str | None) -> dict[str, list[float]]:
    """Of the cat and of the rest, in the order of the ledger."""
    problem = assemble(guidance, ("cat",), own, False)
    found = {}
    for name, sign in (("cat", 1), ("background", -1)):
        weight = problem.exemplars.weight[0] * (problem.exemplars.sign[0] == sign)
        found[name] = weight.reshape(3, 6).sum(1).tolist()
    return found


def test_images_count_equally_but_for_those_with_fewer_than_a_few_pixels(guidance):
    few = 1 / MARKS
    expected = [1, few, 1], [few, 1, 1]
    found = weights_by_image(guidance, None)
    for name, worth in zip(("cat", "background"), expected, strict=True):
        assert found[name] == pytest.approx([w / sum(worth) for w in worth])


def test_beside_marks_of_the_query_itself_images_count_equally(guidance):
    assert weights_by_image(guidance, "c")["background"] == pytest.approx([1, 1, 5 / 4] / np.float64(3.25))


def test_a_query_with_many_marks_of_its_own_counts_as_several_images(guidance):
    assert weights_by_image(guidance, "a") == {
        "cat": pytest.approx([3 / 5, 1 / 5, 1 / 5]),
        "background": pytest.approx([1 / 3] * 3),
    }
    many = 40 / MARKS
    others = pytest.approx([1 / (2 + many), many / (2 + many), 1 / (2 + many)])
    assert weights_by_image(guidance, "b") == {"cat": pytest.approx([1 / 3] * 3), "background": others}


@pytest.mark.parametrize(("own", "alone"), [(None, False), ("a", False), ("a", True)])
def test_the_head_is_told_how_much_was_annotated(guidance, own, alone):
    stats = assemble(guidance, ("cat",), own, alone).stats
    cats, others = 3 * MARKS + 1 + 5, 1 + 40 + 5
    expected = [np.log2(1 + cats) / 8, np.log2(1 + others) / 8, 1, np.log2(3), float(own is not None), float(alone)]
    assert stats[0].tolist() == pytest.approx(expected)
    only_cats = contribution("d", 7, 0)
    stats = assemble(Guidance("some", {only_cats.entry: only_cats}), ("cat",), None, False).stats
    assert stats[0].tolist() == pytest.approx([3 / 8, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("images", [1, 3, 40])
def test_pixels_are_compared_with_an_even_choice_of_all_samples(images):
    parts = [contribution(f"{i:02}", 1, 1, exemplars=60) for i in range(images)]
    compared = assemble(Guidance("some", {c.entry: c for c in parts}), ("cat",), None, False).compared.numpy()
    samples = compared.reshape(2 * images, -1) - 60 * np.arange(2 * images)[:, None]
    count = {1: COMPARED, 3: COMPARED // 3, 40: 2}[images]
    middles = (np.arange(count) + 0.5) * 60 / count
    assert samples.shape[1] == count and (samples == middles.astype(int)).all()


def test_few_exemplars_are_all_compared(guidance):
    assert assemble(guidance, ("cat",), None, False).compared is None


def test_a_class_counts_as_shown_in_the_query_only_where_it_is_marked(guidance):
    """Told that a background click was its own, the head took most of the class away: training had no such queries."""
    background = contribution("d", 0, 1)
    more = guidance + Guidance("some", {background.entry: background})
    assert assemble(more, ("cat",), "d", False).stats[0, 4] == 0
    assert assemble(more, ("cat",), "a", False).stats[0, 4] == 1


@pytest.mark.parametrize(("background", "known"), [(0, 0), (1, 0.25), (4, 0.5), (16, 1), (40, 1)])
def test_the_rest_is_known_as_far_as_as_much_of_it_is_marked_as_of_the_class(background, known):
    """The learned negatives gave way at once: a first background click beside several on the class made most masks worse."""
    part = contribution("a", 16, background)
    assert assemble(Guidance("some", {part.entry: part}), ("cat",), None, False).stats[0, 2] == pytest.approx(known)


def test_other_classes_are_no_known_background(guidance):
    """Told as that, two classes without a background filled most of an image."""
    dogs = guidance.drop_class("background").rename("cat", "dog")
    cat = contribution("dd", 2, 0)
    only_classes = dogs + Guidance("some", {cat.entry: cat})
    problem = assemble(only_classes, ("cat", "dog"), None, False)
    assert problem.stats[:, 1:3].tolist() == [[0, 0], [0, 0]]
    rest = problem.exemplars.weight * (problem.exemplars.sign < 0)
    assert rest.sum(1).tolist() == pytest.approx([OTHERS, OTHERS])
    both = assemble(only_classes + guidance.drop_class("cat"), ("cat", "dog"), None, False)
    assert (both.exemplars.weight * (both.exemplars.sign < 0)).sum(1).tolist() == pytest.approx([1 + OTHERS, 1 + OTHERS])
    assert (both.stats[:, 2] == 1).all()


def test_what_was_found_has_less_of_the_weight_the_more_is_marked_there_or_elsewhere():
    cats = {"a": 1, "bb": 10, "ccc": 2 * FEW}
    for keys in (["a"], ["bb"], ["ccc"], ["a", "bb"], ["a", "bb", "ccc"]):
        images = [contribution(key, cats[key], 5, exemplars=3) for key in keys]
        images = [replace(c, found={"cat": contribution("found", 9, 0, exemplars=7).samples["cat"]}) for c in images]
        guidance = Guidance("some", {c.entry: c for c in images})
        problem = assemble(guidance, ("cat",), None, False)
        rows = problem.exemplars.rows[0].numpy()
        weight = problem.exemplars.weight[0].numpy()
        total = weights_of(rows, weight, contribution("found", 9, 0, exemplars=7).samples["cat"])
        most, worth = max(cats[key] for key in keys), {key: min(cats[key], MARKS) for key in keys}
        shares = {key: FOUND * min(1, FEW / cats[key]) * (cats[key] / most) ** CORRECTING for key in keys}
        assert total == pytest.approx(sum(shares[key] * worth[key] for key in keys) / sum(worth.values()), abs=1e-6)
        assert weight[problem.exemplars.sign[0] == 1].sum() == pytest.approx(1) == weight[problem.exemplars.sign[0] == -1].sum()
        # The query itself is told by its marks alone.
        alone = assemble(guidance, ("cat",), keys[0], False).exemplars
        others = [c for c in images if c.key != keys[0]]
        assert len(alone.rows[0]) == len(rows) - 7 == 6 * len(images) + 7 * len(others)


def weights_of(rows: np.ndarray, weight: np.ndarray, sample: Sample) -> float:
    known = np.hstack([sample.semantic, sample.detail.astype(np.float32)])
    return float(weight[(rows[:, None] == known).all(2).any(1)].sum())
