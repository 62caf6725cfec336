"""Where `compose config` differs from Debian's docker compose 2.40.3 on purpose, by the title of the case."""

from tests.answers import RecordedCase

TITLES: dict[str, str] = {
    "flags: env files are shown where they are not read": "docker compose reads them all the same",
    "services: odd sizes": "docker compose passes over a size with a fraction in silence",
    "services: negative sizes": "-1 is what docker's documentation has for an unlimited swap",
}
# Only of one format.
_MODELS = "docker compose leaves models out of its JSON, though not of its YAML"
_FORMS = dict.fromkeys(
    ((title, "json") for title in ("services: models", "flags: not normalized", "flags: relative paths")), _MODELS
)


def explained(case: RecordedCase, form: str) -> str | None:
    """Why a case differs; None if it must not."""
    return TITLES.get(case.title) or _FORMS.get((case.title, form))
