"""Pull every platform of an image, and list the images of the store with their platforms."""

from polyarch import Polyarch

with Polyarch() as client:
    client.images.pull("registry.example.org/team/app:1", platforms="all")
    for image in client.images.list():
        print(image.name, ", ".join(entry.platform for entry in image.platforms))
