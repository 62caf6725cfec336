"""Times as configs of images have them (RFC 3339)."""

import re
from datetime import UTC, datetime


def of_rfc3339(text: str) -> float | None:
    """Return the time in seconds since 1970; None if it is not a time. Without a time zone it is in UTC."""
    # fromisoformat takes no more than microseconds.
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
