"""The vocabulary of images: digest, descriptor, manifest, index, config, platform, reference, place. No I/O.

Modules are imported by path (`from polyarch.oci import index as indexes`), so that a command pays for what it uses.
"""
