"""Expands the fields of one instruction and remembers which names were missing."""

from polyarch.dockerfile import words
from polyarch.dockerfile.instructions.base import Env, Heredoc

# In the body of a heredoc quotes are text, and the escape character is a backslash whatever the directive says.
_DOCUMENT = words.WordRules(quotes=False)


class Expander:
    """Owned by one call of `expand`; `unmatched` are the names that were used and are not set, in order."""

    def __init__(self, env: Env, escape: str) -> None:
        self._env = env
        self._escape = escape
        self._unmatched: dict[str, None] = {}

    @property
    def unmatched(self) -> tuple[str, ...]:
        return tuple(self._unmatched)

    def word(self, text: str) -> str:
        return self._taken(words.expand(text, self._env, self._escape)).text if text else text

    def each(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.word(text) for text in texts)

    def split(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word for text in texts for word in self._taken(words.expand(text, self._env, self._escape)).words)

    def document(self, document: Heredoc) -> Heredoc:
        if not document.expand:
            return document
        content = self._taken(words.expand_with(document.content, self._env, _DOCUMENT)).text
        return Heredoc(document.name, content, document.expand, document.chomp, document.descriptor)

    def _taken(self, expansion: words.Expansion) -> words.Expansion:
        self._unmatched.update(dict.fromkeys(expansion.unmatched))
        return expansion
