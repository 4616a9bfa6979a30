"""What segmenting gives, to those who ask for it."""

import numpy as np
import pytest
from pictures import photo

from guided_demo import Annotation, Guidance, InputError

CAT = Annotation(points=[(20, 20, "cat"), (70, 50, "background")])


@pytest.fixture(params=["guided", "unguided"])
def result(segmenter, request):
    guidance = segmenter.guide(photo(0), CAT) if request.param == "guided" else Guidance.empty()
    return segmenter.segment(photo(0), guidance)


@pytest.mark.parametrize("size", [(0, 10), (10, -1), (10.5, 10), (10,), (10, 10, 3), 10, None, "ab"])
def test_what_is_no_size_is_told(result, size):
    for at in (result.labels_at, result.probabilities_at, result.novelty_at):
        with pytest.raises(InputError, match=r"A size is .*, two whole numbers above zero, and not"):
            at(size)


def test_a_size_is_of_whole_numbers_of_any_kind(result):
    assert result.labels_at([np.int64(8), 6]).shape == (6, 8)


@pytest.mark.parametrize("name", ["labels", "probabilities", "novelty"])
def test_what_is_kept_cannot_be_spoilt_for_others_and_what_is_asked_for_at_a_size_is_the_callers(result, name):
    kept = getattr(result, name)
    with pytest.raises(ValueError, match="read-only"):
        kept[:] = 0
    own = getattr(result, f"{name}_at")((80, 60))
    own[:] = 0
    assert getattr(result, name) is kept
