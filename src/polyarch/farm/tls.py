"""TLS between the machines of a farm: both ends prove that the farm's authority signed their certificate."""

import ssl

from polyarch.errors import UsageError
from polyarch.farm.certificate_files import FarmTLS


def server_context(files: FarmTLS) -> ssl.SSLContext:
    """For the end that is connected to: it refuses clients without a certificate of the farm. Raises UsageError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _loaded(context, files)


def client_context(files: FarmTLS) -> ssl.SSLContext:
    """For the end that connects. Raises UsageError.

    Host names are not compared: a command has no name of its own, and only the farm's authority is trusted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    return _loaded(context, files)


def _loaded(context: ssl.SSLContext, files: FarmTLS) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(files.authority)
        context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"the certificates of the farm cannot be used: {error}",
            f"polyarch farm init makes them: {files.authority}, {files.certificate}, {files.key}",
        ) from error
    return context
