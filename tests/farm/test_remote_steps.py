"""RUN steps that members of a farm do: the image is the same as without them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import bases
from tests.farm.conftest import FarmBuilder

MakeContext = Callable[..., Path]


def test_a_step_on_a_member_gives_the_image_of_a_local_build(
    farm: FarmBuilder, context: MakeContext, busybox_store: Path
) -> None:
    directory = context("FROM busybox\nRUN echo hello > /file\n")
    remote = farm.build(directory, "one", reproducible=True)
    assert "error" not in remote, remote["error"]
    other = farm.root / "local"
    bases.copy_store(busybox_store, other)
    assert farm.images(directory, store=other, reproducible=True) == remote["images"]
    assert remote["steps"] == [{"member": "one", "how": "native", "cached": False}]


EVERY_KIND = r"""
FROM busybox AS files
RUN mkdir -p /d/e && echo one > /d/one && ln /d/one /d/hard && ln -s one /d/soft && mkfifo /d/pipe
RUN rm /d/one && rm -rf /d/e && mkdir /d/e && echo new > /d/e/new
RUN rm -rf /d && mkdir /d && echo opaque > /d/opaque
RUN touch -d '2001-02-03 04:05:06' /d/old && chown 12:34 /d/old && chmod 6755 /d/old
RUN true
RUN dd if=/dev/zero of=/sparse bs=1 count=1 seek=3000000 2>/dev/null
RUN touch "/name with spaces" "/$(printf 'latin\351')" "/$(printf 'x%.0s' $(seq 200))"
RUN head -c 3000000 /dev/zero | tr '\\0' a > /large
WORKDIR /made/by/workdir
COPY greeting tool ./
RUN chmod 4711 tool && mv greeting moved
RUN <<END
echo from a heredoc > here
END
FROM files AS other
USER 1000:1000
WORKDIR /tmp/own
RUN id -u > id && umask 077 && mkdir private && echo $HOME > private/home
USER 0
RUN --mount=type=bind,target=/context --mount=type=bind,from=files,source=/d,target=/stage \
    cp /context/dir/deep /copied && cp /stage/opaque /copied.stage && stat -c '%n %a %u %g %Y' /context/dir > /stat
RUN --mount=type=bind,source=link,target=/linked cat /linked > /through-link
RUN --mount=type=tmpfs,target=/scratch echo gone > /scratch/file
RUN --mount=type=cache,target=/cache echo kept > /cache/file
RUN --mount=type=secret,id=token,target=/token wc -c < /token > /length
RUN --network=none --security=sandbox hostname > /hostname; cat /proc/net/dev | wc -l > /devices
RUN rm /bin/vi /bin/ed
FROM busybox
COPY --from=other / /
RUN echo last > /last
"""


def every_kind(context: MakeContext) -> Path:
    directory = context(
        EVERY_KIND, {"greeting": "hello", "tool": "#!/bin/sh\n", "dir/deep": "deep", "secret": "no", "real": "real"}
    )
    (directory / ".dockerignore").write_text("secret\n")
    (directory / "link").symlink_to("real")
    if os.geteuid() == 0:
        capability = bytes.fromhex("0100000200040000000000000000000000000000")
        os.chmod(directory / "tool", 0o755)
        os.setxattr(directory / "tool", "security.capability", capability)
    for path in (directory, *directory.rglob("*")):
        os.utime(path, (1_000_000_000, 1_000_000_000), follow_symlinks=False)
    return directory


@pytest.mark.parametrize(
    ("target", "compression", "epoch"), [("other", "gzip", 1_500_000_000), ("", "zstd", 0)], ids=["layers", "merged"]
)
def test_every_kind_of_step_has_the_digest_of_a_local_build(
    farm: FarmBuilder, context: MakeContext, busybox_store: Path, target: str, compression: str, epoch: int
) -> None:
    directory = every_kind(context)
    outputs = [f"type=image,compression={compression}"]
    options = {"secrets": {"token": "12345"}, "outputs": outputs, "epoch": epoch, "target": [target]}
    other = farm.root / "local"
    bases.copy_store(busybox_store, other)
    expected = farm.images(directory, store=other, **options)
    assert farm.images(directory, "one", "two", **options) == expected
