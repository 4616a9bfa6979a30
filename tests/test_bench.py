"""The bench runs, and its ratios are those of the times it prints."""

import re

import pytest

from guided_demo.bench import main, sample_photos
from guided_demo.files import image_key


def test_bench_prints_ratios_of_what_it_measured(checkpoint, capsys):
    assert main(["--checkpoint", str(checkpoint), "--repeats", "1"]) == 0
    said = capsys.readouterr().out
    backbone, encode, answer = (float(ms) for ms in re.findall(r"([\d.]+) ms", said))
    ratios = [float(value) for value in re.findall(r"([\d.]+) +\(at most", said)]
    assert ratios == pytest.approx([answer / encode, encode / backbone], rel=0.05, abs=0.01)
    assert float(re.search(r"24 masks updated +([\d.]+) s", said)[1]) > 0


def test_sample_photos_differ():
    photos = sample_photos(24)
    assert {photo.size for photo in photos} == {(800, 600)}
    assert len({image_key(photo) for photo in photos}) == 24
