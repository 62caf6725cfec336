"""From built platforms to an index or an image, and to where it goes."""
