"""`bake --graph`: the targets, their stages and what they are made of, as an SVG that needs nothing else.

Its texts can be selected; it is light or dark as its reader prefers; each box and arrow has a title for a screen reader
(SVG Accessibility API Mappings 1.0, WAI-ARIA Graphics Module 1.0).
"""

from collections.abc import Iterable

from polyarch.builder.forecast import report
from polyarch.builder.forecast.values import Forecast, ForecastEdge, ForecastNode
from polyarch.render import text
from polyarch.render.html import escape
from polyarch.render.layered import Drawing, GraphBox, PlacedBox, layout

_STYLE = """
.graph { --paper: #ffffff; --ink: #1b1f24; --faint: #57606a; --box: #f6f8fa; --line: #8c959f; --shared: #8250df;
  --cached: #1a7f37; --todo: #9a5b00; --edge: #6e7781; font: 12px ui-monospace, monospace; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { .graph { --paper: #0e1116; --ink: #e6edf3; --faint: #9aa4b0; --box: #161b22;
  --line: #6b7683; --shared: #b48cff; --cached: #4cc26a; --todo: #e3b341; --edge: #8b949e; } }
.graph .paper { fill: var(--paper); }
.graph text { fill: var(--ink); white-space: pre; }
.graph .kind, .graph .faint { fill: var(--faint); }
.graph .name { font-weight: bold; }
.graph .box { fill: var(--box); stroke: var(--line); }
.graph .target .box { stroke-width: 2; }
.graph .shared .box { stroke: var(--shared); stroke-width: 2.5; stroke-dasharray: 7 3; }
.graph .users { fill: var(--shared); }
.graph .bar { fill: none; } .graph .cached .bar { fill: var(--cached); } .graph .todo .bar { fill: var(--todo); }
.graph .cached .state { fill: var(--cached); } .graph .todo .state { fill: var(--todo); }
.graph .edge { fill: none; stroke: var(--edge); stroke-width: 1.2; }
.graph .edge.FROM, .graph .edge.result { stroke-width: 2.4; } .graph .edge.mount { stroke-dasharray: 4 4; }
.graph marker path { fill: var(--edge); }
"""
_MARGIN = 20.0
_COLUMN = 7.25  # the width of a character of the font, which is 0.6 em in all monospaced fonts in use
_LINE = 16.0
_WIDEST = 40
_HEAD = 34.0  # above the boxes
_FOOT = 34.0  # below them
_CLASSES = {"cached": "cached", "to do": "todo"}
_LEGEND = (
    ("FROM", "FROM, result"),
    ("COPY", "COPY --from, ADD, context"),
    ("mount", "RUN --mount"),
)


class _Line:
    """One line of text in a box, and its style."""

    def __init__(self, style: str, words: str) -> None:
        self.style = style
        self.words = text.clip(text.plain(words), _WIDEST)


def render_graph(forecast: Forecast) -> str:
    """The picture as a document of its own."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + render_figure(forecast)


def render_figure(forecast: Forecast) -> str:
    """The picture as an element, to be put into a page."""
    lines = {node.id: _lines(forecast, node) for node in forecast.nodes}
    boxes = [GraphBox(node.id, _width(lines[node.id]), 14 + _LINE * len(lines[node.id])) for node in forecast.nodes]
    drawing = layout(boxes, [(edge.start, edge.end) for edge in forecast.edges])
    head = report.headline(forecast)
    wide = round(max(drawing.width, _COLUMN * max(len(head), 74)) + 2 * _MARGIN, 1)
    high = round(drawing.height + _HEAD + _FOOT + 2 * _MARGIN, 1)
    names = {node.id: node for node in forecast.nodes}
    body = [_edge(edge, names, drawing) for edge in forecast.edges]
    body += [_node(forecast, node, lines[node.id], drawing.boxes[node.id]) for node in forecast.nodes]
    title = f"Targets, their stages, and what they share: {', '.join(target.name for target in forecast.targets)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" width="{wide:g}" height="{high:g}" '
        f'viewBox="0 0 {wide:g} {high:g}" role="graphics-document document" '
        'aria-labelledby="graph-title graph-about">\n'
        f'<title id="graph-title">{escape(title)}</title>\n<desc id="graph-about">{escape(head)}</desc>\n'
        f"<style>{_STYLE}</style>\n"
        '<defs><marker id="graph-arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>\n'
        f'<rect class="paper" width="{wide:g}" height="{high:g}"/>\n'
        f'<text x="{_MARGIN:g}" y="{_MARGIN + 12:g}">{escape(head)}</text>\n'
        f'<g transform="translate({_MARGIN:g} {_MARGIN + _HEAD:g})">\n' + "\n".join(body) + "\n</g>\n"
        f"{_legend(high - _MARGIN)}\n</svg>\n"
    )


def _lines(forecast: Forecast, node: ForecastNode) -> list[_Line]:
    found = [_Line("kind", report.kind_of(node)), _Line("name", node.name)]
    if node.kind == "stage":
        count = len(node.work)
        state = report.state_of(forecast, node)
        found.append(_Line("state", f"{count} step{'s' if count != 1 else ''}{': ' if state else ''}{state}"))
    if node.kind in ("stage", "target"):
        found.append(_Line("faint", ", ".join(node.platforms)))
    if node.note:
        found.append(_Line("faint", node.note))
    partly = report.partly_shared(forecast, node)
    if node.is_shared:
        found.append(_Line("users", f"shared by {len(node.targets)}: {', '.join(node.targets)}"))
    elif partly:
        found.append(_Line("users", f"{partly} of {len(node.work)} steps shared"))
    return found


def _width(lines: Iterable[_Line]) -> float:
    return round(24 + _COLUMN * max(text.width(line.words) for line in lines), 1)


def _node(forecast: Forecast, node: ForecastNode, lines: list[_Line], place: PlacedBox) -> str:
    classes = [node.kind, *(["shared"] if node.is_shared else [])]
    state = forecast.state(node)
    classes += [_CLASSES[state]] if state in _CLASSES else []
    said = [
        f"{report.kind_of(node)} {node.name}",
        report.state_of(forecast, node),
        ", ".join(node.platforms),
        node.note,
    ]
    said += [f"shared by {', '.join(node.targets)}"] if node.is_shared else []
    words = escape("; ".join(filter(None, said)))
    shown = "".join(
        f'<text class="{line.style}" x="{place.x + 14:g}" y="{place.y + 19 + _LINE * number:g}">'
        f"{escape(line.words)}</text>"
        for number, line in enumerate(lines)
    )
    at = f'x="{place.x:g}" y="{place.y:g}"'
    return (
        f'<g class="{" ".join(classes)}" role="graphics-symbol img" aria-label="{words}"><title>{words}</title>'
        f'<rect class="box" {at} width="{place.width:g}" height="{place.height:g}" rx="6"/>'
        f'<rect class="bar" x="{place.x + 4:g}" y="{place.y + 5:g}" width="4" height="{place.height - 10:g}" rx="2"/>'
        f"{shown}</g>"
    )


def _edge(edge: ForecastEdge, nodes: dict[str, ForecastNode], drawing: Drawing) -> str:
    route = drawing.routes[edge.start, edge.end]
    path = f"M{route[0][0]:g} {route[0][1]:g}"
    for number, (x, y) in enumerate(route[1:], 1):
        before = route[number - 1]
        if number % 2:
            middle = round((before[0] + x) / 2, 1)
            path += f"C{middle:g} {before[1]:g} {middle:g} {y:g} {x:g} {y:g}"
        else:
            path += f"H{x:g}"
    words = escape(f"{edge.kind}: {nodes[edge.start].name} → {nodes[edge.end].name}")
    return f'<path class="edge {edge.kind}" d="{path}" marker-end="url(#graph-arrow)"><title>{words}</title></path>'


def _legend(y: float) -> str:
    found, x = [], _MARGIN
    for style, words in _LEGEND:
        found.append(f'<path class="edge {style}" d="M{x:g} {y - 4:g}h28"/>')
        found.append(f'<text class="faint" x="{x + 34:g}" y="{y:g}">{escape(words)}</text>')
        x += 34 + _COLUMN * (len(words) + 3)
    found.append(
        f'<g class="shared"><rect class="box" x="{x:g}" y="{y - 11:g}" width="26" height="13" rx="3"/></g>'
        f'<text class="users" x="{x + 34:g}" y="{y:g}">shared</text>'
    )
    return '<g class="legend">' + "".join(found) + "</g>"
