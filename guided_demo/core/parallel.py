"""How a gallery is spread over the cores: a photo a core, not every photo over all of them.

The maps of one photo are small, so that threads within an operation wait for each other about as long as they help; threads
with a photo each get a quarter to a half more done.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

import torch

Item = TypeVar("Item")
Made = TypeVar("Made")

# A large photo takes much memory while it is read, so not more than a few at a time, however many cores there are.
SIDE_BY_SIDE = min(4, os.cpu_count() or 1)
_beginning = threading.Lock()


def side_by_side(make: Callable[[Item], Made], items: Iterable[Item]) -> Generator[Future[Made], None, None]:
    """`make` of every item, a few at a time and each in one thread, as futures in the order of the items.

    Items are taken as they are needed. What was not begun when the iterator is closed is not begun any more.
    """
    ahead: deque[Future[Made]] = deque()
    with _beginning:
        workers = _workers()
    try:
        for item in items:
            ahead.append(workers.submit(make, item))
            if len(ahead) > SIDE_BY_SIDE:
                yield ahead.popleft()
        while ahead:
            yield ahead.popleft()
    finally:
        for future in ahead:
            future.cancel()


@cache
def _workers() -> ThreadPoolExecutor:
    """Threads in which torch uses no others."""
    everybody = threading.Barrier(SIDE_BY_SIDE)
    number = torch.get_num_threads()

    def begin() -> None:
        torch.get_num_threads()  # a thread takes the common number the first time that it is asked for one
        torch.set_num_threads(1)

    workers = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="side-by-side", initializer=begin)
    try:
        wait([workers.submit(everybody.wait) for _ in range(SIDE_BY_SIDE)])
    except BaseException:  # such as Ctrl-C: whoever waits already would wait for ever, and the program with them
        everybody.abort()
        raise
    torch.set_num_threads(number)  # what a thread sets is common to those that come later
    return workers
