"""Results of earlier steps, found by their cache keys."""
