"""Handle errors: each kind has a class, a message that says what failed, and a hint that says what to do."""

from polyarch import BuildError, DockerfileError, NotFoundError, Polyarch, PolyarchError, RegistryError

with Polyarch() as client:
    try:
        client.build(None, dockerfile="FROM scratch\nCOPPY . /\n")
    except DockerfileError as error:
        print("line", error.locations[0].first, error.reason)
    except BuildError as error:
        print("a step failed:", error)

    try:
        client.images.push("registry.example.org/team/nothing:1")
    except NotFoundError as error:
        print(error.message)
    except RegistryError as error:
        print("the registry said", error.status, error.codes)
    except PolyarchError as error:
        print(error.message, error.hint)
