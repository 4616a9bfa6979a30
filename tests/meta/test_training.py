import json
import os
import re
import resource
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from PIL import Image
from torch import nn

from guided_demo.core import checkpoint
from guided_demo.meta import training
from guided_demo.meta.command import main
from guided_demo.meta.episodes import Sampler, render
from guided_demo.meta.log import Log
from guided_demo.meta.pool import Pool, Record, records_of, save_records
from guided_demo.meta.procedural import procedural
from guided_demo.meta.registry import build
from guided_demo.meta.training import CONFIGS, Run, TrainConfig, available, episode_loss, held_out_iou, step, train

ROOT = Path(__file__).parents[2]
CONFIG = TrainConfig(steps=4, batch=2, side=32, warmup=1, shots=(1, 2), mixture=CONFIGS["ours"].mixture)


class Tiny(nn.Module):
    """The interface of a guided network in a few lines: colour alone. As ours it needs episodes, with the class in all."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Conv2d(3, 8, 3, padding=1)
        self.scale = nn.Parameter(torch.ones(()))
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, support, annotation, query):
        assert len(query) and annotation[:, :, 0].flatten(1).any(1).all()
        features = self.backbone(support.flatten(0, 1)).unflatten(0, support.shape[:2])
        sides = [(features * annotation[:, :, None, i]).mean((1, 3, 4)) for i in (0, 1)]
        return self.scale * torch.einsum("bchw,bc->bhw", self.backbone(query), sides[0] - sides[1])


@pytest.fixture(scope="module")
def pool():
    return Pool.build(records_of(procedural(16, 0), "p"), 48)


def fresh(config=CONFIG):
    torch.manual_seed(0)
    return Run.start(Tiny(), config)


def weights(run):
    return torch.cat([p.detach().flatten() for p in (*run.network.parameters(), *run.average.parameters())])


def test_a_run_that_was_stopped_ends_as_one_that_was_not(pool, tmp_path):
    whole = train(fresh(), pool)
    part = train(fresh(), pool, until=lambda step: step >= 2)
    torch.save(part.state(), tmp_path / "state.pt")
    again = fresh()
    again.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    assert again.step == 2
    assert torch.equal(weights(whole), weights(train(again, pool)))


def test_the_loss_of_pixels_nobody_labelled_is_nothing():
    target = torch.tensor([[[1, 0], [255, 255]]])
    logits = torch.tensor([[[2.0, -1.0], [50.0, -50.0]]])
    wanted = -(torch.tensor(2.0).sigmoid().log() + torch.tensor(1.0).sigmoid().log()) / 2
    assert torch.allclose(episode_loss(logits, target, dice=0.0), wanted)
    assert episode_loss(logits.where(target != 255, torch.zeros(())), target, dice=1.0) == episode_loss(logits, target, dice=1.0)


def test_episodes_whose_support_lost_the_class_are_passed_over(pool):
    sampler = Sampler(pool, available(CONFIG.mixture, pool), 0)
    batch = render(pool, [sampler.draw(1) for _ in range(2)], 64, 0)
    batch.annotation[0, :, 0] = 0
    torch.manual_seed(0)
    run, other = (Run.start(build("guided", variant="lite0"), CONFIG) for _ in range(2))
    other.network.load_state_dict(run.network.state_dict())
    assert step(run, batch, 0, 1, "cpu") == step(other, batch[1:], 0, 1, "cpu") > 0
    batch.annotation[1, :, 0] = 0
    assert step(run, batch, 0, 1, "cpu") == 0
    assert weights(run).isfinite().all()


def test_the_papers_settings_are_the_papers():
    paper = CONFIGS["paper"]
    assert (paper.optimiser, paper.rate, paper.momentum, paper.weight_decay) == ("sgd", 1e-5, 0.99, 5e-4)
    assert (paper.batch, paper.steps, paper.shots, paper.annotator) == (1, 100_000, (1,), "paper")
    run = fresh(paper)
    assert all(g["momentum"] == 0.99 and g["weight_decay"] == 5e-4 for g in run.optimiser.param_groups)


def test_a_source_the_mixture_does_not_name_is_trained_on_too(pool):
    found = available(CONFIGS["ours"].mixture, pool)
    assert set(found.views) == set(found.same) == set(found.parts)
    assert found.video == (CONFIG.mixture.video if pool.by_clip else 0.0)


WORKERS = """
import os, sys, torch
import torch.distributed as dist
root, folder = sys.argv[1:]
sys.path.insert(0, root)
from tests.meta.test_training import CONFIG, Pool, fresh, procedural, records_of, train, weights
other = os.fork()  # what is imported by now need not be imported twice
dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=int(other == 0), world_size=2)
run = train(fresh(), Pool.build(records_of(procedural(16, 0), "p"), 48))
if other:
    torch.save(weights(run), f"{folder}/w.pt")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]))
"""


def test_two_processes_train_as_one_with_the_whole_batch(pool, tmp_path):
    command = [sys.executable, "-c", WORKERS, str(ROOT), str(tmp_path)]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "w.pt", weights_only=True)
    assert torch.allclose(found, weights(train(fresh(), pool)), atol=2e-5)


def test_the_command_trains_validates_and_resumes(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # as a cluster may set it: only torchrun begins several processes
    common = ["--data", "procedural:12", "--validate", "procedural/1:12", "--model", "prototype", "--batch", "1", "--side", "64"]
    options = [*common, "--every", "1", "--seed", "3", "-o", str(tmp_path)]
    assert main([*options, "--steps", "1"]) == 0
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 1, "lo')  # where the disk was full
    assert main([*options, "--steps", "2"]) == 0
    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [1, 1, 2, 2]
    assert main([*options, "--steps", "1"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("nothing to do: 2 steps are done, and 1 are asked for\n")
    assert "going on from step 1" in said and "validation IoU" in said and "held-out" not in said
    assert (tmp_path / "curves.png").stat().st_size > 1000
    modes = {(tmp_path / name).stat().st_mode for name in ("last.safetensors", "best.safetensors", "state.pt", "log.jsonl")}
    assert len(modes) == 1  # as the umask says
    _, metadata, _ = checkpoint.read(tmp_path / "last.safetensors")
    assert metadata["model"] == "prototype" and metadata["step"] == 2 and 0 <= metadata["held_out_iou"] <= 1
    assert metadata["training"]["seed"] == 3


def test_what_goes_wrong_is_told_to_torchrun(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    (tmp_path / "file").touch()
    assert main(["--data", "procedural:4", "-o", str(tmp_path / "file/run")]) == 2
    sentence = capsys.readouterr().err.removeprefix("guided_demo: ").strip()
    told = json.loads((tmp_path / "error.json").read_text())["message"]
    assert told["extraInfo"]["py_callstack"].strip().endswith(f"InputError: {sentence}")


@pytest.mark.parametrize("broken", ("loss", "features"))
def test_training_that_falls_apart_is_told_and_takes_nothing_that_was_there(broken, tmp_path, capsys, monkeypatch):
    options = ["--data", "procedural:4", "--model", "prototype", "--batch", "1", "--side", "32", "-o", str(tmp_path)]
    assert main([*options, "--steps", "1"]) == 0
    before = (tmp_path / "last.safetensors").read_bytes()

    def fails(*_):
        if broken == "features":
            torch.linalg.cholesky(torch.full((2, 2), torch.nan))
        return torch.nan

    monkeypatch.setattr(training, "step", fails)
    assert main([*options, "--steps", "2"]) == 2
    assert "Training fell apart at step 1, where the loss is no number; a lower --rate" in capsys.readouterr().err
    assert (tmp_path / "last.safetensors").read_bytes() == before


@pytest.mark.parametrize("shown", ("both", "first", "none"))
def test_films_are_validated_by_another_frame_of_the_same(shown):
    image = np.zeros((32, 32, 3), np.uint8)
    regions = [np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.uint8)]
    regions[0][8:24, 8:24] = regions[1][8:24, 8:24] = 1
    records = [
        Record(image + 100 * n, r if shown == "both" or (shown, f) == ("first", 0) else r * 0, (0, 1), "films", f"clip{n}")
        for n in range(3) for f, r in enumerate(regions)
    ]  # fmt: skip
    pool, asked = Pool.build(records, 32), []

    class Network(nn.Module):
        def forward(self, support, annotation, query):
            assert annotation[:, :, 0].flatten(1).any(1).all()
            asked.append((support[:, 0] == query).all())
            return torch.ones_like(query[:, 0])

    assert pool.comparable
    score = held_out_iou(Network(), pool, 32)
    assert all(asked) and bool(asked) == (shown != "none")
    assert score == pytest.approx({"both": 0.25, "first": 0, "none": 0}[shown])


def test_a_full_disk_is_told_and_takes_nothing_that_was_there(tmp_path, capsys):
    options = ["--data", "procedural:4", "--model", "prototype", "--batch", "1", "--side", "32", "-o", str(tmp_path)]
    assert main([*options, "--steps", "1"]) == 0
    names = ("last.safetensors", "state.pt")
    before, limit = [(tmp_path / name).read_bytes() for name in names], resource.getrlimit(resource.RLIMIT_FSIZE)
    for most, told in ((10, "log.jsonl"), (2**20, names[0]), (12 * 2**20, names[1])):
        (tmp_path / names[0]).write_bytes(before[0])
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, limit[1]))
        try:
            assert main([*options, "--steps", "2"]) == 2
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert re.search(rf"{tmp_path}.* cannot be written", capsys.readouterr().err), told
        assert (tmp_path / names[1]).read_bytes() == before[1] and not list(tmp_path.glob(".*"))
        assert told == names[1] or (tmp_path / names[0]).read_bytes() == before[0]


def test_a_short_run_is_not_drawn_as_it_began(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Axes, "plot", lambda _, steps, values, **looks: drawn.append(values))
    log = Log(tmp_path / "log.jsonl", 0)
    for n in range(60):
        log.loss(n + 1, 8.0 if n < 30 else 2.0)
    log.plot("held-out IoU")
    assert drawn[0][0] == 8.0 and drawn[0][-1] < 2.2


def test_a_head_can_be_trained_on_the_encoder_of_a_checkpoint(tmp_path):
    common = ["--data", "procedural:8", "--batch", "1", "--side", "64", "--steps", "1"]
    again = ["--start-from", str(tmp_path / "first/last.safetensors"), "--head-only"]
    for name, options in {"first": [], "second": again}.items():
        assert main([*common, *options, "--seed", str(len(options)), "--rate", "0.01", "-o", str(tmp_path / name)]) == 0
    first, second = (checkpoint.read(tmp_path / name / "last.safetensors")[0] for name in ("first", "second"))
    changed = {name.split(".")[0] for name in first if not torch.equal(first[name], second[name])}
    assert changed == {"head"}


@pytest.mark.parametrize(("model", "place"), (("ridge", "encoder.encoder."), ("fine-tuning", "base.encoder.encoder.")))
def test_another_network_starts_from_the_encoder_of_a_checkpoint(model, place, tmp_path):
    common = ["--data", "procedural:4", "--batch", "1", "--side", "32", "--steps", "1", "--rate", "0", "--backbone-rate", "0"]
    assert main([*common, "--model", model, "--start-from", "default", "-o", str(tmp_path)]) == 0
    given, made = checkpoint.read(checkpoint.find("default"))[0], checkpoint.read(tmp_path / "last.safetensors")[0]
    encoder = [name.removeprefix("encoder.") for name in given if name.startswith("encoder.")]
    assert len(encoder) > 300 and all(torch.equal(given[f"encoder.{name}"], made[place + name]) for name in encoder)


@pytest.mark.parametrize("model", ("late-global", "frozen-prototype"))
def test_a_network_with_another_encoder_does_not_start_from_a_checkpoint(model, tmp_path, capsys):
    options = ["--data", "procedural:4", "--model", model, "-o", str(tmp_path)]
    assert main([*options, "--start-from", "default"]) == 2
    assert f"{model} cannot start from default, for it has another encoder" in capsys.readouterr().err


def test_every_setting_has_an_option_with_help(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = " ".join(capsys.readouterr().out.partition("options:")[2].partition("examples:")[0].split())
    for item in fields(TrainConfig):
        if item.name not in ("shots", "annotator", "optimiser", "mixture"):
            told = listed.partition(f" --{item.name.replace('_', '-')} ")[2]
            assert re.match(r"([A-Z_]+ )?[a-z][^-(]{10}", told), item.name
    assert "--side SIDE" in listed and "images of 384" in listed


def test_only_the_head_learns_where_the_encoder_is_within_a_base():
    run = Run.start(build("fine-tuning", variant="lite0"), replace(CONFIG, head_only=True))
    learning = {".".join(name.split(".")[:2]) for name, p in run.network.named_parameters() if p.requires_grad}
    assert learning == {"base.head"}


@pytest.mark.parametrize(
    "other", ("--data procedural/1:4", "--validate procedural/1:24", "--seed 1", "--size 64", "--hold-out disc")
)
def test_a_run_with_other_settings_is_not_gone_on_with(other, tmp_path, capsys):
    options = ["--data", "procedural:4", "--model", "prototype", "--batch", "1", "--side", "32", "-o", str(tmp_path)]
    assert main([*options, "--steps", "1"]) == 0
    before = (tmp_path / "last.safetensors").read_bytes()
    assert main([*options, "--steps", "2", *other.replace("disc", "striped disc").split(maxsplit=1)]) == 2
    assert f"{tmp_path / 'state.pt'} is broken or of another run" in capsys.readouterr().err
    assert (tmp_path / "last.safetensors").read_bytes() == before
    for damaged in (b"[]\n", b"\xff\xfe\n"):
        (tmp_path / "log.jsonl").write_bytes(damaged)
        assert main([*options, "--steps", "2"]) == 2 and "log.jsonl is no log of training; delete it" in capsys.readouterr().err


@pytest.mark.parametrize("content", (b"", b"broken", None))
def test_a_folder_of_another_run_is_not_gone_on_with(content, tmp_path, capsys):
    state = tmp_path / "state.pt"
    torch.save(fresh().state(), state) if content is None else state.write_bytes(content)
    assert main(["--data", "procedural:4", "--model", "prototype", "-o", str(tmp_path)]) == 2
    assert f"{state} is broken or of another run" in capsys.readouterr().err


def test_a_missing_data_set_is_named(tmp_path, capsys):
    assert main(["--data", "voc/train:/nowhere", "-o", str(tmp_path)]) == 2
    assert "/nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("place", ("--data", "--validate"))
def test_what_cannot_be_held_out_is_told(place, tmp_path, capsys):
    save_records(records_of(procedural(2, 0), "p"), tmp_path / "r.zip")
    known = procedural(1).classes[1]
    common = ["--data", "procedural:8", "-o", str(tmp_path / "out")]
    assert main([*common, "--hold-out", known, "Strped disc"]) == 2
    assert "class 'Strped disc' to hold out; do you mean 'striped disc'?" in capsys.readouterr().err
    assert main([*common, "--hold-out", "background"]) == 2  # which all images have
    assert main([*common, place, str(tmp_path / "r.zip"), "--hold-out", known]) == 2
    assert "r.zip has no names of classes" in capsys.readouterr().err


def test_another_name_for_what_is_held_out_is_told(tmp_path, capsys):
    from tiny import halves, mask, picture

    for name, classes in {"voc": ("tvmonitor", "Leaf"), "coco": ("tv", "leaf")}.items():
        picture(tmp_path / name / "images" / "a.jpg")
        mask(tmp_path / name / "masks" / "a.png", halves(1, 2))
        (tmp_path / name / "classes.txt").write_text("\n".join(("background", *classes)))
    data = ["--data", f"voc=plain:{tmp_path}/voc", f"coco=plain:{tmp_path}/coco", "-o", str(tmp_path / "out")]
    for given, others in (("tvmonitor", ["tv"]), ("tv", ["tvmonitor"]), ("leaf", ["Leaf"]), ("tv leaf tvmonitor Leaf", [])):
        assert main([*data, "--hold-out", *given.split()]) == 2  # nothing is left
        assert re.findall(r"has '(\w+)', which is not held out", capsys.readouterr().err) == others


@pytest.mark.parametrize(
    ("options", "told"),
    (
        ("--side 100", "a multiple of 32"),
        ("--batch 0", "batch of training is at least 1"),
        ("--rate -1", "rate of training is at least 0"),
        ("--model forest-filters", "nothing to train"),
        ("--data {folder}/missing.zip", "missing.zip cannot be read"),
        ("--data {folder}/file.zip", "file.zip cannot be read"),
        ("--validate procedural:1", "two of its images"),
        ("--data procedural/0/video:1", "give no tasks"),
        ("--data {folder}/none.zip", "no images"),
        ("--data plain:{folder}/white", "The images of white that are left show no class; in masks 0 is background, 1 the first"),
        ("-o {folder}/file.zip/x", "cannot be written"),
    ),
)
def test_what_cannot_be_trained_is_told_in_one_sentence(options, told, tmp_path, capsys):
    (tmp_path / "file.zip").write_bytes(b"not a zip")
    save_records([], tmp_path / "none.zip")
    for folder in ("images", "masks"):  # black and white
        (tmp_path / "white" / folder).mkdir(parents=True)
        Image.fromarray(np.repeat(np.array([[0], [255]], np.uint8), 32, 1)).save(tmp_path / "white" / folder / "a.png")
    given = ["--data", "procedural:4", "--model", "prototype", "-o", str(tmp_path / "out")]
    assert main([*given, *options.format(folder=tmp_path).split()]) == 2
    assert told in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("wrong", ("--every 0", "--size 0", "--device foo"))
def test_wrong_values_are_refused_by_the_parser(wrong, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--data", "procedural:4", "-o", str(tmp_path), *wrong.split()])
    assert caught.value.code == 2 and f"argument {wrong.split()[0]}: " in capsys.readouterr().err
