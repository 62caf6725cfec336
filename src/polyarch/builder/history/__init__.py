"""What a build did, step by step, kept for `explain`."""
