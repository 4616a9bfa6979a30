import numpy as np
import pytest

from guided_demo.annotation import Annotation
from guided_demo.core.encoder import DETAIL, SEMANTIC
from guided_demo.core.guidance import Contribution, Guidance, Sample
from guided_demo.core.problem import MARKS, assemble


def contribution(key: str, cats: int, others: int) -> Contribution:
    """An image with so many points of a cat and of background, three exemplars each."""
    rng = np.random.default_rng(len(key))
    points = [(0.5, 0.5, "cat")] * cats + [(9.5, 9.5, "background")] * others
    samples = {
        name: Sample.of(rng.random((3, SEMANTIC)), rng.random((3, DETAIL)), np.full(3, 1 / 3), count)
        for name, count in (("cat", cats), ("background", others))
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
        weight = problem.semantic.weight[0] * (problem.semantic.sign[0] == sign)
        found[name] = weight.reshape(3, 6).sum(1).tolist()
    return found


def test_images_count_equally_however_much_is_marked_on_them(guidance):
    assert weights_by_image(guidance, None) == {"cat": pytest.approx([1 / 3] * 3), "background": pytest.approx([1 / 3] * 3)}


def test_a_query_with_many_marks_of_its_own_counts_as_several_images(guidance):
    assert weights_by_image(guidance, "a") == {
        "cat": pytest.approx([3 / 5, 1 / 5, 1 / 5]),
        "background": pytest.approx([1 / 3] * 3),
    }
    many = 40 / MARKS
    others = pytest.approx([1 / (2 + many), many / (2 + many), 1 / (2 + many)])
    assert weights_by_image(guidance, "b") == {"cat": pytest.approx([1 / 3] * 3), "background": others}
