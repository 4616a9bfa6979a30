"""The bench runs, and what it prints is what it measured."""

import re
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from guided_demo import bench
from guided_demo.bench import main, sample_photos
from guided_demo.files import image_key


def test_bench_prints_what_it_measured_beside_what_is_wanted(checkpoint, capsys, monkeypatch):
    seconds = {"photo": [[0.1, 0.2, 0.4], [0.15, 0.3, 0.5], [0.03, 0.03, 0.05]], "stroke": [0.7, 0.3, 0.4]}
    threads = []

    def measured(what):
        def measure(segmenter, photos, rounds):
            assert rounds == 3
            threads.append(torch.get_num_threads())
            return seconds[what]

        return measure

    monkeypatch.setattr(bench, "measure_photo", measured("photo"))
    monkeypatch.setattr(bench, "measure_stroke", measured("stroke"))
    before = torch.get_num_threads()
    assert main(["--checkpoint", str(checkpoint), "--rounds", "3"]) == 0
    assert (threads, torch.get_num_threads()) == ([2, 2], before)
    rows = [re.split(r" {2,}", line) for line in capsys.readouterr().out.splitlines()[3:]]
    assert rows == [
        ["backbone alone", "200.0 ms", "150.0 to 300.0"],
        ["encode", "300.0 ms", "225.0 to 400.0"],
        ["guide + segment, when encoded", "30.0 ms", "30.0 to 40.0"],
        ["(guide + segment) / encode", "0.10", "0.10 to 0.15", "at most 0.15"],
        ["encode / backbone", "1.50", "1.38 to 1.50", "at most 1.50"],
        ["a stroke, 24 masks updated", "0.40 s", "0.35 to 0.55", "at most 0.50 s"],
    ]


@pytest.mark.parametrize("wrong", ("--rounds 0", "--device foo"))
def test_wrong_values_are_refused_by_the_parser(wrong, capsys):
    with pytest.raises(SystemExit) as caught:
        main(wrong.split())
    assert caught.value.code == 2 and f"argument {wrong.split()[0]}: " in capsys.readouterr().err


def test_a_missing_checkpoint_is_told(capsys):
    assert main(["--checkpoint", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("guided_demo: There is no checkpoint nowhere")


def test_measurements_take_turns_after_warming_up(monkeypatch):
    clock, done = [0.0], []

    def act(name, seconds):
        def action():
            done.append(name)
            clock[0] += seconds if len(done) > 4 else 100

        return action

    monkeypatch.setattr(bench.time, "perf_counter", lambda: clock[0])
    assert bench._timed([act("a", 1.0), act("b", 2.0)], 3) == [[1, 1, 1], [2, 2, 2]]
    assert done == ["a", "b"] * 5


def test_photos_and_strokes_are_measured(segmenter):
    photos = sample_photos(2)
    assert [len(seconds) for seconds in bench.measure_photo(segmenter, photos[0], 1)] == [1, 1, 1]
    (seconds,) = bench.measure_stroke(segmenter, photos, 1)
    assert seconds > 0


def test_marks_stay_within_the_photo_however_many_rounds(monkeypatch):
    class Recording:
        device = torch.device("cpu")
        given = []

        def preprocess(self, photo):
            return torch.zeros(1, 3, 32, 32)

        def encode(self, photo):
            return None

        def guide(self, encoded, annotation):
            annotation.validate(bench.SIZE)
            self.given.append(annotation)

        def segment(self, encoded, guidance, annotation):
            return SimpleNamespace(labels=np.zeros(bench.SIZE[::-1]))

    monkeypatch.setattr(bench, "_timed", lambda actions, rounds: [actions[-1]() for _ in range(rounds)])
    bench.measure_photo(Recording(), None, 1000)
    assert all(one != other for one, other in pairwise(Recording.given)) and len(Recording.given) == 1000


def test_sample_photos_differ():
    photos = sample_photos(24)
    assert {photo.size for photo in photos} == {(800, 600)}
    assert len({image_key(photo) for photo in photos}) == 24
