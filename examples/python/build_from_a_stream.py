"""Build from a tar that is made in memory, and write the result to another stream. A URL is given like a path."""

import io
import tarfile

from polyarch import Output, Polyarch

FILES = {"Dockerfile": b"FROM scratch\nCOPY hello.txt /\n", "hello.txt": b"hello\n"}

context = io.BytesIO()
with tarfile.open(fileobj=context, mode="w") as tar:
    for name, data in FILES.items():
        member = tarfile.TarInfo(name)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
context.seek(0)

with Polyarch() as client:
    archive = io.BytesIO()
    client.build(context, output=Output(kind="oci", stream=archive))
    print(len(archive.getvalue()) > 0)

    # A git repository is cloned; #BRANCH:DIRECTORY chooses a part of it.
    result = client.build("https://git.example.org/team/app.git#main:web", tags="web:1")
    print([str(image.platform) for image in result.images])
