"""A self-contained HTML page: no script, no external resource, light or dark as the browser prefers."""

import html
from collections.abc import Iterable

from polyarch.render import text

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --faint: #57606a; --line: #d0d7de;
  --band: #f6f8fa; --yes: #1a7f37; --no: #b42318; --odd: #8a5a00; --bar: #2f6feb; --bar2: #8250df; --bar3: #9aa4b0; }
@media (prefers-color-scheme: dark) { :root { --paper: #0e1116; --ink: #e6edf3; --faint: #9aa4b0; --line: #30363d;
  --band: #161b22; --yes: #4cc26a; --no: #ff8a80; --odd: #e3b341; --bar: #5b93ff; --bar2: #b48cff; --bar3: #6b7683; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem clamp(1rem, 4vw, 3rem); background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0 1rem; color: var(--faint); max-width: 70ch; }
code, td, th { font-family: ui-monospace, monospace; font-size: 13px; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem; border-bottom: 1px solid var(--line); }
tbody tr:last-child > * { border-bottom: 0; }
thead th { background: var(--band); position: sticky; top: 0; white-space: nowrap; }
tbody th { font-weight: normal; overflow-wrap: anywhere; min-width: min(14rem, 30vw); }
td { overflow-wrap: break-word; }
td.text { overflow-wrap: anywhere; min-width: min(14rem, 30vw); }
td.yes { color: var(--yes); } td.no { color: var(--no); } td.odd { color: var(--odd); }
ul { padding-left: 1.2rem; } li { margin: .25rem 0; }
"""


def page(title: str, lead: str, body: Iterable[str], style: str = "") -> str:
    """The page. `title` and `lead` are plain text; `body` is HTML, a piece a line; `style` is more CSS."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Names and texts come from images. If one were ever left unescaped, it could still not run or load anything.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(lead)}</p>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def escape(value: str) -> str:
    """Escape text for HTML. Control characters and terminal escapes are dropped, undecodable bytes become U+FFFD."""
    return html.escape(text.plain(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
