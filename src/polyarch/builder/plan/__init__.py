"""Instructions → vertices and an image config. Pure, but for the one question that a `Resolver` answers."""
