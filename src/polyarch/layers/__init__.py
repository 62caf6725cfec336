"""Layers: changesets as streams. A layer is one tar with a diff id; here it is written, read, applied and told.

Modules are imported by path (`from polyarch.layers.pack import pack`), so that a command pays for what it uses:

- entry: `Entry`, one member as a value, and where its bytes come from
- compression: `Compression`, `decompress`
- pack: `pack`, a layer in blocks in one pass; `tar_stream`, the bare tar
- reader: `members`, the strict reader of a tar
- listing: `Listing`, what a layer holds; `scan`, which makes one in one streaming read
- tree: `Tree`, the flattened image, from listings alone
- extract: `LayerFiles`, single files out of a blob
- apply, diff: a layer to a directory and back; whiteouts, diskform: how a tar and a directory say "deleted"
- walk: a directory of this machine as entries
"""
