"""Names for files that are made of photos: safe on every system, and told apart."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable

_RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"}


def safe_name(name: str) -> str:
    """A relative path with forward slashes that is safe in a zip and on every file system, close to `name`."""
    parts = [_safe_part(part) for part in re.split(r"[\\/]+", name) if part.strip(" .")]
    return "/".join(parts) or "image"


def safe_stem(name: str) -> str:
    """`safe_name` without the ending: what a file that is made of an image is called but for its own."""
    return _split(safe_name(name))[0]


def unique_stems(names: Iterable[str] = ()) -> Callable[[str], str]:
    """A function that gives each name a `safe_stem` that no other has, on any system, whatever the case.

    Names that differ in the ending only keep it, so that s.png and s.tif are told apart as s.png.json and s.tif.json; those that
    are one even so get -2, -3 … appended.
    names: all there will be; of those that differ in the ending and are not among them, the first loses it.
    """
    taken: dict[str, str] = {}  # by whom
    alike = Counter(_folded(_split(whole)[0]) for whole in {_folded(safe_name(name)) for name in names})

    def give(name: str) -> str:
        whole, stem = safe_name(name), safe_stem(name)
        is_other = taken.get(_folded(stem), _folded(whole)) != _folded(whole)
        base = candidate = whole if is_other or alike[_folded(stem)] > 1 else stem
        number = 2
        while _folded(candidate) in taken:
            candidate, number = f"{base}-{number}", number + 1
        taken[_folded(candidate)] = _folded(whole)
        return candidate

    return give


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _safe_part(part: str) -> str:
    stem, suffix = _split(re.sub(r'[\x00-\x1f\x7f<>:"|?*]', "_", part).strip(" ").lstrip("."))
    # Most systems allow 255 bytes, and what makes names unique and says their kind needs some of them.
    stem = stem[: 120 - len(suffix)].encode(errors="ignore")[: 220 - len(suffix)].decode(errors="ignore")
    part = (stem + suffix).rstrip(". ") or "_"
    return f"_{part}" if part.split(".")[0].lower() in _RESERVED else part


def _split(name: str) -> tuple[str, str]:
    """A name without its ending, and the ending, empty where there is none or nothing else."""
    ending = re.search(r"(?<=.)\.[A-Za-z0-9]{1,5}$", name)
    return (name[: ending.start()], ending.group()) if ending else (name, "")
