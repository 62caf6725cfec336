"""Legal names of repositories and tags, for hypothesis (distribution-spec, "Pulling manifests")."""

import string

from hypothesis import strategies as st

_WORDS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
_SEPARATORS = st.sampled_from([".", "_", "__", "-", "--"])


@st.composite
def components(draw: st.DrawFn) -> str:
    text = draw(_WORDS)
    for _ in range(draw(st.integers(0, 2))):
        text += draw(_SEPARATORS) + draw(_WORDS)
    return text


REPOSITORIES = st.lists(components() | st.sampled_from(["blobs", "uploads", "manifests", "tags", "list"]), min_size=1)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
