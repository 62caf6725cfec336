"""`python -m bench.unpack STORE NAME PLATFORM…`: unpack an image of a store, as a RUN on it or a `run` of it would."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from polyarch.contents.layer import layers_of
from polyarch.contents.unpack import Unpacker
from polyarch.oci import index as indexes
from polyarch.oci import platform as platforms
from polyarch.oci.document import Index, Manifest
from polyarch.sandbox import enter
from polyarch.store import Store
from polyarch.transfer import choose


def main(root: str, name: str, *wanted: str) -> None:
    enter(os.environ["PATH"])
    with Store.open(Path(root), create=False) as store:
        index = store.load(store.resolve(name))
        assert isinstance(index, Index)
        unpacker = Unpacker(store, store)

        def unpack(platform: str) -> None:
            entry = indexes.select(index, platforms.parse(platform))
            assert entry is not None
            manifest = store.load(entry)
            assert isinstance(manifest, Manifest)
            unpacker.lowers(layers_of(manifest, choose.read_config(store, manifest)))

        # As a build does it: the platforms of one image are steps that do not wait for each other.
        with ThreadPoolExecutor(len(wanted)) as pool:
            list(pool.map(unpack, wanted))


if __name__ == "__main__":
    main(*sys.argv[1:])
