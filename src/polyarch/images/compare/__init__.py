"""Images beside each other: the platforms of one (`drift`), or any two (`diff`).

rows: what is compared, as values; naming: paths that only say an architecture; views: the images to compare.
"""
