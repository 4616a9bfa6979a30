"""The command, end to end on generated pictures; and contestants against the API that people use."""

import json
import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from guided_demo import Annotation, InputError
from guided_demo.core import checkpoint
from guided_demo.core.model import GuidedSegmenter
from guided_demo.core.network import GuidedNetwork
from guided_demo.meta import baselines, evaluation
from guided_demo.meta.baselines import Ridge
from guided_demo.meta.contestants import NetworkContestant, SegmenterContestant, open_contestant
from guided_demo.meta.datasets import open_dataset
from guided_demo.meta.registry import UNTRAINED, build


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Checkpoints of a segmenter and of a registry network, both of random weights."""
    folder = tmp_path_factory.mktemp("trained") / "runs"
    folder.mkdir()
    torch.manual_seed(0)
    config = {"variant": "lite0", "width": 128}
    checkpoint.save(GuidedNetwork(**config), folder / "ours.safetensors", {"config": config, "side": 64})
    metadata = {"model": "ridge", "config": {"variant": "lite0"}, "side": 64}
    checkpoint.save(build("ridge", variant="lite0"), folder / "their-ridge.safetensors", metadata)
    metadata = {"model": "prototype", "config": {}, "side": 64}  # as `train` writes it
    checkpoint.save(build("prototype"), folder / "their-prototype.safetensors", metadata)
    return folder


def picture(size, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)


MARKS = Annotation(points=[(10.5, 8.5, "object"), (60.5, 20.5, "background"), (20.5, 22.5, "object")])


def test_a_segmenter_is_used_as_people_use_it(trained):
    segmenter = GuidedSegmenter.load(trained / "ours.safetensors")
    contestant = SegmenterContestant(segmenter, "ours", kept=1)
    image, query = picture((80, 30)), picture((40, 60), 1)
    guidance = contestant.guide([(image, MARKS)])
    expected = segmenter.segment(query, segmenter.guide(image, MARKS))
    assert (contestant.segment(guidance, query) == (expected.labels == expected.classes.index("object"))).all()
    own = segmenter.segment(image, guidance, MARKS, scope="object")
    mask = contestant.segment(guidance, image, MARKS, "object")
    assert (mask == (own.labels == own.classes.index("object"))).all() and mask[8, 10] and not mask[20, 60]
    assert not contestant.segment(contestant.guide([]), query).any()


def test_networks_answer_in_the_pixels_of_the_query(trained):
    for contestant in (
        open_contestant(str(trained / "their-ridge.safetensors")),
        NetworkContestant(build("guided", variant="lite0"), "guided", "none", side=64),
    ):
        tall, wide = picture((31, 90)), picture((80, 30))
        guidance = contestant.guide([(wide, MARKS), (tall, Annotation(points=[(3, 4, "object")]))])
        assert contestant.segment(guidance, tall).shape == (90, 31)
        assert contestant.segment(guidance, wide, MARKS, "object").dtype == bool


def test_annotation_reaches_the_network_where_it_was_made():
    """A network that repeats the annotation at the query: the mask must be where the points were."""

    class Repeat(torch.nn.Module):
        def forward(self, support, annotation, query):
            return torch.nn.functional.max_pool2d(annotation[:, 0, 0] - annotation[:, 0, 1], 9, 1, 4) - 0.5

    contestant = NetworkContestant(Repeat(), "repeat", "none", side=160)
    image = picture((80, 30))
    mask = contestant.segment(contestant.guide([(image, MARKS)]), image)
    rows, columns = np.nonzero(mask)
    near = [np.maximum(np.abs(columns - x), np.abs(rows - y)) <= 3 for x, y in ((10, 8), (20, 22))]
    assert mask[8, 10] and mask[22, 20] and np.logical_or(*near).all()


def test_contestants_by_name(trained):
    assert isinstance(open_contestant(str(trained / "ours.safetensors")), SegmenterContestant)
    ridge = open_contestant(str(trained / "their-ridge.safetensors"))
    assert ridge.name == "runs/their-ridge" and isinstance(ridge.network, Ridge) and len(ridge.checkpoint_id) == 12
    for lender, prefix in (("ours", "encoder."), ("their-ridge", "encoder.encoder."), ("their-prototype", "encoder.encoder.")):
        path = trained / f"{lender}.safetensors"
        borrowed = open_contestant(f"prototype={path}")
        theirs, state = borrowed.network.encoder.encoder.state_dict(), checkpoint.read(path)[0]
        shared = [key for key in theirs if not key.endswith("num_batches_tracked")]
        assert borrowed.name == f"prototype=runs/{lender}"
        assert all(torch.equal(theirs[key], state[prefix + key]) for key in shared)
    assert open_contestant("forest-filters").checkpoint_id == "none"
    assert open_contestant("prototype=default").name == "prototype"
    for wrong in ("nope", "nope=default", "prototype=nowhere.safetensors"):
        with pytest.raises(InputError):
            open_contestant(wrong)


LEARNED = ("guided", "late-global", "concatenation", "parameter-regression", "foreground-background")


@pytest.mark.parametrize("name", (*LEARNED, "ridge", "supervised", "forest-features"))
def test_networks_that_need_training_are_not_measured_without(name):
    with pytest.raises(InputError, match=f"{name} has random weights: give ") as told:
        open_contestant(name)
    assert ("guided_demo train" in str(told.value)) == (name != "forest-features")
    assert (f"{name}=CHECKPOINT" in str(told.value)) == (name not in LEARNED)


@pytest.mark.parametrize(
    ("name", "instead"),
    (*((name, f"train --model {name}`") for name in LEARNED), *((name, f"give {name} alone") for name in UNTRAINED)),
)
def test_only_what_needs_no_training_of_its_own_is_put_on_the_encoder_of_another(name, instead):
    with pytest.raises(InputError, match=rf"only prototype, .* are of use; .*{instead}"):
        open_contestant(f"{name}=default")


@pytest.mark.parametrize("name", ("fine-tuning", "supervised"))
def test_heads_that_are_tuned_begin_the_same_every_time(name, trained):
    heads = [open_contestant(f"{name}={trained / 'ours.safetensors'}").network.base.head.state_dict() for _ in range(2)]
    assert all(torch.equal(value, heads[1][key]) for key, value in heads[0].items())


@pytest.mark.parametrize("spec", ("forest-filters", "forest-features=default"))
def test_a_forest_without_its_packages_is_told_before_the_work(spec, monkeypatch):
    monkeypatch.setattr(baselines, "find_spec", lambda name: None if name == "sklearn" else find_spec(name))
    with pytest.raises(InputError, match="needs scikit-learn; run `pip install scikit-learn` and"):
        open_contestant(spec)


def write_domain(folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for i in range(3):
        Image.fromarray(picture((40, 30), i)).save(folder / "images" / f"{i}.png")
        mask = np.zeros((30, 40), np.uint8)
        mask[5:20, 5 + i : 25] = 1
        Image.fromarray(mask).save(folder / "masks" / f"{i}.png")


def test_the_command_writes_a_table_curves_and_json(trained, tmp_path, capsys):
    write_domain(tmp_path / "domains" / "mud")
    still, instances, clips = (f"procedural/1/{kind}/48:24" for kind in ("semantic", "instance", "video"))
    some_classes = open_dataset(still).classes[3:6]
    ridge = str(trained / "their-ridge.safetensors")
    call = ["--model", str(trained / "ours.safetensors"), ridge, "--tasks", "2", "--points", "1", "all"]
    call += ["--another", still, "--shots", "1", "2", "--same", still, "--video", clips, "--frames", "2", "--swap", still]
    call += ["--absent", still]
    call += ["--many", still, still, "--many-shots", "1", "3", "--queries", "1", "--classes", *some_classes]
    call += ["--domains", str(tmp_path / "domains"), "--seed", "3", "-o", str(tmp_path / "out")]
    assert evaluation.main(call) == 0
    assert (tmp_path / "out" / "table.md").read_text().strip() in capsys.readouterr().out
    assert Image.open(tmp_path / "out" / "curves.png").width > 400
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    heads = [line[3:] for line in (tmp_path / "out" / "table.md").read_text().splitlines() if line.startswith("## ")]
    assert heads == [f"{name}, {len(data['tasks'])} tasks" for name, data in results["data"].items()]
    assert results["seed"] == 3 and [m["name"] for m in results["models"]] == ["runs/ours", "runs/their-ridge"]
    assert set(results["data"]) == {"another image", "same image", "video", "many shots", "domain mud", "swap", "absent"}
    listed = results["data"]["another image"]
    assert listed["dataset"] == still and all(len(t["support"]) == 2 and len(t["queries"]) == 1 for t in listed["tasks"])
    found = {(c["protocol"], c["contestant"], c["setting"], c["measure"]): c["value"] for c in results["cells"]}
    each = [r for r in results["per_task"]["another image"] if (r["model"], r["setting"]) == ("runs/ours", "S=2 P=all")]
    mean = np.mean([np.mean(r["iou"]) for r in each])
    assert found["another image", "runs/ours", "S=2 P=all", "mean IoU"]["value"] == pytest.approx(mean, abs=1e-3)
    assert ("video", "runs/their-ridge", "S=1 P=1", "J&F") in found and (
        "many shots",
        "runs/ours",
        "S=3 P=all",
        "mean IoU",
    ) in found

    assert evaluation.main(["--model", ridge, "--clicks", instances, "--tasks", "1", "-o", str(tmp_path / "c")]) == 0
    clicked = json.loads((tmp_path / "c" / "results.json").read_text())
    assert {c["measure"] for c in clicked["cells"]} >= {"NoC@85", "NoC@90"}
    assert len(clicked["per_task"]["clicks"]["runs/their-ridge"][0]) == 20


def test_a_setting_that_is_given_twice_counts_once(trained, tmp_path):
    tables = []
    for name, times in {"once": 1, "twice": 2}.items():
        call = ["--model", str(trained / "their-ridge.safetensors"), "--another", "procedural/1/semantic/48:24", "--tasks", "3"]
        call += ["--points", *times * ["1", "all"], "--shots", *times * "1", "-o", str(tmp_path / name)]
        assert evaluation.main(call) == 0
        tables.append((tmp_path / name / "table.md").read_text())
    assert tables[0] == tables[1]


def test_models_are_told_apart_by_the_checkpoint_they_rest_on(trained, capsys):
    call = ["--another", "procedural/1/semantic/32:24", "--shots", "1", "--points", "1", "--tasks", "1"]
    ours = f"prototype={trained / 'ours.safetensors'}"
    assert evaluation.main([*call, "--model", "prototype=default", ours]) == 0
    assert "| prototype | " in (said := capsys.readouterr().out) and "| prototype=runs/ours | " in said
    assert evaluation.main([*call, "--model", ours, ours]) == 2
    assert "Two models would be called prototype=runs/ours" in capsys.readouterr().err


def test_one_broken_domain_leaves_the_others_measured(tmp_path, capsys):
    for name in ("mud", "rust"):
        write_domain(tmp_path / name)
    (tmp_path / "rust" / "masks" / "1.png").unlink()
    call = ["--model", "forest-filters", "--tasks", "1", "--points", "2", "--domains", str(tmp_path)]
    assert evaluation.main(call) == 1
    told, errors = capsys.readouterr()
    assert "## domain mud" in told and "rust" not in told
    assert errors.startswith("guided_demo: domain rust is left out: The mask of 1.png was expected at")
    shutil.rmtree(tmp_path / "mud")
    assert evaluation.main(call) == 2
    assert capsys.readouterr().err.startswith("guided_demo: domain rust is left out: ")


def test_a_photo_that_cannot_be_read_leaves_what_does_not_need_it_measured(tmp_path, capsys):
    for name in ("mud", "rust"):
        write_domain(tmp_path / "domains" / name)
    for photo in (tmp_path / "domains" / "rust" / "images").iterdir():
        photo.write_bytes(photo.read_bytes()[:500])  # which is seen when its task is run: to draw one takes the masks
    mud, rust = (f"plain:{tmp_path / 'domains' / name}" for name in ("mud", "rust"))
    call = ["--model", "forest-filters", "--tasks", "1", "--points", "2", "--shots", "1", "--another", rust]
    asked = ["--domains", str(tmp_path / "domains"), "--same", mud, "-o", str(tmp_path / "out")]
    assert evaluation.main([*call, *asked]) == 1
    told, errors = capsys.readouterr()
    lines = [line for line in re.split("[\r\n]", errors) if "left out" in line]
    for line, protocol in zip(lines, ("another image", "domain rust"), strict=True):
        assert line.startswith(f"guided_demo: {protocol} is left out: ") and "is cut short or damaged" in line
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(results["data"]) == list(results["per_task"]) == ["same image", "domain mud"]
    assert [f"guided_demo: {sentence}" for sentence in results["left_out"]] == lines
    assert [line for line in told.splitlines() if line.startswith("## ")] == ["## same image, 1 task", "## domain mud, 1 task"]
    assert (tmp_path / "out" / "table.md").read_text() in told and (tmp_path / "out" / "curves.png").exists()
    assert evaluation.main([*call, "-o", str(tmp_path / "none")]) == 2
    told, errors = capsys.readouterr()
    assert not told and "another image is left out: " in errors and not (tmp_path / "none" / "table.md").exists()


def test_domains_of_one_name_are_told_apart(tmp_path, capsys):
    for folder in ("cells", "cells/cells", "cells/mud"):
        write_domain(tmp_path / folder)
    call = ["--model", "forest-filters", "--tasks", "1", "--points", "2", "--domains", str(tmp_path / "cells")]
    assert evaluation.main(call) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("## ")]
    assert heads == [f"## domain {name}, 1 task" for name in ("cells", "cells/cells", "cells/mud")]


def test_points_that_the_same_image_does_not_take_are_told(capsys):
    call = ["--model", "forest-filters", "--same", "procedural/1/semantic/48:12", "--tasks", "1", "--points"]
    for points, told in (["all"], True), (["1", "all"], False):
        assert evaluation.main([*call, *points]) == 0
        out, errors = capsys.readouterr()
        assert ("it is run with 25" in errors) == told and ("S=1 P=25" in out) == told


def test_the_recipe_for_the_papers_network_ends_with_something_to_measure():
    _, command = re.findall("`python -m guided_demo [a-z]+ ([^`]*)`", checkpoint.RECIPE)
    assert evaluation._parser().parse_args(shlex.split(command)).another == "voc/val:VOC"


@pytest.mark.parametrize(
    "call",
    (
        [],
        ["--another", "procedural:0"],
        ["--another", "nowhere"],
        ["--model", "nope", "--another", "procedural:5"],
        ["--domains", "nowhere"],
        ["--another", "procedural:5", "--classes", "background"],
        ["--model", "forest-filters", "forest-filters", "--another", "procedural:5"],
    ),
)
def test_wrong_calls_say_why(call, capsys):
    assert evaluation.main(call if "--model" in call else [*call, "--model", "forest-filters"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("guided_demo: ") and message.count("\n") == 1


@pytest.mark.parametrize(
    "wrong",
    (
        *("--points 0", "--points some", "--shots all", "--many-shots 0", "--frames 0", "--tasks 0", "--queries 0"),
        *("--seed -1", "--device foo"),
    ),
)
def test_wrong_values_are_refused_by_the_parser(wrong, capsys):
    with pytest.raises(SystemExit) as caught:
        evaluation.main(["--another", "procedural:5", *wrong.split()])
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].partition("error: argument ")[2].startswith(wrong.split()[0])


def test_a_folder_that_cannot_be_made_is_told_before_the_work(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(evaluation, "evaluate", lambda *_: pytest.fail("the work began"))
    call = ["--model", "forest-filters", "--another", "procedural/1/semantic/48:12", "--shots", "1"]
    assert evaluation.main([*call, "-o", str(tmp_path / "file" / "results")]) == 2
    assert f"{tmp_path / 'file' / 'results'} cannot be written" in capsys.readouterr().err
