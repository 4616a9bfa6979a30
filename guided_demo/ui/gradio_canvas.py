"""canvas.js as a Gradio component: a gr.HTML whose script talks to the server through two functions and a queued event.

Strokes and other short messages go through server functions, which skip the queue; encoding photos and exporting masks
go through the queue. Photos arrive as bytes in a request and stay out of Gradio's own folder of served files.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.data_classes import DataWithFiles

from . import assets
from .sessions import MOST_OTHERS, Sessions
from .wishes import STRANGE

GONE = "This page was away for long, or its work is open in another tab. Close that tab and reload this one to go on here."

# So many people's files are read, or made, side by side, photo by photo: one at a time, all wait for a thousand photos of the
# first. Each has one of Gradio's 40 threads, which clicks need, too.
AT_ONCE = 8
STEP_SECONDS = 0.1  # progress is told no more often: to tell of one of many small files takes longer than to read it

FAILED = "guided-demo-failed"  # what the window is told where a long message failed

_TEMPLATE = """<style>{style}</style>
<div class="g-root"><div class="guided g-loading" role="status">Loading …</div></div>"""

_ON_LOAD = """
// In a frame on another site, as a Space is, browsers may forbid all storage. The history of the tab outlives a reload, at least.
for (const storage of ["localStorage", "sessionStorage"]) {{
  try {{
    window[storage];
  }} catch {{
    const getItem = (name) => history.state?.[storage + name] ?? null;
    const setItem = (name, value) => {{
      if (value !== getItem(name)) history.replaceState({{ ...history.state, [storage + name]: value }}, "");
    }};
    Object.defineProperty(window, storage, {{ value: {{ getItem, setItem }} }});
  }}
}}

const KEY = "guided-demo-token";
let token = null;
let waiting = null;  // the long message that is being worked on: {{ id, resolve, onProgress }}
let count = 0;

// The tokens of all tabs, the one last worked in first: a new tab goes on with the work of one that has been closed.
const known = () => localStorage.getItem(KEY)?.split(" ") ?? [];
const keep = (tokens) => localStorage.setItem(KEY, [...new Set(tokens)].slice(0, {most}).join(" "));
const workedIn = () => keep([token, ...known()]);

async function call(message) {{
  if (message.number) workedIn();
  if (message.do !== "start") return checked(await server.talk({{ ...message, token }}));
  const isReading = unfinished.last?.files > 0;  // the server is to keep what arrived of them
  const reply = await server.talk({{ ...message, token: sessionStorage.getItem(KEY), others: known(), isReading }});
  if (reply?.token) {{
    token = reply.token;
    sessionStorage.setItem(KEY, token);
    keep([...known().map((other) => (other === reply.was ? token : other)), token]);
    trigger("enter", {{ token }});
  }}
  return reply;
}}

// What is under way as the page is left: gradio loads it again when a lost connection is back.
const UNFINISHED = "guided-demo-unfinished";
const unfinished = {{
  last: JSON.parse(sessionStorage.getItem(UNFINISHED)),
  keep(now) {{
    for (const leaving of ["pagehide", "beforeunload"]) // by the former, the history can no longer be written to
      addEventListener(leaving, () => sessionStorage.setItem(UNFINISHED, JSON.stringify(now())));
  }},
}};

// The server was started again and has the work: a page that is loaded again shows it.
function checked(reply) {{
  if (!reply?.reload) return reply;
  location.reload();
  return new Promise(() => {{}});
}}

async function send(file, name, place = 0) {{
  const megabytes = (bytes) => `${{Math.ceil(bytes / 1e6)}} MB`;
  if (file.size > {limit}) return {{ error: `It has ${{megabytes(file.size)}}; the most is ${{megabytes({limit})}}.` }};
  const reply = await server.send({{ binary: true, data: {{ file, name, place, token }} }});
  return checked(reply) ?? {{ error: "It could not be sent; check the connection and add it again." }};
}}

function work(message, onProgress) {{
  workedIn();
  return new Promise((resolve) => {{
    waiting = {{ id: ++count, resolve, onProgress }};
    trigger("work", {{ ...message, token, id: count }});
  }});
}}

// Of an event that failed, on its way or on the server, Gradio tells nobody but the one that follows it.
addEventListener("{failed}", () => waiting?.resolve(undefined));

watch("value", () => {{
  const reply = props.value;
  if (!waiting || reply?.id !== waiting.id) return;
  if ("done" in reply) waiting.onProgress(reply);
  else waiting.resolve(checked(reply));
}});

const url = URL.createObjectURL(new Blob([{script}], {{ type: "text/javascript" }}));
import(url).then(({{ mount }}) =>
  mount({{ element: element.querySelector(".g-root"), host: {{ call, work, send, unfinished, wholePage: true }} }}),
);
"""


def guided_canvas(page: gr.Blocks, sessions: Sessions, max_file_bytes: int, **options: Any) -> gr.HTML:
    """The annotator for everyone who opens `page`; called inside its `with` block.

    sessions: finds the desk of every visitor. max_file_bytes: larger files are refused before they are sent.
    options: keywords of gr.HTML.
    """

    def talk(message: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(message, dict):
            message = {}
        if message.get("do") == "start":
            others = message.get("others")
            token, desk, was = sessions.open(message.get("token"), others if isinstance(others, list) else ())
            if not message.get("isReading"):
                desk.begin()
            return {**desk.handle(message), "token": token, "was": was}
        found = sessions.find(message.get("token"))
        return gone(message) if found is None else found.handle(message)

    def gone(message: dict[str, Any]) -> dict[str, Any]:
        return {"error": GONE} | ({"reload": True} if sessions.is_kept(message.get("token")) else {})

    def send(message: DataWithFiles) -> dict[str, Any]:
        fields, files = (message.data, message.files) if isinstance(message, DataWithFiles) else ({}, [])
        desk = sessions.find(fields.get("token"))
        if desk is None:
            return gone(fields)
        try:
            name, place, ((_, data),) = str(fields["name"]), int(fields["place"]), files
        except (KeyError, ValueError):
            return {"error": STRANGE}
        return desk.receive(name, data, place)

    def work(event: gr.EventData) -> Iterator[dict[str, Any]]:
        message = event._data if isinstance(event._data, dict) else {}
        desk = sessions.find(message.get("token"))
        told = 0.0
        for reply in [gone(message)] if desk is None else desk.work(message):
            if "done" not in reply or time.monotonic() > told + STEP_SECONDS:
                yield {**reply, "id": message.get("id")}
                told = time.monotonic()

    def enter(event: gr.EventData, request: gr.Request) -> None:
        message = event._data if isinstance(event._data, dict) else {}
        sessions.enter(str(request.session_hash), message.get("token"))

    def leave(request: gr.Request) -> None:
        sessions.leave(str(request.session_hash))

    # A plain gr.HTML, not a subclass: gradio writes a stub file beside the module of every subclass.
    canvas = gr.HTML(
        html_template=_TEMPLATE.format(style=assets.style()),
        js_on_load=_ON_LOAD.format(script=json.dumps(assets.script()), limit=max_file_bytes, most=MOST_OTHERS, failed=FAILED),
        apply_default_css=False,
        server_functions=[talk, send],
        **options,
    )
    hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
    working = canvas.work(work, outputs=canvas, concurrency_limit=AT_ONCE, **hidden)
    working.failure(None, js=f"() => {{ dispatchEvent(new Event('{FAILED}')); }}", **hidden)
    canvas.enter(enter, queue=False, **hidden)
    page.unload(leave)
    return canvas
