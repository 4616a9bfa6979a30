"""The notebooks run from top to bottom, show what they promise, and are kept without what a run leaves in them."""

import os
import re
from pathlib import Path

import matplotlib
import nbformat
import pytest
from matplotlib.axes import Axes
from nbclient import NotebookClient
from pictures import photo
from PIL import ExifTags, Image

from guided_demo import Guidance

matplotlib.use("agg")

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def executed(name, folder, monkeypatch):
    """The notebook with its outputs, run in a real kernel in a folder that is not the project's."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    # A cell that fails raises CellExecutionError, which shows the cell and its traceback.
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    assert list(folder.iterdir()) == []
    return notebook


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def printed(notebook):
    return "".join(output.text for output in outputs(notebook) if output.output_type == "stream" and output.name == "stdout")


def numbers(pattern, text):
    return map(float, re.search(pattern, text).groups())


def pictures(notebook):
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def test_point_and_segment(tmp_path, monkeypatch):
    notebook = executed("01_point_and_segment", tmp_path, monkeypatch)
    said = printed(notebook)
    assert "('background', 'cheetah', 'lion') from 2 photos" in said
    assert "the same mask as before: True" in said
    assert "the same masks: True" in said
    assert pictures(notebook) == 5


def test_photos_of_a_telephone_held_sideways_are_shown_with_their_masks(tmp_path, monkeypatch, segmenter):
    notebook = nbformat.read(ROOT / "notebooks/01_point_and_segment.ipynb", as_version=4)
    code = "".join(cell.source + "\n" for cell in notebook.cells if cell.cell_type == "code")
    names, shown = {}, []
    exec(code[: code.index("samples =")] + code[code.index("def show(") : code.index("names =")], names)
    exec(code[code.index("def segment(") : code.index("results = segment(")], names)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    photo(1, (80, 60)).save(tmp_path / "sideways.jpg", exif=exif)
    monkeypatch.setattr(Axes, "imshow", lambda _, picture: shown.append(picture.size))
    names |= {"photos": [tmp_path / "sideways.jpg"], "names": ["sideways"]}
    names["show_masks"]({"sideways": segmenter.segment(tmp_path / "sideways.jpg", Guidance.empty())}, {})
    assert shown == [(60, 80)]


def test_meta_training_teaches_classes_that_were_held_out(tmp_path, monkeypatch):
    notebook = executed("02_meta_training", tmp_path, monkeypatch)
    before, after = numbers(r"held-out classes: ([\d.]+) before, ([\d.]+) after", printed(notebook))
    own, another = numbers(r"held-out classes: ([\d.]+) with its own support, ([\d.]+) with another", printed(notebook))
    assert own == after > max(0.3, before + 0.15)
    assert another < after - 0.15  # it reads the annotation, and does not mark whatever stands out
    one, *_, dense = numbers(r"\(S = 1\): ([\d.]+), ([\d.]+), ([\d.]+), ([\d.]+), ([\d.]+)", printed(notebook))
    assert dense > one > before + 0.15
    encoding, reading = numbers(r"picture: ([\d.]+) ms\nanswer a click: ([\d.]+) ms", printed(notebook))
    assert reading > 0 and encoding > 0  # which takes longer depends on what else a machine does: `bench` compares them
    assert pictures(notebook) == 6


def test_evaluation_tells_contestants_apart(tmp_path, monkeypatch):
    notebook = executed("03_evaluation", tmp_path, monkeypatch)
    said = printed(notebook)
    tables = "".join(output["data"].get("text/markdown", "") for output in outputs(notebook) if "data" in output)
    guided, prototype, ridge = (
        [*numbers(rf"\| {name} \| ([\d.]+)[^|]+\| ([\d.]+)[^|]+\| ([\d.]+)", tables)] for name in ("guided", "prototype", "ridge")
    )
    for other, values in (("prototype", prototype), ("ridge", ridge)):
        above, low, high = numbers(rf"guided above {other}, S=1 P=25: (\S+) \((\S+) to (\S+)\)", said)
        assert 0 < low < above < high
        assert guided[2] - values[2] == pytest.approx(above, abs=0.0011)
    (share,) = numbers(r"share that follows\n\n[^\n]+\n[^\n]+\n\| guided \| ([\d.]+)", tables)
    assert share > 0.6
    first, last = numbers(r"after 1 click ([\d.]+), after 20 ([\d.]+)", said)
    assert last > max(first, 0.9)
    assert pictures(notebook) == 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_kept_is_clean(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_between_notebooks_lead_somewhere(path):
    targets = re.findall(r"\]\(([^)#]+)\)", "".join(cell.source for cell in nbformat.read(path, as_version=4).cells))
    assert [target for target in targets if "://" not in target and not (path.parent / target).is_file()] == []
