"""The farm of a build of the Python client."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.client.environment import clock
from polyarch.client.settings import ClientSettings, GivenCredentials

if TYPE_CHECKING:
    from polyarch.builder import BuildRequest
    from polyarch.builder.remote import RemoteRunner
    from polyarch.builder.request.farm import FarmRequest
    from polyarch.transfer.locate import Places


@contextmanager
def opened_farm(
    settings: ClientSettings, request: "BuildRequest", wanted: "FarmRequest", places: "Places", emit: progress.Emit
) -> "Iterator[RemoteRunner]":
    """The farm `wanted`, for one build.

    Raises UsageError, UnsupportedError without the libraries, and NotFoundError and FarmError for the certificates.
    """
    import os

    from polyarch.farm import certificates
    from polyarch.farm.addresses import scheduler_address
    from polyarch.farm.client import FarmOptions
    from polyarch.farm.opening import ExchangeOptions, opened
    from polyarch.farm.values import BuildNote
    from polyarch.farm.worker import require_extra

    require_extra()
    now, environment = clock(), settings.environment
    options = FarmOptions(
        scheduler=scheduler_address(wanted.address),
        bundle=certificates.load(Path(wanted.certificates), now, "client"),
        fallback=wanted.fallback,
        patience=wanted.timeout,
    )
    reached = ExchangeOptions(listen=wanted.listen, contact=wanted.contact, carrier=wanted.carrier)
    name = str(request.export.names[0].tagged()) if request.export.names else "build"
    user = environment.variables.get("USER") or str(os.getuid())
    note = BuildNote(id="", name=name, who=f"{user}@{os.uname().nodename}", platforms=(), began=now)
    credentials = GivenCredentials(settings.credentials, environment)
    with opened(options, reached, note, places.store, places.registry, credentials.get, emit) as runner:
        yield runner
