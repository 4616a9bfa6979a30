import numpy as np

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
