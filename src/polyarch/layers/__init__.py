"""Layers: changesets as streams. A layer is one tar with a diff id; it is written, read, unpacked and listed here.

Modules are imported by path (`from polyarch.layers.pack import pack`), so that a command imports only what it uses:

- entry: `Entry`, one member as a value, and the location of its bytes
- compression: `Compression`, `decompress`
- pack: `pack`, which writes a layer in blocks in one pass; `tar_stream`, the plain tar
- reader: `members`, the strict reader of a tar
- listing: `Listing`, the contents of a layer; `scan`, which makes one in one streaming read
- tree: `Tree`, the flattened image, from listings alone
- extract: `LayerFiles`, single files of a blob
- apply, diff: from a layer to a directory and back; whiteouts, diskform: how a tar and a directory mark deletions
- walk: a directory of this machine as entries
"""
