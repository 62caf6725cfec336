"""Templates: values → HTML. Everything that an image says is escaped, and what cannot be seen is made visible."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from polyarch.page import history
from polyarch.page.address import PageAddress
from polyarch.page.language import LANGUAGES, Language
from polyarch.page.links import Links
from polyarch.page.view import PageView
from polyarch.version import VERSION

_DIRECTORY = Path(__file__).parent / "templates"
# A text of an image is shown up to here.
_LONGEST = 4000
# Controls, marks that change the direction of a text, other characters without a form, and halves of surrogates. A tab
# and a line feed are what they look like. A joiner (U+200D) is a part of many emoji.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200c\u200e\u200f"
    "\u2028-\u202f\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)


def render(view: PageView, language: Language, links: Links, **frame: Any) -> str:
    """The page of a view. `frame` are values that every page has."""
    values: Mapping[str, Any] = {**view.values, **frame}
    template = _environment().get_template(view.template)
    return template.render(
        **values, title=view.title, t=language, url=links, languages=LANGUAGES, version=VERSION, home=PageAddress()
    )


def visible(value: Any) -> Any:
    """A text in which every character can be seen, by its code if it has no form. Other values are unchanged."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", value)
    return value


def clip(text: str, language: Language) -> str:
    """The beginning of a long text, and how long it is."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}{language('clipped', len(text))}"


def short(digest: str) -> str:
    """The first twelve digits of a digest."""
    return digest.partition(":")[2][:12] or digest


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_DIRECTORY),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
        auto_reload=False,
    )
    environment.filters |= {"short": short, "clip": clip, "instruction": history.instruction}
    return environment
