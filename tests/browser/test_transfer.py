"""Files in and out of the real page: whatever is dropped goes where it belongs, and what is downloaded opens elsewhere."""

import base64
import json
import zipfile

import numpy as np
import pictures
import pytest
from PIL import Image
from playwright.sync_api import expect
from visitor import BESIDE_IT, ON_IT, photos

from guided_demo.cli import main as command_line
from guided_demo.export import FORMATS, indexed_png
from guided_demo.zips import zip_bytes

DROP = """(files) => {
  const transfer = new DataTransfer();
  for (const [name, data] of files)
    transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name));
  for (const kind of ["dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def region():
    labels = np.zeros((48, 64), np.uint8)
    labels[10:30, 20:50] = 1
    return labels


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "field.png"
    pictures.photo(0, (64, 48)).save(path)
    return path


def photo_file(folder, seed):
    path = folder / f"{seed}.png"
    path.write_bytes(pictures.photo_bytes(seed))
    return path


def drop(visitor, files):
    visitor.page.evaluate(DROP, [[name, base64.b64encode(data).decode()] for name, data in files])


def choose(visitor, title):
    visitor.button("More downloads").click()
    visitor.page.locator(".g-menu [role=menuitem]", has=visitor.page.get_by_text(title, exact=True)).click()


def test_whatever_is_dropped_goes_where_it_belongs_and_what_cannot_be_used_is_named(visitor, photo, region):
    masks = [
        ("masks/field.png", indexed_png(region)),
        ("masks/classes.txt", b"background\nfield"),
    ]
    coco = {"images": [{"id": 1, "file_name": "elsewhere.png", "width": 9, "height": 9}], "categories": [], "annotations": []}
    drop(
        visitor,
        [
            ("all.zip", zip_bytes([*masks, ("field.png", photo.read_bytes())])),
            ("film.mp4", b"film"),
            ("coco.json", json.dumps(coco).encode()),
        ],
    )
    notice = visitor.page.locator(".g-problem")
    notice.wait_for()
    visitor.settle()
    assert "Taken in: 1 photo and 1 mask. 2 problems:" in notice.inner_text()
    assert "film.mp4 is a film, and photos are read here" in notice.inner_text()
    assert "elsewhere.png is not in the gallery; add the photos first" in notice.inner_text()
    assert set(visitor.masks()) == {"field.png"} and None not in visitor.masks().values()
    assert "field" in visitor.page.locator(".g-label").all_inner_texts()


def test_a_project_opens_at_somebody_elses_page(visitor, stranger, tmp_path):
    visitor.click(*ON_IT)
    visitor.click(*BESIDE_IT, button="right")
    with visitor.page.expect_download() as download:
        choose(visitor, "Project")
    download.value.save_as(tmp_path / "project.zip")
    visitor.page.wait_for_selector(".guided:not(.g-catching-up)")
    stranger.give("guidance", tmp_path / "project.zip")
    stranger.page.wait_for_selector(".g-notice:has-text('1 project')")
    stranger.settle()
    stranger.page.wait_for_selector(".guided:not(.g-catching-up)")
    assert stranger.masks() == visitor.masks()
    stranger.page.keyboard.press("z")  # it can be undone
    stranger.settle()


def test_it_is_said_which_photos_of_a_project_are_to_come_until_they_are_here(visitor, stranger, tmp_path):
    visitor.click(*ON_IT)
    visitor.page.wait_for_selector(".guided:not(.g-catching-up)")
    visitor.give("photos", photo_file(tmp_path, 1))
    expect(visitor.page.locator(".g-tile")).to_have_count(6)
    with visitor.page.expect_download() as download:
        choose(visitor, "Project, no photos")
    download.value.save_as(tmp_path / "project.zip")
    notice = stranger.page.locator(".g-problem")
    stranger.give("guidance", tmp_path / "project.zip")
    expect(notice).to_contain_text("1.png is not in the project file; add the photo as well")
    expect(stranger.page.locator(".g-notice", has_text="1 project")).to_have_count(1)
    expect(notice).to_be_visible()  # above that
    stranger.give("photos", photo_file(tmp_path, 2))
    expect(stranger.page.locator(".g-tile")).to_have_count(6)
    expect(notice).to_have_count(1)
    stranger.give("photos", photo_file(tmp_path, 1))
    expect(notice).to_have_count(0)


def test_a_table_is_the_same_from_the_page_and_from_the_command_line(visitor, tmp_path):
    visitor.click(*ON_IT)
    visitor.click(*BESIDE_IT, button="right")
    guidance = tmp_path / visitor.download("Save guidance", tmp_path / "guidance.safetensors")
    with visitor.page.expect_download() as download:
        choose(visitor, "Table of areas")
    download.value.save_as(tmp_path / "page.zip")
    gallery = {path.name: path for path in photos()}
    ordered = [gallery[name] for name in visitor.masks()]
    assert command_line(["segment", *map(str, [guidance, *ordered]), "-o", str(tmp_path / "line.zip"), "--form", "csv"]) == 0
    assert (tmp_path / "page.zip").read_bytes() == (tmp_path / "line.zip").read_bytes()


def test_the_menu_can_be_used_with_the_keyboard_alone(visitor):
    page = visitor.page
    visitor.click(*ON_IT)
    visitor.button("More downloads").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".g-menu:popover-open")
    titles = page.locator(".g-menu [role=menuitem] strong").all_inner_texts()
    assert len(titles) >= len(FORMATS) + 3
    focused = "document.activeElement.querySelector('strong')?.textContent"
    assert page.evaluate(focused) == titles[0]
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == titles[1]
    page.keyboard.press("End")
    assert page.evaluate(focused) == titles[-1]
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == titles[0]
    page.keyboard.press("Escape")
    page.wait_for_selector(".g-menu:popover-open", state="hidden")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "More downloads"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_menu_is_within_the_window(visitor, width):
    visitor.page.set_viewport_size({"width": width, "height": 844})
    visitor.button("More downloads").click()
    box = visitor.page.locator(".g-menu:popover-open").bounding_box()
    assert box["x"] >= 6 and box["x"] + box["width"] <= width - 6


@pytest.mark.parametrize("opener", [".g-more", "button.g-look"])
def test_the_button_that_opens_a_menu_or_a_panel_closes_it_again(visitor, opener):
    button, opened = visitor.page.locator(opener), visitor.page.locator(":popover-open")
    for shown in (1, 0, 1):
        button.click()
        expect(opened).to_have_count(shown)
        expect(button).to_have_attribute("aria-expanded", "true" if shown else "false")


def test_more_files_and_a_download_wait_until_those_before_are_read(visitor, tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(12)]
    for i, file in enumerate(files):
        Image.new("RGB", (64 + i, 48), "teal").save(file)
    page = visitor.page
    visitor.click(*ON_IT)
    with page.expect_download() as download:
        visitor.give("photos", *files[:6])
        visitor.give("photos", *files[6:])
        visitor.button("Download masks").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert {file.name for file in files} < set(archive.namelist())
    assert len(visitor.masks()) == 5 + len(files)
    page.wait_for_selector(".g-progress", state="hidden")


def fails(route):
    """As where a proxy does not reach the server."""
    route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")


def test_a_download_that_the_server_fails_to_make_is_told_of_and_the_page_goes_on(visitor):
    page = visitor.page
    visitor.click(*ON_IT)
    page.route("**/queue/join*", fails)
    visitor.button("Download masks").click()
    page.wait_for_selector(".g-problem:has-text('ask for the download again')")
    page.wait_for_selector(".g-progress", state="hidden")
    page.unroute("**/queue/join*")
    with page.expect_download() as download:
        visitor.button("Download masks").click()
    assert zipfile.is_zipfile(download.value.path())
    assert page.locator(".g-problem").count() == 1


def test_files_that_the_server_fails_to_read_are_asked_for_again_and_nothing_is_lost(visitor, tmp_path):
    page = visitor.page
    files = [tmp_path / f"{i}.png" for i in range(6)]
    for i, file in enumerate(files):
        Image.new("RGB", (64 + i, 48), "teal").save(file)
    visitor.click(*ON_IT)
    page.route("**/queue/join*", fails)
    visitor.give("photos", *files)
    page.wait_for_selector(".g-problem:has-text('add the files again')")
    page.wait_for_selector(".g-progress", state="hidden")
    page.unroute("**/queue/join*")
    visitor.give("photos", *files)
    page.wait_for_selector(f".g-tile:nth-child({5 + len(files)})")
    visitor.settle()
    names = list(visitor.masks())
    assert len(names) == 5 + len(files) and set(names) > {file.name for file in files}


def test_a_download_that_was_not_there_when_the_connection_was_lost_is_told_of_when_it_is_back(visitor):
    page = visitor.page
    visitor.click(*ON_IT)
    page.route("**/queue/join*", lambda route: route.abort())
    with page.expect_event("load", timeout=60000):
        visitor.button("Download masks").click()
    page.wait_for_selector(".g-problem:has-text('Ask for it again.')")
    visitor.settle()
    assert None not in (visitor.masks()[name] for name in ("cheetah1.jpg", "cheetah.jpg"))


UNREADABLE_DROP = """async () => {
  const target = document.createElement("div");
  const [sent, told] = [[], []];
  const { promise, resolve: done } = Promise.withResolvers();
  const send = async (file, name) => {
    if (name === "in/gone.png") await file.arrayBuffer();
    return sent.push(name) && {};
  };
  const transfer = new modules.module_transfer.Transfer({
    host: { send, work: async () => ({ problems: [], taken: "1 photo" }) },
    progress: new modules.module_overlay.Progress(),
    notices: { show: (text, { details = [] }) => told.push(text, ...details) },
    take: () => {},
    done,
  });
  transfer.acceptDrops(target, target);
  const refused = (_, no) => no(new DOMException("", "NotReadableError"));
  const gone = { arrayBuffer: () => Promise.reject(new DOMException("", "NotFoundError")) };
  const entry = (name, rest) => ({ name, fullPath: `/in/${name}`, ...rest });
  const file = (name, give) => entry(name, { isFile: true, file: give });
  const fine = new File([], "a.png");
  const inside = [file("no.png", refused), file("gone.png", (yes) => yes(gone)), file("a.png", (yes) => yes(fine))];
  const batches = [[...inside, entry("shut", { createReader: () => ({ readEntries: refused }) })], []];
  const folder = entry("in", { createReader: () => ({ readEntries: (yes) => yes(batches.shift()) }) });
  const items = [{ kind: "file", webkitGetAsEntry: () => folder }];
  target.dispatchEvent(Object.assign(new Event("drop"), { dataTransfer: { types: ["Files"], items } }));
  await Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 1000))]);
  return { sent, told, unread: transfer.unread };
}"""


def test_what_cannot_be_read_of_a_drop_is_named_and_the_rest_is_taken(canvas):
    found = canvas.evaluate(UNREADABLE_DROP)
    assert found["sent"] == ["in/a.png"] and found["unread"] == 0
    assert found["told"][0] == "Taken in: 1 photo. 3 problems:"
    assert [line.split(": ")[0] for line in found["told"][1:]] == ["in/gone.png", "in/no.png", "in/shut"]


# A host to which files come in the order of `delays`, the turns of the event loop that each takes; the server begins to take in
# what has come after some turns, too. Gives what was taken in, in which order, and what came while it was at work.
SENT = """async ([names, delays]) => {
  const turns = async (count) => {
    for (; count > 0; count -= 1) await new Promise((resolve) => setTimeout(resolve));
  };
  const [taken, early] = [[], []];
  let [waiting, isAtWork] = [[], false];
  const send = async (file, name, place) => {
    await turns(delays[place] ?? 0);
    waiting.push([place, name]);
    if (isAtWork) early.push(name);
    return {};
  };
  const work = async (message, onProgress) => {
    await turns(3);
    taken.push(...waiting.splice(0).sort(([one], [other]) => one - other).map(([, name]) => name));
    isAtWork = true;
    onProgress({ done: 0, total: 1, received: 1 });
    await turns(20);
    isAtWork = false;
    return { problems: [], taken: "photos" };
  };
  const transfer = new modules.module_transfer.Transfer({
    host: { send, work },
    progress: new modules.module_overlay.Progress(),
    notices: { show: () => {} },
    take: () => {},
    done: () => {},
  });
  await transfer.add(names.map((name) => ({ file: new File([], name), name })));
  return { taken, early };
}"""


def test_photos_are_in_the_order_they_were_given_however_fast_each_is_sent_and_travel_while_others_are_read(canvas):
    names = [f"{i:02}.png" for i in range(12)]
    sent = canvas.evaluate(SENT, [names, [0, 0, 0, 0, 8, 8, 0, 8]])
    assert sent["taken"] == names
    assert sorted(sent["early"]) == names[4:]


def test_what_comes_from_folders_is_sorted_as_people_count_and_what_was_chosen_by_itself_is_not(canvas):
    names = ["f/10.png", "z.png", "f/9.png", "e/b/2.png", "a.png", "f/1.png"]
    taken = canvas.evaluate(SENT, [names, []])["taken"]
    assert taken == ["z.png", "a.png", "e/b/2.png", "f/1.png", "f/9.png", "f/10.png"]


def test_a_folder_that_is_chosen_comes_in_the_order_of_its_names(visitor, tmp_path):
    (tmp_path / "day").mkdir()
    for i in (3, 10, 1, 2, 12, 11):
        pictures.photo(i, (64, 48)).save(tmp_path / "day" / f"{i}.png")
    visitor.give("folder", tmp_path / "day")
    names = visitor.page.locator(".g-tile .g-name")
    expect(names).to_have_text([f"{i}.png" for i in (1, 2, 3, 10, 11, 12)])
