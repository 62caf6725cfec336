"""COPY and ADD: which files go where, and the layer that holds them."""
