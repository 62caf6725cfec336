"""Follow a build: the steps, and what they print, while it runs."""

from polyarch import Finished, OutputChunk, Polyarch, Started
from polyarch.progress import Event


def show(event: Event) -> None:
    if isinstance(event, Started):
        print("begin:", event.name)
    elif isinstance(event, OutputChunk):
        print(event.data.decode(errors="replace"), end="")
    elif isinstance(event, Finished) and event.error:
        print("failed:", event.error)


with Polyarch(progress=show) as client:
    client.build(None, dockerfile="FROM registry.example.org/team/app:1\nRUN echo building on $(uname -m)\n")
