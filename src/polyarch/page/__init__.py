"""Pages that show images and their platforms, from the store: for the registry, and as files.

`Site` answers requests, `files.write` writes files. Neither knows HTTP: `serve/` carries the answers. Only this room
imports jinja2. Modules: `address` (what a path means), `reading` and those beside it (what a page shows, as values),
`views` (values for a template), `texts` (all words, in two languages), `site`, `files`.
"""

from typing import TYPE_CHECKING

from polyarch import lazy

if TYPE_CHECKING:
    from polyarch.page.answer import PageAnswer as PageAnswer
    from polyarch.page.results import PageResults as PageResults
    from polyarch.page.site import PageImages as PageImages
    from polyarch.page.site import Site as Site
else:
    __getattr__, __all__ = lazy.exports(
        __name__, {"answer": "PageAnswer", "results": "PageResults", "site": "PageImages Site"}
    )
