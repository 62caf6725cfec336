"""Expanding the fields of one instruction, and collecting the variables that are not set."""

from polyarch.dockerfile import words
from polyarch.dockerfile.instructions.base import Env, Heredoc

# In the body of a heredoc, quotes are literal, and the escape character is a backslash whatever the directive says.
_DOCUMENT = words.WordRules(quotes=False)


class Expander:
    """Expands the fields of one instruction. Each call of `expand` makes its own."""

    def __init__(self, env: Env, escape: str) -> None:
        self._env = env
        self._escape = escape
        self._unmatched: dict[str, None] = {}

    @property
    def unmatched(self) -> tuple[str, ...]:
        """The variables that were used but are not set, in order."""
        return tuple(self._unmatched)

    def word(self, text: str) -> str:
        """Return the expansion of `text`."""
        return self._taken(words.expand(text, self._env, self._escape)).text if text else text

    def each(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        """Return the expansion of each text."""
        return tuple(self.word(text) for text in texts)

    def split(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        """Return the words that the texts expand to; spaces from variables also separate words."""
        return tuple(word for text in texts for word in self._taken(words.expand(text, self._env, self._escape)).words)

    def document(self, heredoc: Heredoc) -> Heredoc:
        """Return the heredoc with its content expanded, unless its name is quoted."""
        if not heredoc.expand:
            return heredoc
        content = self._taken(words.expand_with(heredoc.content, self._env, _DOCUMENT)).text
        return Heredoc(heredoc.name, content, heredoc.expand, heredoc.chomp, heredoc.descriptor)

    def _taken(self, expansion: words.Expansion) -> words.Expansion:
        self._unmatched.update(dict.fromkeys(expansion.unmatched))
        return expansion
