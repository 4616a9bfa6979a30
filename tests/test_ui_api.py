"""The endpoints for programs: what the docs show works, masks are the command line's, and nobody sees another's work."""

import ast
import asyncio
import base64
import io
import json
import re
import subprocess
import urllib.request
from contextlib import redirect_stdout
from pathlib import Path

import gradio
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from PIL import Image

import app
from guided_demo import GuidedSegmenter
from guided_demo.cli import main
from guided_demo.ui.wishes import STRANGE
from guided_demo.zips import read_zip

DOCS = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
PHOTOS = Path(gradio.__file__).parent / "media_assets" / "images"
MARKS = {"marks": [{"point": [128, 60], "label": "cheetah"}, {"point": [20, 200], "label": "background"}]}
FILE = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    """The folder that Gradio serves files from, for these tests only."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("uploads")
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def url(checkpoint, uploads):
    page = app.build(GuidedSegmenter.load(str(checkpoint)))
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, mcp_server=True)
    yield url
    page.close(verbose=False)


@pytest.fixture(scope="module")
def client(url):
    return Client(url, verbose=False)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """The current folder has photos/ as the docs say."""
    (tmp_path / "photos").mkdir()
    for name in ("cheetah.jpg", "cheetah1.jpg", "lion.jpg"):
        (tmp_path / "photos" / name).write_bytes((PHOTOS / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


@pytest.fixture
def expected(photos, checkpoint):
    """Run commands; gives the bytes of the file they write."""

    def run(command, *arguments):
        out = Path("expected.safetensors" if command == "guide" else "expected.zip")
        assert main([command, *map(str, arguments), "-o", str(out), "--checkpoint", str(checkpoint)]) == 0
        return out.read_bytes()

    return run


def example(language, url):
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    assert "http://127.0.0.1:7860" in block
    return block.replace("http://127.0.0.1:7860", url.rstrip("/"))


def guide(expected, *more):
    points = ["--point", "128,60,cheetah", "--point", "20,200,background"]
    return expected("guide", "photos/cheetah1.jpg", *points, *more)


def test_the_python_example_gives_what_the_command_line_gives(url, photos, expected):
    said = io.StringIO()
    code = example("python", url)
    with redirect_stdout(said):
        exec(compile(code, "api.md", "exec"), {"__name__": "docs"})
    printed = [line for line in said.getvalue().splitlines() if not line.startswith("Loaded as API")]
    assert printed == re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert Path("cheetah.safetensors").read_bytes() == guide(expected)
    masks = read_zip(expected("segment", "cheetah.safetensors", "photos"), "masks")
    assert Path("cheetah.png").read_bytes() == masks["cheetah.png"]
    assert Path("masks.zip").read_bytes() == expected("segment", "cheetah.safetensors", "photos", "--form", "coco-rle")


def test_the_curl_example_gives_what_the_command_line_gives(url, photos, expected):
    done = subprocess.run(["sh", "-eu", "-c", example("sh", url)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert Path("cheetah.safetensors").read_bytes() == guide(expected)
    photos = "photos/cheetah.jpg", "photos/lion.jpg"
    sure = expected("segment", "cheetah.safetensors", *photos, "--unsure", ".95")
    masks = expected("segment", "cheetah.safetensors", *photos)
    assert Path("masks.zip").read_bytes() == sure
    assert Path("cheetah.png").read_bytes() == read_zip(masks, "masks")["cheetah.png"]


def test_mcp_tools_give_what_the_endpoints_give(url, client):
    photo = handle_file(str(PHOTOS / "cheetah1.jpg"))
    guidance = client.predict(photo, MARKS, api_name="/guide")
    mask = client.predict(photo, guidance, unsure=0.95, api_name="/segment")["mask"]
    data_url = "data:image/jpeg;base64," + base64.b64encode((PHOTOS / "cheetah1.jpg").read_bytes()).decode()
    address = f"{url}gradio_api/file={upload(url, PHOTOS / 'cheetah1.jpg')}"

    async def talk():
        async with (
            streamablehttp_client(f"{url}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            learned = await session.call_tool("guide", {"image": data_url, "annotation": MARKS})
            found = await session.call_tool("segment", {"image": address, "guidance": guidance, "unsure": 0.95})
            refused = await session.call_tool("segment", {"image": "https://example.org/a.jpg", "guidance": guidance})
            return tools, learned, found, refused

    tools, learned, found, refused = asyncio.run(talk())
    assert [tool.name for tool in tools] == ["guide", "segment", "export"]
    assert all(part.get("description") for tool in tools for part in tool.inputSchema["properties"].values())
    assert learned.content[0].text == guidance
    assert ast.literal_eval(found.content[0].text) == {"classes": ["background", "cheetah"], "mask": mask}
    assert refused.isError and "was not uploaded here" in refused.content[0].text


def test_files_of_no_page_are_answered(url):
    (canvas,) = (part["id"] for part in config(url)["components"] if part["props"].get("elem_id") == "canvas")
    aim = {"component_id": canvas, "session_hash": "a"}
    token = post(url, "component_server", {**aim, "fn_name": "talk", "data": {"do": "start"}})["token"]
    assert "reload" in post(url, "component_server", {**aim, "fn_name": "send", "data": {"token": token}})["error"]
    sent = {**aim, "fn_name": "send", "token": token, "name": "a.txt", "place": "0"}
    for lacks, words in ((None, "{}"), ("name", STRANGE), ("place", STRANGE), ("token", "reload")):
        fields = [f"-F{name}={value}" for name, value in sent.items() if name != lacks]
        command = ["curl", "-s", *fields, f"-Ffile=@{__file__}", f"{url}gradio_api/component_server"]
        assert words in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_nothing_but_the_three_is_listed(url, client):
    listed = client.view_api(return_format="dict", all_endpoints=True, print_info=False)
    assert list(listed["named_endpoints"]) == ["/guide", "/segment", "/export"]
    assert listed["unnamed_endpoints"] == {}
    with urllib.request.urlopen(f"{url}gradio_api/openapi.json") as answer:
        paths = " ".join(json.load(answer)["paths"])
    assert "/guide" in paths
    assert not re.search("work|enter|leave|talk|send", paths)


def test_marks_are_added_to_guidance_and_settle_their_pixels(client, expected, photos):
    one = client.predict(handle_file("photos/cheetah1.jpg"), MARKS, api_name="/guide")
    more = {"marks": [{"point": [30, 30], "label": "lion"}]}
    both = client.predict(handle_file("photos/cheetah1.jpg"), more, one, api_name="/guide")
    Path("one.safetensors").write_bytes(base64.b64decode(one))
    assert base64.b64decode(both) == expected("guide", "photos/cheetah1.jpg", "--point", "30,30,lion", "--add", "one.safetensors")
    found = client.predict(handle_file("photos/lion.jpg"), one, more, "object", api_name="/segment")
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["mask"]))))
    assert found["classes"] == ["background", "cheetah", "lion"]
    assert mask[30, 30] == 2
    alone = client.predict(handle_file("photos/lion.jpg"), annotation=more, api_name="/segment")
    assert alone["classes"] == ["background", "lion"]


def test_what_is_unsure_is_left_out_as_on_the_command_line(client, expected, photos):
    marks = {"marks": [*MARKS["marks"], {"point": [50, 50], "label": "ear"}]}
    guidance = client.predict(handle_file("photos/cheetah1.jpg"), marks, api_name="/guide")
    Path("g.safetensors").write_bytes(base64.b64decode(guidance))
    sure, all_of_it = (
        read_zip(expected("segment", "g.safetensors", "photos/lion.jpg", "--unsure", least), "masks")["lion.png"]
        for least in (".95", "0")
    )
    found = client.predict(handle_file("photos/lion.jpg"), guidance, unsure=0.95, api_name="/segment")
    assert base64.b64decode(found["mask"]) == sure != all_of_it
    made = client.predict([handle_file("photos/lion.jpg")], guidance, unsure=0.95, api_name="/export")
    assert read_zip(base64.b64decode(made["zip"]), "masks")["lion.png"] == sure


def test_one_bad_photo_stops_no_other(client, photos):
    (photos / "bad.jpg").write_bytes(b"no photo")
    guidance = client.predict(handle_file("photos/cheetah1.jpg"), MARKS, api_name="/guide")
    names = ["bad.jpg", "lion.jpg", "lion.jpg"]
    made = client.predict([handle_file(f"photos/{name}") for name in names], guidance, api_name="/export")
    assert set(read_zip(base64.b64decode(made["zip"]), "masks")) == {"classes.txt", "lion.png", "lion-2.png"}
    (problem,) = made["problems"]
    assert problem["name"] == "bad.jpg"
    assert "not an image" in problem["sentence"]


def test_more_than_memory_has_room_for_is_not_made(client, photos, monkeypatch):
    """A photo that was uploaded once could be asked for a hundred thousand times, in one call that all others waited for."""
    monkeypatch.setattr("guided_demo.ui.api.MOST_BYTES", 30_000)
    both = [handle_file(photos / name) for name in ("cheetah.jpg", "lion.jpg")]
    guidance = client.predict(handle_file(photos / "cheetah1.jpg"), MARKS, api_name="/guide")
    assert client.predict(both, guidance, api_name="/export")["problems"] == []
    with pytest.raises(AppError, match="ask for fewer photos at a time"):
        client.predict(both, guidance, form="overlays", api_name="/export")


def test_base64_may_be_broken_into_lines(client, photos):
    guidance = client.predict(handle_file("photos/cheetah1.jpg"), MARKS, api_name="/guide")
    photo, lines = Path("photos/cheetah1.jpg").read_bytes(), base64.encodebytes(base64.b64decode(guidance)).decode()
    found = client.predict(f"data:image/jpeg;base64,{base64.encodebytes(photo).decode()}", lines, api_name="/segment")
    assert found == client.predict(handle_file("photos/cheetah1.jpg"), guidance, api_name="/segment")


@pytest.mark.parametrize(
    ("endpoint", "arguments", "words"),
    [
        ("guide", ["PHOTO", {"marks": []}, ""], "Nothing is marked"),
        ("guide", ["PHOTO", {"marks": [{"point": [999, 9], "label": "cat"}]}, ""], "outside the image"),
        ("guide", ["PHOTO", {"marks": [{"point": [9], "label": "cat"}]}, ""], "not an annotation"),
        ("guide", ["PHOTO", ["cat"], ""], "not an annotation"),
        ("guide", ["PHOTO", {"marks": [{"stroke": [[9, 9]] * 20_001, "label": "cat"}]}, ""], "draw it in parts"),
        ("guide", ["PHOTO", MARKS, "AAAA"], "not a guidance file"),
        ("guide", ["PHOTO", MARKS, "no base64"], "cut short"),
        ("guide", ["PHOTO", MARKS, 7], "cut short"),
        ("guide", ["data:image/png;base64,AAAA", MARKS, ""], "not an image"),
        ("guide", ["data:image/png;base64,A", MARKS, ""], "cut short"),
        ("guide", [None, MARKS, ""], "an uploaded file, or a data URL"),
        ("segment", ["PHOTO", "", None, "everywhere", 0], "nothing to segment by"),
        ("segment", ["PHOTO", "", MARKS, "nowhere", 0], "nowhere"),
        ("segment", ["PHOTO", "", MARKS, "everywhere", 80], "from 0 to 1, not 80"),
        ("segment", ["PHOTO", "", MARKS, "everywhere", "much"], "from 0 to 1, not 'much'"),
        ("export", [["PHOTO"], "", "png", "everywhere", None], "from 0 to 1"),
        ("export", [["PHOTO"], "", "png", "everywhere", 0], "nothing to segment by"),
        ("export", [["PHOTO"], "GUIDANCE", "png", "nowhere", 0], "no scope 'nowhere'"),
        ("export", [{"path": "PHOTO"}, "", "png", "everywhere", 0], "images is a list of photos"),
        ("export", [["PHOTO"] * 1001, "GUIDANCE", "png", "everywhere", 0], "more than 1000 photos at once"),
        ("export", [["PHOTO"], "GUIDANCE", "paint", "everywhere", 0], "no export called 'paint'"),
        ("export", [["PHOTO"], "GUIDANCE", ["png"], "everywhere", 0], "no export called ['png']"),
        ("segment", ["PHOTO", "", None, [], 0], "no scope []"),
        ("guide", ["\0", MARKS, ""], "was not uploaded here"),
        ("segment", ["/etc/passwd", "", MARKS, "everywhere", 0], "was not uploaded here"),
        ("segment", [{"path": "/etc/passwd"}, "", MARKS, "everywhere", 0], "was not uploaded here"),
        ("segment", ["UPLOADS/../../../../../etc/passwd", "", MARKS, "everywhere", 0], "was not uploaded here"),
        ("segment", ["http://x/gradio_api/file=/etc/passwd", "", MARKS, "everywhere", 0], "was not uploaded here"),
        ("segment", [{"path": "/etc/passwd", "meta": FILE}, "", MARKS, "everywhere", 0], "null"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(url, uploads, client, endpoint, arguments, words):
    places = {"PHOTO": upload(url, PHOTOS / "cheetah1.jpg"), "UPLOADS": str(uploads)}
    if "GUIDANCE" in arguments:
        places["GUIDANCE"] = client.predict(handle_file(PHOTOS / "cheetah1.jpg"), MARKS, api_name="/guide")
    text = json.dumps(arguments)
    for name, place in places.items():
        text = text.replace(name, place)
    event = post(url, f"call/{endpoint}", {"data": json.loads(text)})["event_id"]
    with urllib.request.urlopen(f"{url}gradio_api/call/{endpoint}/{event}") as answer:
        said = answer.read().decode()
    assert said.startswith("event: error\n")
    assert words in said


def test_nothing_is_fetched_for_those_who_ask(url, monkeypatch):
    """Gradio refuses addresses of its own network only."""
    asked = []

    async def fetch(address, cache_dir):
        asked.append(address)
        raise OSError("there is no network in tests")

    monkeypatch.setattr(gradio.processing_utils, "async_ssrf_protected_download", fetch)
    photo = {"path": "https://example.org/a.jpg", "meta": FILE}
    calls = {"guide": [photo, MARKS, ""], "segment": ["a", "", {"marks": [photo]}, "everywhere", 0]}
    for endpoint, arguments in calls.items():
        event = post(url, f"call/{endpoint}", {"data": arguments})["event_id"]
        with urllib.request.urlopen(f"{url}gradio_api/call/{endpoint}/{event}") as answer:
            assert "was not uploaded here" in answer.read().decode()
    assert asked == []


def test_only_photos_were_ever_in_the_folder_that_is_served(client, uploads):
    photo = handle_file(str(PHOTOS / "cheetah1.jpg"))
    guidance = client.predict(photo, MARKS, api_name="/guide")
    client.predict(photo, guidance, api_name="/segment")
    client.predict([photo], guidance, api_name="/export")
    pictures = {path.read_bytes() for path in PHOTOS.iterdir() if path.is_file()} | {b"no photo"}
    assert {path.read_bytes() for path in uploads.rglob("*") if path.is_file()} <= pictures


def test_an_error_says_nothing_of_the_server(client, uploads, photos):
    (photos / "bad.jpg").write_bytes(b"no photo")
    with pytest.raises(AppError) as refused:
        client.predict(handle_file("photos/bad.jpg"), MARKS, api_name="/guide")
    assert "bad.jpg is not an image" in str(refused.value)
    assert str(uploads) not in str(refused.value)


def test_mcp_is_asked_for_by_name(monkeypatch, capsys, segmenter):
    launched = []
    monkeypatch.setattr(app.GuidedSegmenter, "load", lambda: segmenter)
    monkeypatch.setattr(gradio.Blocks, "launch", lambda self, **options: launched.append(options["mcp_server"]))
    monkeypatch.setattr(app.signal, "signal", lambda *_: None)
    for arguments in ([], ["--mcp"]):
        monkeypatch.setattr("sys.argv", ["app.py", *arguments])
        app.main()
    assert launched == [None, True]
    monkeypatch.setattr(app.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code == 2
    assert 'pip install "gradio[mcp]"' in capsys.readouterr().err


def config(url):
    with urllib.request.urlopen(f"{url}config") as answer:
        return json.load(answer)


def upload(url, path):
    command = ["curl", "-s", "-F", f"files=@{path}", f"{url}gradio_api/upload"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]


def post(url, path, body):
    request = urllib.request.Request(f"{url}gradio_api/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)
