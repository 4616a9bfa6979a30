import gc
import weakref

import numpy as np

from guided_demo.meta import styles as module
from guided_demo.meta.styles import CLASSES_A_STYLE, styles


def test_pictures_are_generated_the_same_every_time_and_classes_belong_to_one_style():
    dataset, again = styles(3), styles(3)
    assert len(dataset) == 12
    for i in (0, 5, 11):
        sample = dataset[i]
        assert np.array_equal(sample.image, again[i].image) and np.array_equal(sample.labels, again[i].labels)
        numbers = set(np.unique(sample.labels)) - {0}
        assert {(n - 1) // CLASSES_A_STYLE for n in numbers} <= {i // 4} and sample.image.shape == (256, 256, 3)


def test_the_things_of_a_style_differ_from_its_ground():
    dataset = styles(4)
    for indices in dataset.by_class.values():
        for i in indices:
            sample = dataset[i]
            assert (sample.labels > 0).any() and sample.image.std() > 3


def test_not_all_styles_are_kept_in_memory(monkeypatch):
    drawn = []

    def draw(rng, pictures):
        image = np.zeros((2, 2, 3), np.uint8)
        drawn.append(weakref.ref(image))
        yield image, np.zeros((2, 2), np.uint8)

    monkeypatch.setattr(module, "_draw", draw)
    module._style.cache_clear()
    assert sum(sample.image.size for sample in styles(300, pictures=1)) == 300 * 12
    assert len(drawn) == 300, "an image and its labels are drawn once"
    gc.collect()
    assert sum(image() is not None for image in drawn) < 100
    module._style.cache_clear()
