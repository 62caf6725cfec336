"""The vocabulary of images: digest, descriptor, manifest, index, config, platform, reference, place. No I/O.

Import its modules by path (`from polyarch.oci import index as indexes`), so that a command loads only what it uses.
"""
