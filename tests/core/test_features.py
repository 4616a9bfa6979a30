"""Features on disk: kept within bounds, and never in the way."""

import os
import time

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from guided_demo import GuidedSegmenter
from guided_demo.core.features import FeatureCache

PHOTOS = np.random.default_rng(0).integers(0, 256, (3, 40, 60, 3), np.uint8)
DAY = 86400.0


def test_features_on_disk_outlive_the_program_within_bounds(segmenter, tmp_path):
    def kept():
        return {path.stem: path for path in tmp_path.rglob("*.safetensors")}

    before = FeatureCache(segmenter, folder=tmp_path)
    keys = [before.encode(photo).key for photo in PHOTOS]
    for key, days in zip(keys, (3, 2, 1), strict=True):
        os.utime(kept()[key], (time.time() - days * DAY,) * 2)
    after = FeatureCache(segmenter, folder=tmp_path, disk_seconds=2.5 * DAY)
    assert set(kept()) == set(keys[1:])
    assert after.get(keys[1]) is not None  # which uses it
    most = int(1.5 * kept()[keys[1]].stat().st_size)
    FeatureCache(GuidedSegmenter.untrained(seed=2), folder=tmp_path, disk_bytes=most)
    assert set(kept()) == {keys[1]}


def test_features_of_another_form_are_worked_out_again(segmenter, tmp_path):
    encoded = FeatureCache(segmenter, folder=tmp_path).encode(PHOTOS[0])
    (file,) = tmp_path.rglob("*.safetensors")
    for frame in ("{}", '{"size": [60, 40], "content": [64, 44]}'):  # of no version, and of one that showed photos smaller
        save_file(load_file(file), file, {"frame": frame})
        assert FeatureCache(segmenter, folder=tmp_path).encode(PHOTOS[0]).frame == encoded.frame


def test_what_is_read_again_is_what_was_written(segmenter, tmp_path):
    encoded = FeatureCache(segmenter, folder=tmp_path).encode(PHOTOS[0])
    again = FeatureCache(segmenter, folder=tmp_path).get(encoded.key)
    for part in ("features", "edges"):
        before, after = (vars(getattr(image, part)) for image in (encoded, again))
        assert before.keys() == after.keys() and len(before) > 2
        assert all(torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype for name in before)


def test_features_that_cannot_be_kept_are_worked_out(segmenter, tmp_path):
    cache = FeatureCache(segmenter, folder=tmp_path)
    cache.folder.rmdir()
    cache.folder.write_text("no folder")
    assert cache.encode(PHOTOS[0]).key == segmenter.encode(PHOTOS[0]).key


def test_what_is_written_never_takes_more_than_the_bound(segmenter, tmp_path):
    def total():
        return sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors"))

    FeatureCache(segmenter, folder=tmp_path).encode(PHOTOS[0])
    bound = int(2.5 * total())
    cache = FeatureCache(segmenter, folder=tmp_path, disk_bytes=bound)
    for photo in PHOTOS[1:]:
        cache.encode(photo)
        assert total() <= bound
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2


def test_what_a_killed_program_left_half_written_goes_in_time(segmenter, tmp_path):
    folder = FeatureCache(segmenter, folder=tmp_path).folder
    old, new = folder / ".old.part", folder / ".new.part"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 3 * DAY,) * 2)
    FeatureCache(segmenter, folder=tmp_path, disk_seconds=2 * DAY)
    assert list(folder.iterdir()) == [new]


def test_features_that_cannot_be_deleted_are_no_trouble(segmenter, tmp_path):
    stays = FeatureCache(segmenter, folder=tmp_path).folder / "folder.safetensors"
    stays.mkdir()
    os.utime(stays, (time.time() - 3 * DAY,) * 2)
    FeatureCache(segmenter, folder=tmp_path, disk_seconds=2 * DAY)
    assert stays.is_dir()
