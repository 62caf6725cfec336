"""`python -m bench.unpack STORE NAME PLATFORM…`: unpack an image of a store, as a RUN on it or a `run` of it would."""

import os
import sys
from pathlib import Path

from polyarch.images import choose
from polyarch.images.unpack import Unpacker, layers_of
from polyarch.oci import index as indexes
from polyarch.oci import platform as platforms
from polyarch.oci.document import Index, Manifest
from polyarch.sandbox import enter
from polyarch.store import Store


def main(root: str, name: str, *wanted: str) -> None:
    enter(os.environ["PATH"])
    with Store.open(Path(root), create=False) as store:
        index = store.load(store.resolve(name))
        assert isinstance(index, Index)
        for platform in wanted:
            entry = indexes.select(index, platforms.parse(platform))
            assert entry is not None
            manifest = store.load(entry)
            assert isinstance(manifest, Manifest)
            Unpacker(store, store).lowers(layers_of(manifest, choose.read_config(store, manifest)))


if __name__ == "__main__":
    main(*sys.argv[1:])
