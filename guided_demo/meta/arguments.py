"""What the commands of training, evaluation and timing ask of their arguments before any work begins."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from guided_demo.errors import InputError


def natural(text: str) -> int:
    """For argparse: a whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def positive(text: str) -> int:
    """For argparse: a whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def make_folder(path: Path) -> None:
    """A folder that results can be written to, with those above it.

    Raises:
        InputError: if it cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {path} cannot be made: {error.strerror or error}.") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"The folder {path} cannot be written to; give another.")
