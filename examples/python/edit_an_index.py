"""Make an index of images that are in a registry, label one of them, and push the index."""

from polyarch import Polyarch

APP = "registry.example.org/team/app"

with Polyarch() as client:
    client.indexes.create(f"{APP}:2", [f"{APP}:1-amd64", f"{APP}:1-arm64"], annotations={"org.example.team": "web"})
    client.indexes.annotate(f"{APP}:2", "linux/arm64", variant="v8", annotations={"org.example.tested": "yes"})
    pushed = client.indexes.push(f"{APP}:2")
    print(pushed.name, pushed.descriptor.digest)
