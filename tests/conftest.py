"""What most tests need: a small network with random weights, in memory and as a checkpoint file, and photos, in a workspace and
for a command."""

import pytest
import torch
from pictures import photo
from work import fill

from guided_demo import GuidedSegmenter
from guided_demo.cli import main
from guided_demo.core import checkpoint as checkpoints
from guided_demo.core.network import GuidedNetwork
from guided_demo.events import AddClass
from guided_demo.workspace import Workspace

# As in test.sh, also for who calls pytest: how many threads share a sum moves its last digit, and so now and then a pixel.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def work_elsewhere(tmp_path_factory):
    """No test writes where the page keeps people's work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GUIDED_DEMO_WORK", str(tmp_path_factory.mktemp("work")))
        yield


@pytest.fixture(scope="session")
def segmenter():
    return GuidedSegmenter.untrained(seed=0)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """The path of a checkpoint that GuidedSegmenter.load reads."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        network = GuidedNetwork("lite0", 32)
    checkpoints.save(network, path, {"config": {"variant": "lite0", "width": 32}, "side": 128})
    return path


@pytest.fixture
def workspace(segmenter):
    made = Workspace(segmenter)
    fill(made)
    made.apply(AddClass("cat"))
    return made


@pytest.fixture
def call(checkpoint, capsys):
    """Run a command on the small network; gives exit status, stdout and stderr."""

    def run(command, *arguments):
        status = main([command, *map(str, arguments), "--checkpoint", str(checkpoint)])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def photos(tmp_path):
    """A folder of three photos, one below, and a text file."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for seed, name in enumerate(["a.jpg", "b.png", "sub/a.png"]):
        photo(seed, (64, 48)).save(folder / name)
    (folder / "notes.txt").write_text("not an image")
    return folder
