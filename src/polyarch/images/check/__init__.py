"""Check an image for every platform: its binaries, its command, its libraries, its index.

It reads the layer streams directly. It unpacks nothing, and runs nothing from the image. Modules are imported by path:

- elf, binaries: what a file is, from its first bytes; machines: the architecture that it needs
- facts: what a layer's files are, learnt in one pass and remembered by diff id
- view: the flattened image of one platform with its facts
- entries, foreign, command, libraries: the rules, a family each
- findings: rules and findings as values; check: all of it for an image, sarif: findings for other tools
"""
