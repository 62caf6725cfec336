"""A program that uses the API as its types say, and below it mistakes: mypy must find each line that is marked.

It is checked by tests/client/test_types.py and never run.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from polyarch import (
    BuildResult,
    CacheSettings,
    Credential,
    Image,
    NotFoundError,
    Output,
    Platform,
    Polyarch,
    PolyarchError,
    Reference,
    RegistryError,
    RunFlags,
    TimeSettings,
)
from polyarch.progress import Event, OutputChunk


def show(event: Event) -> None:
    if isinstance(event, OutputChunk):
        print(event.data.decode())


def right(platforms: list[str], archive: Path) -> Iterator[Image]:
    given = {"registry.example.org": Credential(username="ada", password="secret")}
    with Polyarch("store", credentials=given, progress=show, environment={"PATH": "/usr/bin"}) as client:
        result: BuildResult = client.build(
            Path(),
            platforms=[*platforms, Platform(os="linux", architecture="s390x")],
            tags=["app:1", Reference("registry.example.org", "app", "1")],
            args={"VERSION": "1", "TOKEN": None},
            secrets={"npm": b"secret", "key": archive},
            ssh={"default": archive},
            output=[Output(kind="oci", destination=archive), "type=local,dest=out"],
            cache=CacheSettings(no_cache_filter="base", pull=True),
            run=RunFlags(network="none", shm_size="64m", ulimits={"nofile": (1024, 2048)}),
            time=TimeSettings(reproducible=True),
            overrides={"linux/arm64": {"args": {"CPU": "a53"}}},
            on_failure="keep",
        )
        digests: list[str] = [image.descriptor.digest for image in result.images]
        print(digests, [failure.message for failure in result.failures])
        client.build(".", platforms="linux/amd64,linux/arm64", tags="app:1")
        print(client.plan(".", target="app").steps, client.lint(dockerfile="FROM scratch").findings)
        yield client.images.pull("app:1", platforms="all")
        yield from client.images.list()
        done = client.images.run("app", "sh", "-c", "true", platform="linux/arm64", stdout=subprocess.PIPE)
        status: int = done.returncode
        output: bytes | None = done.stdout
        print(status, output, client.images.check("app", allow="usr/lib/*").is_good())
        client.images.save(["app:1", "app:2"], archive, format="oci", compress="zstd")
        index = client.indexes.create("app:1", ["a", "b"], annotations={"a": "b"})
        print([entry.platform for entry in index.entries], client.indexes.push("app:1").descriptor.digest)
        try:
            client.images.remove("app", platforms=("linux/arm64",))
        except NotFoundError as error:
            print(error.message, error.hint)
        except RegistryError as error:
            print(error.status, error.codes)
        except PolyarchError:
            raise


def wrong(client: Polyarch, result: BuildResult, image: Image) -> None:
    client.build(".", platfroms="linux/amd64")  # mistake
    client.build(".", platforms=42)  # mistake
    client.build(".", tags=None)  # mistake
    client.build(".", args=["A=b"])  # mistake
    client.build(".", args={"A": 1})  # mistake
    client.build(".", secrets={"npm": "the content or a path?"})  # mistake
    client.build(".", output=["type=oci", 7])  # mistake
    client.build(".", push="yes")  # mistake
    client.build(".", on_failure="continue")  # mistake
    client.build(".", run={"netwrok": "none"})  # mistake
    client.build(".", run=RunFlags(network="bridge"))  # mistake
    client.build(".", cache={"no_cache": "all"})  # mistake
    client.build(".", overrides={"linux/arm64": {"arguments": {}}})  # mistake
    client.build(".", "linux/amd64")  # mistake
    client.lint(".", isolate=False)  # mistake
    client.plan(".", target=["a", "b"])  # mistake
    client.images.push()  # mistake
    client.images.pull("app", platforms=None)  # mistake
    client.images.run("app", ["sh", "-c", "true"])  # mistake
    client.images.run("app", env=["A=b"])  # mistake
    client.images.run("app", pull="sometimes")  # mistake
    client.images.save("app", archive="app.tar")  # mistake
    client.images.load(b"app.tar")  # mistake
    client.indexes.create("app", members=1)  # mistake
    client.indexes.annotate("app", "linux/arm64", arch="arm64")  # mistake
    print(client.store)  # mistake
    Polyarch(progress=print, clock="now")  # mistake
    Polyarch(credentials={"registry.example.org": ("ada", "secret")})  # mistake
    image.name = "other"  # mistake
    print(result.images[0].digest)  # mistake
    print(result.descriptor.digest)  # mistake
