"""Numbers for the things a model knows by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

PADDING, UNKNOWN = 0, 1


class Vocabulary:
    """Items from 2 on; 0 pads, 1 stands for everything unknown."""

    def __init__(self, items: Iterable[str]) -> None:
        self.items = list(items)
        self._index = {item: number for number, item in enumerate(self.items, 2)}

    @classmethod
    def counted(cls, occurrences: Iterable[str], min_count: int = 1) -> Vocabulary:
        """Those seen at least `min_count` times, most frequent first, equals by name."""
        counts = Counter(occurrences)
        return cls(sorted((item for item in counts if counts[item] >= min_count), key=lambda item: (-counts[item], item)))

    def __len__(self) -> int:
        return len(self.items) + 2

    def __getitem__(self, item: str) -> int:
        return self._index.get(item, UNKNOWN)

    def __contains__(self, item: str) -> bool:
        return item in self._index
