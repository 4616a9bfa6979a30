from dataclasses import replace

import numpy as np
import pytest
import torch

from guided_demo.meta.datasets import Dataset, Entry
from guided_demo.meta.episodes import Mixture, Sampler, colour_shift, look, render
from guided_demo.meta.pool import Pool, load_records, record, records_of, regions_record, save_records
from guided_demo.meta.procedural import procedural
from guided_demo.meta.simulate import ANNOTATORS, DENSE, Drawing, annotate

EVERYTHING = Mixture({"p": 1.0}, 0.0, {"p": 1.0}, {"p": 1.0}, {"p": 1.0})
SEMANTIC = Mixture({"p": 1.0}, 0.0, {}, {}, {}, absent=0.0, union=0.0, swap=0.0)


@pytest.fixture(scope="module")
def records():
    return list(records_of(procedural(24, 0), "p"))


@pytest.fixture(scope="module")
def pool(records):
    return Pool.build(records, 96)


def test_the_same_seed_draws_the_same_episodes(pool):
    batches = []
    for seed in (3, 3, 4):
        sampler = Sampler(pool, EVERYTHING, seed)
        batches.append(render(pool, [sampler.draw(2) for _ in range(6)], 64, seed))
    a, b, c = batches
    assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in vars(a))
    assert not torch.equal(a.query, c.query)


def test_support_and_query_are_disjoint_where_the_task_is_another_image(pool):
    sampler = Sampler(pool, SEMANTIC, 0)
    for _ in range(60):
        episode = sampler.draw(1)
        assert episode.query.image not in {view.image for view in episode.support} and not episode.own


def test_a_task_is_of_one_class_and_its_rest_where_none_are_united_or_exchanged(pool):
    same = replace(SEMANTIC, semantic={}, same={"p": 1.0})
    for sampler, shots in ((Sampler(pool, SEMANTIC, 0), 3), (Sampler(pool, same, 0), 1)):
        for _ in range(40):
            episode = sampler.draw(shots)
            asked = set()
            for view in (*episode.support, episode.query):
                classes = np.array(pool.classes[view.image])
                table = view.table[: len(classes)]
                asked |= set(classes[table == 1].tolist())
                assert set(table.tolist()) <= {0, 1} and (view.table[len(classes) :] == 255).all()
                assert not set(classes[table == 0].tolist()) & asked
            assert len(asked) == 1 and (asked != {0} or episode.own)
            assert episode.own == (sampler.mixture is same or episode.support[-1] is episode.query) and not episode.scope


def test_kinds_of_tasks_are_drawn_as_often_as_the_mixture_says(pool):
    sampler = Sampler(pool, replace(SEMANTIC, semantic={"p": 3.0}, parts={"p": 1.0}), 0)
    assert 0.2 < np.mean([sampler.draw(1).scope for _ in range(600)]) < 0.3


def test_an_image_in_which_nothing_is_labelled_is_in_no_task(records):
    blank = replace(records[0], regions=np.full_like(records[0].regions, 255), classes=())
    sampler = Sampler(Pool.build([blank, *records[1:]], 96), replace(EVERYTHING, absent=0.5), 0)
    for _ in range(200):
        episode = sampler.draw(1)
        assert 0 not in {view.image for view in (*episode.support, episode.query)}


@pytest.mark.parametrize("absent", (0.0, 1.0))
def test_the_query_is_not_in_the_support_of_a_class_with_few_images(absent):
    pool = Pool.build(records_of(procedural(12, 0), "p"), 48)
    sampler = Sampler(pool, replace(SEMANTIC, absent=absent), 0)
    assert min(len(pool.by_class["p", c]) for c in sampler.classes["p"]) == 2
    episodes = [sampler.draw(5) for _ in range(60)]
    assert all(e.own or e.query.image not in {view.image for view in e.support} for e in episodes)


def films(kind):
    """Two clips of five frames in which something moves: class 1 or 2 by clip, or two objects of class 1."""
    for clip in (1, 2):
        for frame in range(5):
            labels = np.zeros((40, 60), np.int32)
            labels[5:25, 5 + frame : 30 + frame] = clip if kind == "classes" else 1
            labels[30:, 5:20] = 0 if kind == "classes" else 2
            truth = labels, None if kind == "classes" else (0, 1, 1)
            yield Entry(f"{clip}/{frame}", lambda: np.zeros((40, 60, 3), np.uint8), lambda truth=truth: truth, f"{clip}")


@pytest.mark.parametrize("kind", ("classes", "objects"))
def test_a_film_asks_in_a_frame_for_what_others_show(kind):
    pool = Pool.build(records_of(Dataset("films", films(kind), ("background", "a", "b")), "f"), 60)
    sampler = Sampler(pool, Mixture({}, 1.0, {}, {}, {}, swap=0.0), 0, augment=False, annotator=lambda _: Drawing(3, 3))
    episodes = [sampler.draw(2) for _ in range(20)]
    for episode in episodes:
        images = [view.image for view in (*episode.support, episode.query)]
        assert len(set(images)) == 3 and len({pool.clips[n] for n in images}) == 1
    batch = render(pool, episodes, 64, 0)
    assert (batch.annotation[:, :, 0].sum((2, 3)) == 3).all() and (batch.target == 1).flatten(1).any(1).all()


def test_frames_of_a_name_are_of_one_source(records):
    frames = [replace(record, source=source, clip="clip0") for source in "ab" for record in records[:2]]
    assert dict(Pool.build(frames, 32).by_clip) == {("a", "clip0"): [0, 1], ("b", "clip0"): [2, 3]}


def test_annotation_lies_on_its_own_side_and_targets_are_binary(pool):
    sampler = Sampler(pool, EVERYTHING, 1)
    episodes = [sampler.draw(1) for _ in range(40)]
    batch = render(pool, episodes, 64, 0)
    assert set(batch.target.unique().tolist()) <= {0, 1, 255}
    assert not (batch.annotation[:, :, 0] * batch.annotation[:, :, 1]).any()
    for i, episode in enumerate(episodes):
        if episode.own:
            assert torch.equal(batch.own[i], batch.annotation[i, -1])
            assert (batch.target[i][batch.own[i, 0] > 0] == 1).all() and (batch.target[i][batch.own[i, 1] > 0] == 0).all()
        else:
            assert not batch.own[i].any()


def test_as_many_pixels_are_marked_as_were_asked_for():
    target = torch.zeros(4, 40, 40, dtype=torch.uint8)
    target[:, 10:20, 10:20] = 1
    target[:, 30:] = 255
    drawings = [Drawing(1, 3), Drawing(25, 0), Drawing(DENSE, DENSE), Drawing(2, 1, stroke=2.0)]
    marks = annotate(target, drawings, torch.Generator().manual_seed(0))
    assert marks[:3].sum((2, 3)).tolist() == [[1, 3], [25, 0], [100, 1100]]
    for side, value in ((0, 1), (1, 0)):
        assert ((marks[:, side] == 0) | (target == value)).all()
    assert 3 < marks[3, 0].sum() <= 100


def test_the_papers_annotator_draws_uniformly():
    rng = np.random.default_rng(0)
    counts = [ANNOTATORS["paper"](rng).positive for _ in range(4000)]
    assert min(counts) == 1 and max(counts) == 100 and 48 < np.mean(counts) < 53


def test_regions_are_the_connected_parts_of_each_class():
    labels = np.zeros((40, 60), int)
    labels[5:15, 5:15] = labels[25:35, 40:55] = 7
    labels[0, :] = 255
    found = record(np.zeros((40, 60, 3), np.uint8), labels, "s")
    assert sorted(found.classes) == [0, 7, 7] and (found.regions[0] == 255).all()
    assert found.regions[10, 10] != found.regions[30, 45]
    numbered = regions_record(np.zeros((2, 2, 3), np.uint8), np.array([[1, 9], [-1, 9]]), {9: 3}, "s")
    assert numbered.regions[1, 0] == 255 and numbered.classes[numbered.regions[0, 1]] == 3


@pytest.mark.parametrize("large", (252, 253, 254, 300))
def test_an_image_of_more_regions_than_there_are_numbers_has_as_many_as_there_are(large):
    labels = np.full((120, 243), 255)
    places = [(y, x) for y in range(0, 120, 9) for x in range(0, 243, 9)][: large + 5]
    for i, (y, x) in enumerate(places):
        labels[y : y + 8, x : x + 8] = 7 if i < large else 9
    labels[119, ::2] = 7  # specks
    found = record(np.zeros((120, 243, 3), np.uint8), labels, "s")
    assert len(found.classes) <= 254 and set(np.unique(found.regions)) <= {*range(len(found.classes)), 255}
    table = np.array([*found.classes, *[255] * (256 - len(found.classes))])
    assert (table[found.regions] == np.where((labels == 9) & (table[found.regions] == 255), 255, labels)).all()


def test_records_come_back_from_a_file(records, tmp_path):
    save_records(records[:3], tmp_path / "r.zip")
    for a, b in zip(records, load_records(tmp_path / "r.zip"), strict=False):
        assert np.array_equal(a.regions, b.regions) and a.classes == b.classes and a.source == b.source
        assert np.abs(a.image.astype(int) - b.image).mean() < 12


def test_views_are_turned_and_scaled_and_look_at_the_class(pool):
    sampler = Sampler(pool, SEMANTIC, 0)
    views = [sampler.draw(1).query for _ in range(150)]
    for view in views:
        axes, side = view.theta[:, :2], pool.sizes[view.image].max()
        lengths = np.linalg.norm(axes, axis=0)
        assert abs(axes[:, 0] @ axes[:, 1]) < 1e-3 * lengths.prod()
        assert 0.49 <= 2 * np.sqrt(lengths.prod()) / side <= 1.16
        assert 0.69 <= lengths[0] / lengths[1] <= 1.44
    assert {bool(np.linalg.det(view.theta[:, :2]) < 0) for view in views} == {False, True}, "some are mirrored"
    _, target = look(pool, views, 48)
    assert (target == 1).flatten(1).any(1).float().mean() > 0.8


def test_labels_stay_on_what_they_label(pool):
    of_class = np.repeat(np.where(np.arange(256) % 2, 255, 0).astype(np.uint8)[pool.regions.numpy()][:, None], 3, 1)
    seen = replace(pool, images=torch.from_numpy(of_class))
    table = (np.arange(256) % 2).astype(np.uint8)
    sampler = Sampler(pool, SEMANTIC, 2)
    views = [replace(sampler.draw(1).query, table=table, colour=np.eye(3, 4, dtype=np.float32)) for _ in range(20)]
    image, target = look(seen, views, 96)
    known = target != 255
    assert ((image[:, 0] > 0.5) == (target == 1))[known].float().mean() > 0.97


def test_colours_change_about_grey():
    rng = np.random.default_rng(0)
    assert np.allclose(colour_shift(rng, 0.0), np.eye(3, 4), atol=1e-6)
    shifts = np.stack([colour_shift(rng, 1.0) for _ in range(500)])
    grey = (shifts[..., :3] * 127 / 255).sum(-1) + shifts[..., 3]
    assert 0.25 < grey.min() < 0.4 and 0.6 < grey.max() < 0.75
    gains = shifts[..., :3].sum(-1).mean(1)
    assert (gains < 0).any() and (np.abs(gains) > 0.5).all() and (np.abs(gains) < 1.7).all()  # some are negatives


def test_the_background_is_no_class_to_be_asked_for(pool):
    shown = sorted(c for (_, c), images in pool.by_class.items() if c > 0 and len(images) >= 2)
    assert Sampler(pool, SEMANTIC, 0).classes["p"] == shown


def test_a_view_without_augmentation_is_the_image_itself(pool):
    sampler = Sampler(pool, SEMANTIC, 0, augment=False)
    episode = sampler.draw(1)
    batch = render(pool, [episode], 96, 0)
    n = episode.query.image
    assert torch.allclose(batch.query[0], pool.images[n].float() / 255, atol=0.02)
