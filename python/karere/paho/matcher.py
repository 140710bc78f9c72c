"""A map from topic filters to values that is asked by topic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class MQTTMatcher:
    """Values by topic filter; `iter_match(topic)` gives those whose filter matches (5.0, 4.7).

    A dict serves assignment, reading and deletion; a tree of levels serves the match, so that its cost follows from the
    levels of the topic and not from the number of filters.
    """

    class Node:
        """One level of the filters that share the levels above it."""

        __slots__ = ("_children", "_content")

        def __init__(self) -> None:
            self._children: dict[str, MQTTMatcher.Node] = {}
            self._content: Any = None

    def __init__(self) -> None:
        self._root = self.Node()

    def __setitem__(self, key: str, value: Any) -> None:
        """Keeps `value` for the filter `key`, in place of what it had."""
        node = self._root
        for level in key.split("/"):
            node = node._children.setdefault(level, self.Node())
        node._content = value

    def __getitem__(self, key: str) -> Any:
        """The value of exactly this filter; KeyError if it has none."""
        node: MQTTMatcher.Node | None = self._root
        for level in key.split("/"):
            node = node._children.get(level) if node is not None else None
        if node is None or node._content is None:
            raise KeyError(key)
        return node._content

    def __delitem__(self, key: str) -> None:
        """Drops the value of exactly this filter; KeyError if it has none."""
        path = [self._root]
        levels = key.split("/")
        for level in levels:
            child = path[-1]._children.get(level)
            if child is None:
                raise KeyError(key)
            path.append(child)
        if path[-1]._content is None:
            raise KeyError(key)
        path[-1]._content = None
        for parent, level in zip(reversed(path[:-1]), reversed(levels)):
            child = parent._children[level]
            if child._children or child._content is not None:
                break
            del parent._children[level]

    def iter_match(self, topic: str) -> Iterator[Any]:
        """The values whose filters match `topic`: the exact level before `+` before `#`.

        A filter that begins with a wildcard matches no topic that begins with `$` (5.0, 4.7.2).
        """
        levels = topic.split("/")
        # Only the first level is special there.
        wild_at_root = not topic.startswith("$")

        def below(node: MQTTMatcher.Node, depth: int) -> Iterator[Any]:
            children = node._children
            if depth == len(levels):
                if node._content is not None:
                    yield node._content
            else:
                exact = children.get(levels[depth])
                if exact is not None:
                    yield from below(exact, depth + 1)
                one = children.get("+")
                if one is not None and (wild_at_root or depth > 0):
                    yield from below(one, depth + 1)
            rest = children.get("#")
            if rest is not None and rest._content is not None and (wild_at_root or depth > 0):
                yield rest._content

        return below(self._root, 0)
