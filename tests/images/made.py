"""Small images for the tests of this room: root filesystems of a few files, imported for some platforms."""

import io
import tarfile
from collections.abc import Mapping

from polyarch.images import import_ as importing
from polyarch.images.import_ import Imported
from polyarch.oci import platform as platforms
from polyarch.oci import reference as references
from polyarch.oci.platform import Platform
from polyarch.store import Store

AMD64 = platforms.parse("linux/amd64")
ARM64 = platforms.parse("linux/arm64")
ARMV7 = platforms.parse("linux/arm/v7")
CREATED = "2026-01-02T03:04:05Z"


def tar(files: Mapping[str, str]) -> bytes:
    """A tar of these files, `name/` being a directory."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            else:
                member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return output.getvalue()


def import_image(
    store: Store, name: str, platform: Platform = AMD64, files: Mapping[str, str] | None = None, **settings: str
) -> Imported:
    """An image of `files`, by default one that says for which platform it is."""
    content = files or {"etc/": "", "etc/platform": str(platform)}
    return importing.import_image(
        store,
        io.BytesIO(tar(content)),
        references.parse(name),
        platform,
        importing.Settings(created=CREATED, **settings),
    )
