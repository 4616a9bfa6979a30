"""The README keeps its word: its examples run, its commands exist, its links lead somewhere, a Space accepts its header."""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import gradio
import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from PIL import Image

from guided_demo import Annotation, Guidance, GuidedSegmenter
from guided_demo.cli import ELSEWHERE
from guided_demo.cli import main as command_line

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HEADER, BODY = README.removeprefix("---\n").split("\n---\n", 1)
PHOTOS = Path(gradio.__file__).parent / "media_assets" / "images"
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", BODY, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    """A folder with the photos that the examples speak of."""
    (tmp_path / "photos").mkdir()
    for name in ("cheetah.jpg", "cheetah1.jpg", "lion.jpg"):
        shutil.copy(PHOTOS / name, tmp_path / "photos")
    return tmp_path


def run(example):
    """The names that an example defines, after checking that it prints what its comments say."""
    names, said = {"__name__": "readme"}, io.StringIO()
    with redirect_stdout(said):
        exec(compile(example, "README.md", "exec"), names)
    assert said.getvalue().splitlines() == re.findall(r"^print\(.*\)  # (.*)$", example, re.MULTILINE)
    return names


def test_the_python_example_prints_what_it_says(tmp_path, monkeypatch):
    example, *_ = blocks("python")
    monkeypatch.chdir(tmp_path)
    assert run(example)["guidance"].classes == ("background", "cheetah", "lion")


def test_the_notebook_example_shows_the_photos(folder, monkeypatch):
    _, example, below = blocks("python")
    monkeypatch.chdir(folder)
    names = run(example + below)
    widget = names["w"]
    assert names["lion"].shape == Image.open("photos/lion.jpg").size[::-1]
    assert Guidance.load("cats.safetensors").images == widget.guidance.images
    assert run(example)["w"].session.images == widget.session.images
    assert [item.name for item in widget.session.images] == ["cheetah.jpg", "cheetah1.jpg", "lion.jpg"]
    assert widget.session.class_names == ("background", "cat")


def test_the_command_line_examples_work_one_after_the_other(folder, monkeypatch, capsys):
    (example,) = blocks("sh")
    first, *others = map(shlex.split, example.splitlines())
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *first[1:]], cwd=folder, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert (first[0], done.returncode, done.stderr) == ("python", 0, "")
    monkeypatch.chdir(folder)
    for *program, command in ((*line[:3], line[3:]) for line in others):
        assert program == ["python", "-m", "guided_demo"]
        assert (command_line(command), capsys.readouterr().err) == (0, "")

    segmenter = GuidedSegmenter.load()
    guidance = Guidance.load(folder / "cats.safetensors")
    classes = (folder / "masks" / "classes.txt").read_text().split()
    assert classes == list(guidance.classes) == ["background", "cheetah", "lion"]
    for photo in (folder / "photos").iterdir():
        own = guidance.annotations.get(segmenter.encode(photo).key, Annotation())
        mask = np.asarray(Image.open(folder / "masks" / f"{photo.stem}.png"))
        np.testing.assert_array_equal(mask, segmenter.segment(photo, guidance, annotation=own).labels)


def test_the_first_click_finds_cheetahs_and_nothing_where_there_are_none():
    (example,) = blocks("sh")
    points = [point.split(",") for point in re.findall(r"--point (\S+)", example)]
    segmenter = GuidedSegmenter.load()
    clicks = Annotation(points=[(float(x), float(y), label) for x, y, label in points])
    guidance = segmenter.guide(PHOTOS / "cheetah1.jpg", clicks)
    running = segmenter.segment(PHOTOS / "cheetah.jpg", guidance).labels
    assert running[150, 250] == 1  # its flank, in another photo than the one with the clicks
    assert 0.02 < (running == 1).mean() < 0.15
    assert (segmenter.segment(PHOTOS / "tower.jpg", guidance).labels == 1).mean() < 0.02


def test_every_command_that_is_mentioned_exists():
    for script in re.findall(r"^    sh (\S+)$", BODY, re.MULTILINE):
        subprocess.run(["sh", "-n", ROOT / script], check=True)
    for command in re.findall(r"python -m guided_demo ([a-z]+)", BODY):
        assert command in {"guide", "segment", "video", *ELSEWHERE}


def test_two_commands_do_all_the_set_up():
    assert re.findall(r"^    sh (\S+)$", BODY, re.MULTILINE) == ["run.sh", "test.sh"]


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)\)", BODY)
    here = [target for target in targets if not target.startswith("https://")]
    assert "docs/screenshot.png" in here
    assert [target for target in here if not (ROOT / target).is_file()] == []


def test_the_header_is_one_that_a_gradio_space_accepts():
    header = yaml.safe_load(HEADER)
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    needs = {r.name: r.specifier for r in (Requirement(line) for line in lines if line and not line.startswith("#"))}
    assert (header["sdk"], header["license"]) == ("gradio", "apache-2.0")
    assert header["sdk_version"] in needs["gradio"]
    assert header["python_version"] in SpecifierSet(">=3.11,<3.14")
    assert (ROOT / header["app_file"]).is_file()
    assert {header["colorFrom"], header["colorTo"]} <= COLOURS
    assert len(header["title"]) > 0 and len(header["short_description"]) <= 60
