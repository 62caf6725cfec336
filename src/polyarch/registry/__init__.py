"""A registry as a place: its repositories are read and written through the Protocols of `oci/place.py`.

Names are imported on demand, so importing the room loads nothing. TLS is loaded by the first request that needs it.
"""

from typing import TYPE_CHECKING

from polyarch import lazy

if TYPE_CHECKING:
    from polyarch.registry.client import Registry as Registry
    from polyarch.registry.client import Repository as Repository
    from polyarch.registry.credentials import Credential as Credential
    from polyarch.registry.credentials import Credentials as Credentials
    from polyarch.registry.hosts import Hosts as Hosts
    from polyarch.registry.proxies import Proxies as Proxies
    from polyarch.registry.uploads import Upload as Upload
else:
    __getattr__, __all__ = lazy.exports(
        __name__,
        {
            "client": "Registry Repository",
            "credentials": "Credential Credentials",
            "hosts": "Hosts",
            "proxies": "Proxies",
            "uploads": "Upload",
        },
    )
