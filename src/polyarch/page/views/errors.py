"""Pages for what is not there, or cannot be shown: what was asked for, and where to go instead."""

from difflib import get_close_matches

from polyarch.errors import PolyarchError
from polyarch.page import order
from polyarch.page.address import PageAddress
from polyarch.page.reading import ShownImage
from polyarch.page.view import Library, PageView, Request

# Comparing a name with very many takes long.
_MOST_NAMES = 2000
_SIMILAR = 5


def bad_address(request: Request, path: str) -> PageView:
    """For a path that no page can have."""
    return _missing(request, request.language("not_found_why", name=path), hint="bad_address")


def no_repository(library: Library, request: Request) -> PageView:
    """For a repository that does not exist, or that the reader may not see."""
    name = request.address.repository
    names = [one for one in library.images.repositories() if request.visible(one)][:_MOST_NAMES]
    similar = [PageAddress(repository=one) for one in get_close_matches(name, names, n=_SIMILAR)]
    return _missing(request, request.language("no_repository", name=name), similar=similar)


def no_image(library: Library, request: Request) -> PageView:
    """For a tag or digest that a repository does not have."""
    address = request.address
    message = request.language("no_tag", repository=address.repository, reference=address.reference)
    tags = order.ordered(tag for tag in library.images.tags(address.repository) if not order.is_carrier(tag))
    close = get_close_matches(address.reference, tags[:_MOST_NAMES], n=_SIMILAR, cutoff=0.4)
    similar = [PageAddress(repository=address.repository, reference=tag) for tag in close or tags[:_SIMILAR]]
    return _missing(request, message, similar=similar, parent=PageAddress(repository=address.repository))


def no_platform(request: Request, shown: ShownImage) -> PageView:
    """For a platform that an image does not have."""
    address = request.address
    message = request.language("no_platform", name=address.image.name, platform=address.platform)
    others = [address.for_platform(one.slug) for one in shown.platforms if one.slug]
    return _missing(request, message, similar=others, parent=address.image, listed="platforms_are")


def cannot_show(request: Request, error: PolyarchError, status: int) -> PageView:
    """For an image that is damaged, or a comparison that is not possible."""
    title = request.language("cannot_compare" if status == 400 else "cannot_show")
    values = {"message": error.message, "foreign": True, "hint": "", "similar": [], "listed": "", "parent": None}
    if request.address.reference:
        values["parent"] = request.address.image
    return PageView(template="error.html", title=title, values=values, status=status)


def _missing(
    request: Request,
    message: str,
    *,
    similar: list[PageAddress] | None = None,
    parent: PageAddress | None = None,
    listed: str = "similar",
    hint: str = "",
) -> PageView:
    values = {
        "message": message,
        "foreign": False,
        "hint": hint,
        "similar": similar or [],
        "listed": listed,
        "parent": parent,
    }
    return PageView(template="error.html", title=request.language("not_found"), values=values, status=404)
