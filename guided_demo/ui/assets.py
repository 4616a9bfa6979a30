"""The files of the page and the widget as text: a script with the modules it imports as one ES module, and styles."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent

_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.[^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.MULTILINE)


@cache
def script(name: str = "canvas.js") -> str:
    """A script of this folder as one ES module, which exports what the script does; canvas.js exports `mount`.

    Each file keeps a scope of its own, so names may repeat between files.
    """
    order: list[Path] = []
    entry = (FOLDER / name).resolve()
    _visit(entry, order)
    parts = [_scoped(path, _variable(path)) for path in order]
    return "\n".join([*parts, f"export const {{ {_exported(entry)} }} = {_variable(entry)};", ""])


@cache
def style(name: str = "canvas.css") -> str:
    """A style sheet of this folder; canvas.css with those of the canvas' parts."""
    parts = sorted((FOLDER / "canvas").glob("*.css")) if name == "canvas.css" else []
    return "\n".join(path.read_text(encoding="utf-8") for path in [FOLDER / name, *parts])


def _visit(path: Path, order: list[Path]) -> None:
    """Append the modules that `path` imports, before itself; a module imported twice comes once."""
    for _, imported in _IMPORT.findall(path.read_text(encoding="utf-8")):
        if (other := (path.parent / imported).resolve()) not in order:
            _visit(other, order)
    order.append(path)


def _scoped(path: Path, variable: str) -> str:
    text = path.read_text(encoding="utf-8")
    text = _IMPORT.sub(lambda m: f"const {{{m[1]}}} = {_variable((path.parent / m[2]).resolve())};\n", text)
    return f"const {variable} = (() => {{\n{_EXPORT.sub('', text)}\nreturn {{ {_exported(path)} }};\n}})();"


def _exported(path: Path) -> str:
    return ", ".join(_EXPORT.findall(path.read_text(encoding="utf-8")))


def _variable(path: Path) -> str:
    return f"module_{path.stem}"
