"""What goes wrong with a farm, apart from the steps themselves."""

from polyarch.errors import UnsupportedError


class FarmError(UnsupportedError):
    """The farm cannot be used: its scheduler is not reached, or no member is able to do what is needed."""
