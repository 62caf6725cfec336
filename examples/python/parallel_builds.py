"""Build several images at once, each in a thread. RUN steps are done in processes of their own."""

from concurrent.futures import ThreadPoolExecutor

from polyarch import BuildResult, Polyarch

DOCKERFILE = "FROM registry.example.org/team/app:1\nARG NAME\nRUN echo $NAME > /name\n"

with Polyarch() as client, ThreadPoolExecutor() as pool:

    def build(name: str) -> BuildResult:
        return client.build(None, dockerfile=DOCKERFILE, args={"NAME": name}, tags=f"{name}:latest")

    for result in pool.map(build, ["web", "worker"]):
        print(result.descriptor.digest if result.descriptor else "")
