"""Bodies of requests are bounded, whether their length is told before or not; uploads, which go to disk, are not."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from guided_demo.ui import bodies
from guided_demo.ui.bodies import BoundedBodies

FILE = {"content-type": "multipart/form-data; boundary=x"}


@pytest.fixture
def client(monkeypatch):
    """A server that says how many bytes came; messages have at most 10, files 20 and 5 around them."""

    async def count(request):
        return PlainTextResponse(str(len(await request.body())))

    monkeypatch.setattr(bodies, "MESSAGE_BYTES", 10)
    monkeypatch.setattr(bodies, "AROUND_FILE_BYTES", 5)
    paths = ("/gradio_api/queue/join", "/gradio_api/upload", "/space/gradio_api/upload/", "/gradio_api/run/upload")
    bounded = Middleware(BoundedBodies, file_bytes=20)
    return TestClient(Starlette(routes=[Route(path, count, methods=["POST"]) for path in paths], middleware=[bounded]))


@pytest.mark.parametrize(("most", "headers"), [(10, {}), (25, FILE)])
@pytest.mark.parametrize("in_parts", [False, True])
def test_what_is_too_long_is_refused_with_a_sentence(client, most, headers, in_parts):
    def answer(size):
        body = (b"x" for _ in range(size)) if in_parts else b"x" * size
        return client.post("/gradio_api/queue/join", content=body, headers=headers)

    assert answer(most).text == str(most)
    refused = answer(most + 1)
    assert refused.status_code == 413 and "/gradio_api/upload first" in refused.text


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/space/gradio_api/upload/"])
def test_uploads_are_as_long_as_gradio_lets_them_be(client, path):
    assert client.post(path, content=b"x" * 99, headers=FILE).text == "99"


def test_a_call_of_that_name_is_no_upload(client):
    assert client.post("/gradio_api/run/upload", content=b"x" * 99).status_code == 413
