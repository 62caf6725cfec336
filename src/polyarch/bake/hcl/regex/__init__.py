"""Regular expressions as RE2 has them: matched in time proportional to the text, whatever the pattern is.

Python's `re` goes back to try alternatives, which takes exponential time for some patterns; files may come from others.
"""
