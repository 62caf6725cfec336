"""What syft finds in the same images: recorded for the suite, and asked again by `make sbom-oracle`.

The images of `images.py` are small and the same everywhere; syft's answers are in `answers.json`. `__main__.py` also
compares whole images that exist on one machine only. Each difference must be in the table of `differences.py`.
"""
