"""What a desk shows of its workspace: scope, views, what is left out, summaries, agreement, masks marked as correct."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from test_ui_protocol import EDGE, Page, photo_bytes, picture

from guided_demo.annotation import BACKGROUND
from guided_demo.events import AddClass
from guided_demo.render import outline
from guided_demo.ui import seeing
from guided_demo.ui.protocol import SORRY, Desk
from guided_demo.workspace import Workspace
from guided_demo.zips import read_zip

SMALL = (EDGE, EDGE * 60 // 80)


@pytest.fixture
def page(segmenter):
    workspace = Workspace(segmenter)
    assert workspace.add_images((f"{seed}.png", photo_bytes(seed)) for seed in range(3)) == []
    workspace.apply(AddClass("cat"))
    return Page(Desk(workspace))


@pytest.fixture
def marked(page):
    page.click(10, 10, "cat")
    page.click(70, 50, BACKGROUND)
    page.click(40, 30, BACKGROUND, key=page.keys[1])
    return page


def labels(url, classes=2):
    """The labels of a mask picture; -1 where it is hatched, which is where pixels have no class."""
    values = np.array(picture(url))
    return np.where(values < classes, values, -1)


def exported(page):
    """The masks of a download, by name."""
    *_, last = page.desk.work({"do": "export"})
    parts = [page.read("take", part=part, made=last["made"])["data"] for part in range(last["parts"])]
    return read_zip(b"".join(map(base64.b64decode, parts)), "masks.zip")


def test_the_first_look_is_an_overlay_of_what_is_found_everywhere(page):
    assert page.read("start")["state"]["look"] == {"scope": "everywhere", "unsure": 0, "view": "overlay", "label": None}


@pytest.mark.parametrize("unsure", [0, 0.8])
def test_masks_gallery_shares_and_download_follow_the_scope_and_leave_out_the_unsure(marked, unsure):
    workspace = marked.desk.workspace
    shown = {}
    for scope in ("everywhere", "object", "everywhere"):
        reply = marked.change("look", scope=scope, unsure=unsure)
        files, gallery = exported(marked), marked.masks()
        summaries = marked.read("summaries", keys=marked.keys)["summaries"]
        shown[scope] = gallery
        assert reply["state"]["look"]["scope"] == scope and reply["mask"] == gallery[marked.keys[0]]
        for item in workspace.session.images:
            result = workspace.segment(item.key, scope)
            expected = result.labels_at(SMALL, unsure)
            seen = labels(gallery[item.key])
            assert np.array_equal(seen[seen > 0], expected[seen > 0])
            assert np.array_equal(np.isin(expected, (0, 255)), seen <= 0)
            assert set(np.unique(expected[seen < 0])) <= {255}
            assert np.array_equal(np.array(Image.open(io.BytesIO(files[item.name]))), result.labels_at(item.size, unsure))
            assert summaries[item.key]["shares"] == pytest.approx(workspace.summary(item.key, scope, unsure).shares, abs=1e-3)
    assert shown["everywhere"] != shown["object"]


def test_an_outline_is_the_border_of_the_mask(marked):
    mask = labels(marked.change("look", view="overlay")["mask"])
    assert np.array_equal(labels(marked.change("look", view="outline")["mask"]), outline(mask.astype(np.uint8), 2))


def test_probability_of_a_class_and_novelty_are_as_strong_as_they_are(marked):
    result = marked.desk.workspace.segment(marked.keys[0])
    for wish, expected in [
        ({"view": "probability", "label": "cat"}, result.probabilities_at(SMALL)[1]),
        ({"view": "probability", "label": BACKGROUND}, result.probabilities_at(SMALL)[0]),
        ({"view": "novelty"}, result.novelty_at(SMALL)),
    ]:
        alpha = np.array(picture(marked.change("look", **wish)["mask"]).convert("RGBA"))[..., 3]
        assert alpha / 255 == pytest.approx(expected, abs=0.01)


def test_nothing_is_likely_to_be_of_a_class_that_is_not_marked(marked):
    marked.change("add_class", name="bird")
    mask = marked.change("look", view="probability", label="bird")["mask"]
    assert not np.array(picture(mask).convert("RGBA"))[..., 3].any()


def test_every_change_of_the_look_has_a_number_of_its_own_and_none_is_none(marked):
    wishes = [{"view": "mask"}, {"view": "mask"}, {"unsure": 0.7}]
    numbers = [marked.change("look", **wish)["state"]["revision"] for wish in wishes]
    assert numbers[0] == numbers[1] < numbers[2]
    assert marked.read("masks", keys=marked.keys)["revision"] == numbers[2]
    assert marked.change("undo")["state"]["look"]["view"] == "mask"
    assert Page(marked.desk).read("start")["state"]["look"]["view"] == "mask"  # a reload finds it as it was


@pytest.mark.parametrize(
    "wish", [{"scope": "all"}, {"view": "x-ray"}, {"unsure": 80}, {"unsure": "a"}, {"unsure": float("nan")}, {"label": 3}]
)
def test_a_look_that_does_not_exist_is_refused_and_the_old_one_stays(marked, wish):
    before = marked.change("look", view="mask")["state"]
    reply = marked.change("look", **wish)
    assert reply["error"] != SORRY and reply["error"].endswith(".")
    assert reply["state"] == before


def test_summaries_say_where_a_click_helps_and_there_are_none_before_the_first(page):
    assert set(page.read("summaries", keys=page.keys)["summaries"].values()) == {None}
    page.click(10, 10, "cat")
    page.click(70, 50, BACKGROUND)
    reply = page.read("masks", keys=page.keys)
    for key, summary in reply["summaries"].items():
        assert 0 <= summary["uncertainty"] <= 1 and sum(summary["shares"].values()) == pytest.approx(1, abs=1e-3)
        x, y = summary["click"]
        assert 0 <= x <= 80 and 0 <= y <= 60
        assert summary == page.read("summaries", keys=[key])["summaries"][key]


def test_of_masks_marked_as_correct_it_is_told_how_much_of_them_is_kept(marked):
    def kept():
        return [summary.get("kept") for summary in marked.read("summaries", keys=marked.keys)["summaries"].values()]

    assert kept() == [None, None, None]
    marked.change("mark_correct", photo=marked.keys[1], correct=True)
    assert kept() == [None, 1, None]
    marked.change("look", scope="object", unsure=0.9)
    assert kept() == [None, 1, None]


def test_a_photo_that_is_opened_again_is_not_read_again(page, monkeypatch):
    read, names = page.desk.workspace.image, []
    monkeypatch.setattr(page.desk.workspace, "image", lambda key: names.append(key) or read(key))
    key, other, _ = page.keys
    first = page.read("photos", keys=[key], edge=2048)
    page.read("photos", keys=[other], edge=2048)
    assert page.read("photos", keys=[key], edge=2048) == first
    assert names == [key, other]


def test_a_photo_that_is_gone_has_no_summary_and_keeps_no_other_from_having_one(marked):
    marked.change("remove_images", keys=[marked.keys[2]])
    reply = marked.read("masks", keys=[marked.keys[2], marked.keys[0], "no such photo"])
    assert reply["summaries"][marked.keys[2]] is None and reply["masks"]["no such photo"] is None
    assert reply["summaries"][marked.keys[0]]["shares"]


def test_masks_are_marked_as_correct_and_that_is_undone(marked):
    def correct(state):
        return [image["correct"] for image in state["images"]]

    reply = marked.change("mark_correct", photo=marked.keys[1], correct=True)
    assert correct(reply["state"]) == [False, True, False]
    assert correct(marked.change("undo")["state"]) == [False, False, False]
    assert correct(marked.change("redo")["state"]) == [False, True, False]
    assert correct(marked.change("mark_correct", photo=marked.keys[1], correct=False)["state"]) == [False, False, False]
    assert "error" in marked.change("mark_correct", photo="no such photo", correct=True)


def test_agreement_comes_in_portions_and_is_that_of_the_workspace(marked, monkeypatch):
    assert marked.read("agreement")["points"] == []
    marked.change("mark_correct", photo=marked.keys[2], correct=True)
    monkeypatch.setattr(seeing, "REPLY_SECONDS", 0.0)
    answers = [marked.read("agreement")["points"]]
    while answers[-1] is None:
        answers.append(marked.read("agreement")["points"])
        assert len(answers) < 20
    points = marked.desk.workspace.agreement()
    assert answers[-1] == [[point.clicks, pytest.approx(point.accuracy, abs=1e-3)] for point in points]
    assert [clicks for clicks, _ in answers[-1]] == [0, 1, 2, 3] and answers[-1][-1][1] == 1


def test_a_change_ends_longer_answers_early(marked, monkeypatch):
    monkeypatch.setattr(seeing, "REPLY_SECONDS", 60.0)
    segment = marked.desk.workspace.segment

    def meanwhile(key, scope):
        if key == marked.keys[1]:
            marked.desk.seeing.hurry()
        return segment(key, scope)

    monkeypatch.setattr(marked.desk.workspace, "segment", meanwhile)
    # The second and third are worked on while the first is: what is ready by then is answered.
    assert list(marked.read("masks", keys=marked.keys)["masks"]) in (marked.keys[:1], marked.keys[:2])
    monkeypatch.undo()
    assert list(marked.read("masks", keys=marked.keys)["masks"]) == marked.keys
