"""python-on-whales: its buildx, image and registry calls, in its own virtual environment.

python whales.py REPOSITORY CONTEXT: prints RESULTS and an object, for each call what went wrong.
"""

# mypy: ignore-errors
import json
import sys
from pathlib import Path

from python_on_whales import docker

REPOSITORY, CONTEXT = sys.argv[1:]
TAG = f"{REPOSITORY}:whales"
BOTH = ["linux/amd64", "linux/arm64"]
results = {}


def step(name, work):
    try:
        value = work()
        assert value is not False, "the answer is no"
        results[name] = ""
    except Exception as error:
        results[name] = f"{type(error).__name__}: {error}"
        value = None
    return value


step("version", lambda: docker.version().server.version == "28.5.2")
step("system.info", lambda: docker.system.info().os_type == "linux")
step("system.disk_free", lambda: docker.system.disk_free().containers.total_count == 0)
step("image.exists: absent", lambda: not docker.image.exists("absent"))
step("image.list: empty", lambda: docker.image.list() == [])
step("buildx.version", docker.buildx.version)
step("buildx.is_installed", docker.buildx.is_installed)
builder = step("buildx.create", lambda: docker.buildx.create(name="W", use=True, driver="docker-container"))
step("builder.name", lambda: builder.name == "W")
step("builder.driver", lambda: builder.driver == "docker-container")
step("builder.nodes", lambda: "linux/arm64" in builder.nodes[0].platforms)
step("buildx.list", lambda: {one.name for one in docker.buildx.list()} == {"W", "default"})
step("buildx.inspect", lambda: docker.buildx.inspect("W", bootstrap=True).name == "W")
step("buildx.inspect: current", lambda: docker.buildx.inspect().name == "W")
step("buildx.use", lambda: docker.buildx.use(builder))
step("buildx.build: load", lambda: docker.buildx.build(CONTEXT, tags=["a:1"], load=True).repo_tags == ["a:1"])
push = {"tags": [TAG], "push": True, "platforms": BOTH, "provenance": True, "sbom": True}
step("buildx.build: push", lambda: docker.buildx.build(CONTEXT, **push))
archive = Path(CONTEXT).parent / "saved.tar"
step("buildx.build: oci", lambda: docker.buildx.build(CONTEXT, output={"type": "oci", "dest": str(archive)}))
step("build", lambda: docker.build(CONTEXT, tags="a:2"))
step("legacy_build", lambda: docker.legacy_build(CONTEXT, tags="a:3"))
cache = f"{archive.parent}/cache"
caches = {"cache_to": f"type=local,dest={cache}", "cache_from": f"type=local,src={cache}"}
step("buildx.build: caches", lambda: docker.buildx.build(CONTEXT, tags="a:4", load=True, builder=builder, **caches))
files = [f"{CONTEXT}/docker-bake.json"]
step(
    "buildx.bake: print",
    lambda: docker.buildx.bake(files=files, print=True)["target"]["default"]["tags"] == ["baked:1"],
)
step("buildx.bake", lambda: docker.buildx.bake(files=files, load=True, set={"*.platform": "linux/amd64"}))
step("imagetools.inspect", lambda: len(docker.buildx.imagetools.inspect(TAG).manifests) == 4)
step("imagetools.create", lambda: docker.buildx.imagetools.create([TAG], tags=[f"{REPOSITORY}:copied"]))
step("image.exists", lambda: docker.image.exists("a:2"))
image = step("image.inspect", lambda: docker.image.inspect("a:2"))
step("image: fields", lambda: image.id.startswith("sha256:") and image.architecture and image.os == "linux")
step("image: lists", lambda: "a:2" in image.repo_tags and image.root_fs.layers)
step("image: created, size", lambda: image.created and image.size)
step("tag", lambda: docker.tag("a:2", f"{REPOSITORY}:tagged"))
step("push", lambda: docker.push(f"{REPOSITORY}:tagged"))
step("pull", lambda: docker.pull(TAG).repo_tags == [TAG])
step("pull: quiet", lambda: docker.pull(TAG, quiet=True).repo_tags == [TAG])
step("save", lambda: docker.save("a:2", output=str(archive)))
step("load", lambda: docker.load(str(archive)) == ["a:2"])
step("image.list", lambda: any("a:2" in one.repo_tags for one in docker.image.list()))
step("image.list: filter", lambda: docker.image.list(filters=[("dangling", "true")]) == [])
step("manifest.inspect", lambda: docker.manifest.inspect(TAG))
step("image.remove", lambda: docker.image.remove("a:4"))
step("image.remove: absent", lambda: docker.image.remove("absent", force=True))
step("image.prune", lambda: docker.image.prune(all=True))
step("ps", lambda: docker.ps() == [])
step("container.list", lambda: docker.container.list(all=True) == [])
step("context.list", lambda: [one.name for one in docker.context.list()] == ["default"])
step("context.inspect", lambda: docker.context.inspect().name == "default")
step("login", lambda: docker.login(server=REPOSITORY.partition("/")[0], username="u", password="p"))
step("logout", lambda: docker.logout(REPOSITORY.partition("/")[0]))
step("buildx.prune", lambda: docker.buildx.prune(filters={"until": "24h"}))
step("buildx.prune: all", lambda: docker.buildx.prune(all=True))
step("buildx.stop", lambda: docker.buildx.stop(builder))
step("buildx.remove", lambda: docker.buildx.remove(builder))
step("system.prune", docker.system.prune)
print("\nRESULTS " + json.dumps(results))
