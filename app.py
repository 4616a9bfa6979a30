"""The Gradio page: components and wiring only. `python app.py` starts it."""

from __future__ import annotations

import argparse
import atexit
import importlib.util
import os
import signal
import sys
import threading
from pathlib import Path

import gradio as gr
import torch
from starlette.middleware import Middleware

from guided_demo.core.features import FeatureCache
from guided_demo.core.model import GuidedSegmenter
from guided_demo.errors import InputError
from guided_demo.events import AddClass
from guided_demo.files import make_folder
from guided_demo.ui.api import add_endpoints
from guided_demo.ui.bodies import BoundedBodies
from guided_demo.ui.gradio_canvas import guided_canvas
from guided_demo.ui.memory import read_memory
from guided_demo.ui.protocol import Desk
from guided_demo.ui.sessions import KEEP_SECONDS, Sessions
from guided_demo.ui.transfer import MAX_FILE_BYTES
from guided_demo.workspace import Workspace

TITLE = "Guided segmentation"
CAPTION = "Point at a thing in one photo. It is looked for in all of them."
FEATURE_BYTES = 2_000_000_000
MOST_REMEMBERED = 16

# Photographs that come with gradio, for the first visit.
_GRADIO = Path(gr.__file__).parent
SAMPLES = [
    _GRADIO / folder / name
    for folder, name in (
        ("media_assets/images", "cheetah1.jpg"),
        ("media_assets/images", "cheetah.jpg"),
        ("test_data", "cheetah2.jpg"),
        ("media_assets/images", "lion.jpg"),
        ("media_assets/images", "tower.jpg"),
    )
]
SAMPLE_CLASS = "cheetah"

# The reader's own fonts: a page that fetches some from elsewhere tells others who reads it.
THEME = gr.themes.Default(
    primary_hue="blue", neutral_hue="slate", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
)
# What is outside of gradio's blocks, as the container and its messages, hears of @media only where that is nested.
CSS = """
.gradio-container {
  padding: 0 !important; --g-accent: #1d5fd1; --g-height: calc(100dvh - 60px);
  @media (max-width: 800px) { --g-height: calc(100dvh - 44px); }
}
.dark .gradio-container, .gradio-container.dark {
  --g-accent: #7aa8ff; --g-on-accent: #0b1220; --g-bad: #ff8a7a; color-scheme: dark;
}
.gradio-container > .main {
  padding: 8px 16px !important;
  @media (max-width: 800px) { padding: 4px 8px !important; }
}
.gradio-container .toast-wrap { /* over the photo: what to do next, and the classes, are above that */
  @media (max-width: 800px) { top: 200px !important; }
}
.gradio-container .html-container { padding: 0 !important; }
.gradio-container .column {
  gap: 8px;
  @media (max-width: 800px) { gap: 4px; }
}
#title { display: flex; gap: 14px; align-items: center; height: 36px; white-space: nowrap; }
#title h1 { margin: 0; font-size: 20px; }
#title p { margin: 2px 0 0; overflow: hidden; text-overflow: ellipsis; opacity: .75; }
@media (max-width: 800px) {
  #title { height: 32px; }
  #title p { display: none; }
}
"""


def build(segmenter: GuidedSegmenter, work: Path | None = None) -> gr.Blocks:
    """The page, for one segmenter that all its visitors share.

    work: the folder where their work outlives the server; without one, it goes when they have gone.
    """
    features = work and work / "features"  # so that photos need not be looked at anew when the server was started again
    cache = FeatureCache(segmenter, folder=features, disk_bytes=FEATURE_BYTES, disk_seconds=KEEP_SECONDS)

    def desk(folder: Path) -> Desk:
        workspace = Workspace(segmenter, folder=folder, cache=cache)
        if read_memory(folder) is None:  # new, or begun when the server was stopped
            workspace.add_images((path.name, path) for path in SAMPLES if path.exists())
            if SAMPLE_CLASS not in workspace.session.class_names:
                workspace.apply(AddClass(SAMPLE_CLASS))
        return Desk(workspace, samples=frozenset(item.key for item in workspace.session.images), folder=folder)

    _encode_ahead(cache)
    sessions = Sessions(desk, work)
    atexit.register(sessions.close)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 3600), fill_width=True) as page:
        gr.HTML(f"<div id='title'><h1>{TITLE}</h1><p>{CAPTION}</p></div>")
        guided_canvas(page, sessions, MAX_FILE_BYTES, elem_id="canvas")
        add_endpoints(page, segmenter, cache)
    return page


def _encode_ahead(cache: FeatureCache) -> None:
    """Have the samples ready for the first visitor, unless the program ends before: a thread must not be in torch by then."""
    ending = threading.Event()

    def encode() -> None:
        for path in SAMPLES:
            if path.exists() and not ending.is_set():
                cache.encode(path)

    thread = threading.Thread(target=encode, daemon=True)
    thread.start()
    atexit.register(thread.join)
    atexit.register(ending.set)  # before that: the last is called first


def work_folder() -> Path | None:
    """Where people's work outlives the server; None on a Space, where everybody is a visitor, or where nothing can be kept."""
    if os.environ.get("SPACE_ID"):
        return None
    try:
        named, data = os.environ.get("GUIDED_DEMO_WORK"), os.environ.get("XDG_DATA_HOME")
        folder = Path(named) if named else Path(data or Path.home() / ".local" / "share", "guided-demo")
        make_folder(folder)
    except (InputError, RuntimeError) as error:  # the last where nobody's home is known
        print(f"What is done on the page will not outlive this server: {error} GUIDED_DEMO_WORK can name another folder.")
        return None
    print(f"What is done on the page is kept in {folder}.")
    return folder


def main() -> None:
    """Start the page. Port, host and path come from GRADIO_SERVER_PORT, GRADIO_SERVER_NAME and GRADIO_ROOT_PATH."""
    parser = argparse.ArgumentParser(description="Start the page, and its HTTP endpoints for programs.")
    parser.add_argument("--mcp", action="store_true", help="offer the endpoints as MCP tools too")
    mcp = parser.parse_args().mcp
    if mcp and importlib.util.find_spec("mcp") is None:
        parser.error(f'--mcp needs one package more: {sys.executable} -m pip install "gradio[mcp]"')
    os.umask(0o077)  # photos that programs upload lie in a folder of gradio's, which other users of this machine could read
    # Requests are answered in threads of their own, whose helpers on the other half of each core would slow all of them down.
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that what visitors left on disk goes, as with Ctrl+C
    build(GuidedSegmenter.load(), work_folder()).launch(
        theme=THEME,
        css=CSS,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        max_file_size=MAX_FILE_BYTES,
        app_kwargs={"middleware": [Middleware(BoundedBodies, file_bytes=MAX_FILE_BYTES)]},
        state_session_capacity=MOST_REMEMBERED,  # calls whose arguments, photos among them, Gradio keeps; nothing asks for them
        mcp_server=mcp or None,  # None: as GRADIO_MCP_SERVER says
    )


if __name__ == "__main__":
    main()
