"""Views: for each kind of page, the values that its template shows.

lists: repositories and tags; image: an image and one platform of it; sections: check, drift, diff and packages;
errors: what is not there.
"""
