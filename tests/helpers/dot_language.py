"""A reader of the part of DOT that the package writes: enough to tell what is no DOT."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|->|[A-Za-z_][A-Za-z_0-9]*|[][{};,=])', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass
class Drawing:
    """Nodes by id and edges, both with their attributes."""

    nodes: dict[str, dict[str, str]] = field(default_factory=dict)
    edges: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def labels(self) -> dict[str, str]:
        return {name: attributes["label"] for name, attributes in self.nodes.items()}


def parse_dot(text: str) -> Drawing:
    """The drawing that `text` describes; ValueError where it is not `digraph { statements }`."""
    tokens = _tokens(text)
    drawing = Drawing()
    _expect(tokens, "digraph", "{")
    while (name := tokens.pop(0)) != "}":
        target = None
        if tokens[0] == "->":
            tokens.pop(0)
            target = tokens.pop(0)
        attributes = _attributes(tokens)
        _expect(tokens, ";")
        if target is not None:
            drawing.edges.append((name, target, attributes))
        elif name not in ("node", "edge", "graph"):
            if name in drawing.nodes:
                raise ValueError(f"{name} is defined twice")
            drawing.nodes[name] = attributes
    if tokens:
        raise ValueError(f"text behind the graph: {tokens}")
    for start, end, _ in drawing.edges:
        if {start, end} - set(drawing.nodes):
            raise ValueError(f"the edge {start} -> {end} joins undefined nodes")
    return drawing


def _tokens(text: str) -> list[str]:
    tokens = []
    position = 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"no DOT at {text[position : position + 40]!r}")
        tokens.append(match[1])
        position = match.end()
    return tokens


def _expect(tokens: list[str], *wanted: str) -> None:
    for token in wanted:
        found = tokens.pop(0)
        if found != token:
            raise ValueError(f"{found!r} where {token!r} should be")


def _attributes(tokens: list[str]) -> dict[str, str]:
    attributes: dict[str, str] = {}
    if tokens[0] != "[":
        return attributes
    tokens.pop(0)
    while True:
        name = tokens.pop(0)
        _expect(tokens, "=")
        value = tokens.pop(0)
        if not value.startswith('"'):
            raise ValueError(f"the value {value} of {name} is not quoted")
        attributes[name] = _ESCAPE.sub(lambda m: {"n": "\n"}.get(m[1], m[1]), value[1:-1])
        if (separator := tokens.pop(0)) == "]":
            return attributes
        if separator != ",":
            raise ValueError(f"{separator!r} among attributes")
