"""Build an image for two platforms and push it to its registry."""

from polyarch import Polyarch

with Polyarch() as client:
    result = client.build(
        "examples/hello",
        platforms="linux/amd64,linux/arm64",
        tags="registry.example.org/team/hello:1",
        push=True,
    )
    for image in result.images:
        print(image.platform, image.descriptor.digest)
