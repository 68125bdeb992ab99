"""From a path to a route: literal segments before placeholders."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hk3s_lab.hetzner.call import Route


@dataclass(frozen=True, slots=True)
class Match:
    """The routes of a path by method, its template and what the placeholders stand for."""

    template: str
    routes: Mapping[str, Route]
    parameters: Mapping[str, str]


@dataclass(slots=True)
class _Node:
    children: dict[str, "_Node"] = field(default_factory=dict)
    placeholder: str | None = None
    below_placeholder: "_Node | None" = None
    template: str = ""
    routes: dict[str, Route] = field(default_factory=dict)


class Router:
    """A tree of path segments."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            node = self._node(route.template)
            node.template = route.template
            node.routes[route.method] = route

    def match(self, path: str) -> Match | None:
        """Find a path below /v1, for example `/servers/42`."""
        node, parameters = self._root, {}
        for segment in path.split("/")[1:]:
            if segment in node.children:
                node = node.children[segment]
            elif segment and node.placeholder is not None and node.below_placeholder is not None:
                parameters[node.placeholder] = segment
                node = node.below_placeholder
            else:
                return None
        return Match(node.template, node.routes, parameters) if node.routes else None

    def _node(self, template: str) -> _Node:
        node = self._root
        for segment in template.split("/")[1:]:
            if segment.startswith("{"):
                if node.below_placeholder is None:
                    node.placeholder, node.below_placeholder = segment[1:-1], _Node()
                node = node.below_placeholder
            else:
                node = node.children.setdefault(segment, _Node())
        return node
