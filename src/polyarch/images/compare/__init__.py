"""Compare images: the platforms of one (`drift`), or any two (`diff`).

rows: differences as values; naming: paths that contain the name of an architecture; views: the images to compare.
"""
