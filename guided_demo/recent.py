"""A few values by key, those that were not used for longest leaving first."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class Recent:
    """The values used last, as many as weigh at most `limit` together, and one in any case. Not safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._held = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def get(self, key: Hashable) -> Any:
        """The value, which counts as a use, or None."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key][0]

    def put(self, key: Hashable, value: Any, weight: int = 1) -> Any:
        """Keep a value in the place of what the key had; returns it."""
        self._held += weight - self._values.pop(key, (None, 0))[1]
        self._values[key] = value, weight
        while len(self._values) > 1 and self._held > self.limit:
            self._held -= self._values.popitem(last=False)[1][1]
        return value
