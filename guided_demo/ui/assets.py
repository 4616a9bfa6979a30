"""The page's own files as text: canvas.js with the modules it imports as one ES module, and canvas.css."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent

_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.[^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.MULTILINE)


@cache
def script() -> str:
    """One ES module that exports `mount`. Each file keeps a scope of its own, so names may repeat between files."""
    order: list[Path] = []
    _visit((FOLDER / "canvas.js").resolve(), order)
    parts = [_scoped(path, _variable(path)) for path in order]
    return "\n".join([*parts, f"export const {{ mount }} = {_variable(order[-1])};", ""])


@cache
def style() -> str:
    """canvas.css."""
    return (FOLDER / "canvas.css").read_text(encoding="utf-8")


def _visit(path: Path, order: list[Path]) -> None:
    """Append the modules that `path` imports, before itself; a module imported twice comes once."""
    for _, imported in _IMPORT.findall(path.read_text(encoding="utf-8")):
        if (other := (path.parent / imported).resolve()) not in order:
            _visit(other, order)
    order.append(path)


def _scoped(path: Path, variable: str) -> str:
    text = path.read_text(encoding="utf-8")
    text = _IMPORT.sub(lambda m: f"const {{{m[1]}}} = {_variable((path.parent / m[2]).resolve())};\n", text)
    names = ", ".join(_EXPORT.findall(text))
    return f"const {variable} = (() => {{\n{_EXPORT.sub('', text)}\nreturn {{ {names} }};\n}})();"


def _variable(path: Path) -> str:
    return f"module_{path.stem}"
