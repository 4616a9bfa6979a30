"""Tasks are drawn as described, and contestants get what they should: the same for all, and no more than annotated."""

from functools import partial

import numpy as np
import pytest
import torch

from guided_demo import Annotation, InputError
from guided_demo.meta import protocols
from guided_demo.meta.baselines import ForegroundBackground
from guided_demo.meta.contestants import CLASSES, OBJECT, NetworkContestant
from guided_demo.meta.datasets import Dataset, Entry, open_dataset
from guided_demo.meta.protocols import Setting, annotate, run
from guided_demo.meta.report import losses, summarise, table

SETS = {
    "classes": open_dataset("procedural/1/semantic/48:80"),
    "instances": open_dataset("procedural/1/instance/48:80"),
    "clips": open_dataset("procedural/1/video/48:24"),
}


class Knowing:
    """Looks the truth up by what is annotated: the label that most annotated object pixels have."""

    name, checkpoint_id = "knowing", "none"

    def __init__(self, dataset, objects=False):
        self.labels = {}
        for sample in dataset:
            labels = sample.labels if objects or sample.objects is None else np.array(sample.objects)[sample.labels]
            self.labels[sample.image.tobytes()] = labels

    def guide(self, support):
        found = []
        for image, annotation in support:
            marks = annotation.label_map(image.shape[1::-1], (OBJECT,))
            found += self.labels[image.tobytes()][marks == 0].tolist()
        return max(set(found), key=found.count)

    def segment(self, guidance, query, own=None, scope="everywhere"):
        return self.labels[query.tobytes()] == guidance


class Saliency(Knowing):
    """Finds all objects whatever it is shown, as a foreground-background network does."""

    name = "saliency"

    def segment(self, guidance, query, own=None, scope="everywhere"):
        return self.labels[query.tobytes()] > 0


class Recording:
    """Says nothing, remembers what it was given."""

    name, checkpoint_id = "recording", "none"

    def __init__(self):
        self.given = []

    def guide(self, support):
        return support

    def segment(self, guidance, query, own=None, scope="everywhere"):
        self.given.append((guidance, query, own, scope))
        return np.zeros(query.shape[:2], bool)


def test_points_are_drawn_from_both_sides_and_a_larger_p_adds_to_a_smaller():
    truth, known = np.zeros((20, 30), bool), np.ones((20, 30), bool)
    truth[5:15, 5:15], known[:, 25:] = True, False
    few, many, dense = (annotate(truth, known, p, (3, 1)) for p in (5, 25, None))
    assert set(few.points) < set(many.points) and len(many.points) == 50
    for annotation in (few, many, dense):
        marks = annotation.label_map((30, 20), CLASSES)
        assert (truth[marks == 0]).all() and not truth[marks == 1].any() and (marks[~known] == 255).all()
    assert ((dense.label_map((30, 20), CLASSES) == 255) == ~known).all()
    assert annotate(truth, known, 5, (3, 1)) == few != annotate(truth, known, 5, (3, 2))
    assert len(annotate(truth, known, 150, (0,)).points) == 100 + 150, "no more than there are"


def test_another_image_has_disjoint_support_that_shows_the_class():
    dataset = SETS["classes"]
    tasks = protocols.another_image(dataset, 12, 3, seed=5)
    assert len({task.number for task in tasks}) == len(tasks), "classes take turns"
    for task in tasks:
        assert len(set(task.support)) == 3 and not set(task.support) & set(task.queries)
        assert all(task.number in dataset.present(i) for i in (*task.support, *task.queries))
    again, other = (protocols.another_image(dataset, 12, 3, seed=s) for s in (5, 6))
    assert [t.support for t in again] == [t.support for t in tasks] != [t.support for t in other]


def test_named_classes_only():
    dataset = SETS["classes"]
    tasks = protocols.another_image(dataset, 4, 1, 0, [dataset.classes[3]])
    assert {task.number for task in tasks} == {3} and len(tasks) == 4
    with pytest.raises(InputError, match="no class 'unicorn'"):
        protocols.another_image(dataset, 4, 1, 0, ["unicorn"])
    with pytest.raises(InputError, match=r"takes 1001 images that show one class .*, or fewer with fewer shots"):
        protocols.another_image(dataset, 4, 1000, 0)
    with pytest.raises(InputError, match=r"takes 2 images that show one class on at least 0.5 % of their pixels"):
        protocols.another_image(dataset.subset([0]), 4, 1, 0)
    with pytest.raises(InputError, match="takes a clip of two frames"):
        protocols.video(dataset, 4, 0)


def test_where_masks_show_no_class_it_is_told_what_their_numbers_say():
    white = [Entry("a", partial(np.zeros, (8, 8, 3), np.uint8), lambda: (np.full((8, 8), 255, np.int32), None))]
    with pytest.raises(InputError, match="images of white show no class; in masks 0 is background, 1 the first class, and 255"):
        protocols.another_image(Dataset("white", white, ("background", "oak")), 4, 1, 0)


def test_the_same_task_is_not_measured_twice():
    few = SETS["classes"].subset(range(16))
    for draw in (
        lambda count: protocols.another_image(few, count, 1, 0),
        lambda count: protocols.same_image(few, count, 0),
        lambda count: protocols.same_image(SETS["instances"].subset(range(16)), count, 0),
        lambda count: protocols.swapped(few, count, 0),
        lambda count: protocols.absent(few, count, 0),
    ):
        several, many = ([(t.number, t.other, t.support, t.queries, t.seed) for t in draw(count)] for count in (12, 400))
        assert len({task[:4] for task in many}) == len(many) < 400
        assert many[: len(several)] == several, "the first of the same stays, with its points"


def test_video_asks_for_later_frames_given_the_first():
    dataset = SETS["clips"]
    tasks = protocols.video(dataset, 3, seed=0)
    for task in tasks:
        clip = dataset.by_clip[task.group.split("/")[0]]
        assert task.support == (clip[0],) and task.queries[-1] == clip[-1] and len(task.queries) == 3
        assert clip[0] not in task.queries


def test_many_shots_never_query_the_support():
    dataset = SETS["classes"]
    for task in protocols.many_shots(dataset, dataset, queries=3, seed=0):
        assert not set(task.support) & set(task.queries) and len(task.queries) <= 3
        assert all(task.number in dataset.present(i) for i in (*task.support, *task.queries))


def test_many_shots_want_sets_that_number_their_classes_alike():
    shown = SETS["classes"]
    other = Dataset("other", shown._entries, ("background", *reversed(shown.classes[1:])), shown.ignore)
    for asked in (other, SETS["instances"]):
        with pytest.raises(InputError, match="differently"):
            protocols.many_shots(shown, asked, 2, 0)
    fewer = Dataset("fewer", shown.keeping(range(5))._entries, shown.classes[:5], shown.ignore)  # a folder that shows no more
    assert protocols.many_shots(shown, fewer, 2, 0)


def test_many_shots_ask_for_each_class_once():
    dataset = SETS["classes"]
    numbers = [task.number for task in protocols.many_shots(dataset, dataset, 2, 0)]
    assert len(numbers) == len(set(numbers)) > 1
    fewer = dataset.subset(i for i in range(len(dataset)) if numbers[1] not in dataset.present(i))
    (alone,) = protocols.many_shots(fewer, fewer, 2, 0, [dataset.classes[n] for n in numbers[:2]])  # of two, it has one
    assert alone.number == numbers[0]


def test_many_shots_do_not_show_what_they_ask_for_in_a_set_of_another_name():
    def other(name, seed=1):
        return open_dataset(f"procedural/{seed}/semantic/48:60").subset(range(60), name)

    train, trainval = other("train"), other("trainval")
    for task in protocols.many_shots(train, trainval, 3, 0):
        assert not {train.names[i] for i in task.support} & {trainval.names[i] for i in task.queries}
    of_another = protocols.many_shots(train, other("train", seed=2), 3, 0)  # where the same ids are other pictures
    assert any({train.names[i] for i in task.support} & {task.asked.names[i] for i in task.queries} for task in of_another)


@pytest.mark.parametrize(
    "tasks",
    (
        protocols.another_image(SETS["classes"], 4, 1, 0),
        protocols.same_image(SETS["classes"], 4, 0),
        protocols.video(SETS["clips"], 2, 0)[:3],
        protocols.many_shots(SETS["classes"], SETS["classes"], 2, 0)[:3],
        protocols.swapped(SETS["classes"], 2, 0),
        protocols.absent(SETS["classes"], 4, 0),
    ),
    ids=("another", "same", "video", "many", "swap", "absent"),
)
def test_who_knows_the_truth_is_perfect(tasks):
    outcomes = run(tasks, [Setting(1), Setting(None)], [Knowing(tasks[0].asked)])
    assert len(outcomes) == 2 * len(tasks)
    assert all((o.counts[:, 1:3] == 0).all() and (o.boundary == 1).all() for o in outcomes)


def test_one_object_of_an_image_is_asked_for_where_objects_are_numbered():
    dataset = SETS["instances"]
    tasks = protocols.same_image(dataset, 6, 0)
    recording = Recording()
    outcomes = run(tasks, [Setting(3)], [Knowing(dataset, objects=True), recording])
    assert all((o.counts[:, 1:3] == 0).all() for o in outcomes if o.contestant == "knowing")
    assert all(scope == "object" for *_, scope in recording.given)


def test_everybody_gets_the_same_and_own_annotation_only_of_the_query_itself():
    first, second = Recording(), Recording()
    second.name = "second"
    settings = [Setting(2, 1), Setting(2, 2)]
    run(protocols.another_image(SETS["classes"], 3, 2, 0), settings, [first, second])
    assert [[a for _, a in g] for g, *_ in first.given] == [[a for _, a in g] for g, *_ in second.given]
    assert [len(g) for g, *_ in first.given] == [1, 2] * 3
    assert all(own is None and not any(image is query for image, _ in g) for g, query, own, _ in first.given)
    pairs = zip(first.given[::2], first.given[1::2], strict=True)
    assert all(less[0][0][1] == more[0][0][1] for less, more in pairs), "more images leave the first one's points alone"

    run(protocols.same_image(SETS["classes"], 2, 0), [Setting(2)], [third := Recording()])
    assert len(third.given) == 2
    assert all(own == g[0][1] and query is g[0][0] for g, query, own, _ in third.given)


def test_masks_swap_with_the_guidance_and_detectors_of_foreground_fail_that_test():
    dataset = SETS["classes"]
    tasks = protocols.swapped(dataset, 10, 0)
    for one, two in zip(tasks[::2], tasks[1::2], strict=True):
        assert (one.support, one.queries, one.number, one.other) == (two.support, two.queries, two.other, two.number)
    network = ForegroundBackground(torch.nn.Conv2d(3, 8, 3, padding=1), 8)
    unguided = NetworkContestant(network, "foreground-background", "none", side=64)
    outcomes = run(tasks, [Setting(25)], [Knowing(dataset), Saliency(dataset), unguided])
    cells = summarise("swap", tasks, outcomes, seed=0)
    value = {(c.contestant, c.measure): c.value.value for c in cells}
    assert value["knowing", "share that follows"] == 1 and value["knowing", "IoU with the other class"] == 0
    for name in ("saliency", "foreground-background"):
        assert value[name, "share that follows"] <= 0.5
        assert value[name, "IoU with the other class"] == pytest.approx(value[name, "mean IoU"])


def test_who_finds_a_class_everywhere_is_told_of_the_images_without_it():
    dataset = SETS["classes"]
    tasks = protocols.absent(dataset, 6, 0)
    for task in tasks:
        shows = [task.number in dataset.present(i) for i in task.queries]
        assert shows == [True] + [False] * protocols.WITHOUT and task.support[0] not in task.queries
    outcomes = run(tasks, [Setting(5)], [Knowing(dataset), Saliency(dataset)])
    value = {(c.contestant, c.measure): c.value.value for c in summarise("absent", tasks, outcomes, seed=0)}
    false = "share found of images that do not show it"
    assert value["knowing", "mean IoU"] == 1 and value["knowing", false] == 0
    found = [o for o in outcomes if o.contestant == "saliency"]
    tp, fp, fn, tn = np.stack([o.counts for o in found]).transpose(2, 0, 1)
    assert value["saliency", false] == pytest.approx((fp / (fp + tn))[:, 1:].mean()) and value["saliency", false] > 0.01
    assert value["saliency", "mean IoU"] == pytest.approx((tp.sum(1) / (tp + fp + fn).sum(1)).mean())
    assert value["saliency", "mean IoU where it is shown"] == pytest.approx((tp / (tp + fp + fn))[:, 0].mean())


def test_an_image_that_shows_a_crowd_of_a_class_is_not_one_without_it():
    shown = {0: (1, ()), 1: (1, ()), 2: (2, (1,)), 3: (2, ())}  # class and crowds of each image
    entries = [
        Entry(str(n), partial(np.full, (8, 8, 3), n, np.uint8), lambda c=c: (np.full((8, 8), c, np.int32), None), None,
              frozenset({c}), frozenset(crowds))
        for n, (c, crowds) in shown.items()
    ]  # fmt: skip
    tasks = protocols.absent(Dataset("crowds", entries, ("background", "cat", "dog")), 8, 0, ["cat"])
    assert {task.queries[1:] for task in tasks} == {(3,)}


def test_clicks_go_on_until_the_mask_is_right():
    class Patient(Knowing):
        """Right once it has been shown three pixels; before, it finds nothing."""

        def guide(self, support):
            self.clicks = len(support[0][1].points)
            return super().guide(support)

        def segment(self, guidance, query, own=None, scope="everywhere"):
            return super().segment(guidance, query) & (self.clicks >= 3)

    dataset = SETS["classes"]
    task = protocols.same_image(dataset, 1, 0)[0]
    assert protocols.click(task, Patient(dataset), most=6) == [0, 0, 1, 1, 1, 1]


def test_numbers_tables_and_warnings():
    dataset = SETS["classes"]
    tasks = protocols.another_image(dataset, 6, 2, 0)
    settings = [Setting(1, 1), Setting(None, 1), Setting(1, 2)]
    outcomes = run(tasks, settings, [Knowing(dataset), Saliency(dataset)])
    cells = summarise("another image", tasks, outcomes, seed=0)
    for cell in cells:
        assert 0 <= cell.value.low <= cell.value.value <= cell.value.high <= 1
        assert cell.contestant != "knowing" or cell.value.value == 1
    text = table(cells)
    assert "| knowing | 1.000 (1.000 to 1.000) |" in text and "S=1 P=all" in text and "### positive IU" in text

    from guided_demo.meta.report import Cell, Job

    values = {"S=1 P=1": 0.6, "S=1 P=all": 0.58, "S=2 P=1": 0.595}
    made = [Cell("another image", "x", s, "mean IoU", protocols.metrics.Interval(v, v, v)) for s, v in values.items()]
    worse = losses(made, [Job("another image", "", tasks, settings)])
    assert worse == ["another image, x: 0.600 at S=1 P=1, 0.580 at S=1 P=all"]


def test_j_and_f_are_means_over_the_frames_of_each_object():
    dataset = SETS["clips"]
    tasks = protocols.video(dataset, 3, 0)
    outcomes = run(tasks, [Setting(None)], [Saliency(dataset)])
    found = {c.measure: c.value.value for c in summarise("video", tasks, outcomes, seed=0)}
    j, f = [], []
    for task in tasks:
        frames = [dataset[i].labels for i in task.queries]
        j.append(np.mean([(x == task.number).sum() / (x > 0).sum() if x.any() else 1 for x in frames]))
        f.append(np.mean([protocols.metrics.boundary_f(x > 0, x == task.number) for x in frames]))
    assert found == pytest.approx({"J&F": (np.mean(j) + np.mean(f)) / 2, "J": np.mean(j), "F": np.mean(f)})
    assert 0.1 < found["J"] < found["F"] < 1


def test_annotation_of_nothing_is_empty():
    nothing = np.zeros((4, 4), bool)
    assert annotate(nothing, nothing, 5, (0,)) == Annotation()
