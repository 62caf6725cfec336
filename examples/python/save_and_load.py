"""Save an image with all its platforms to a compressed archive, and load it into another store."""

from polyarch import Polyarch

with Polyarch() as client:
    client.images.pull("registry.example.org/team/app:1", platforms="all")
    client.images.save("registry.example.org/team/app:1", "app.tar.gz")

with Polyarch("other-store") as other:
    for image in other.images.load("app.tar.gz"):
        print(image.name, len(image.platforms))
