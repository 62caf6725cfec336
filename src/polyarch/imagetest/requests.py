"""HTTP requests to an image that is tested, over the relay of its port."""

import http.client
from collections.abc import Iterator

from polyarch.imagetest.checking import text_problems
from polyarch.imagetest.values import HttpCheck

_LARGEST = 16 << 20


def problems(port: int, check: HttpCheck, timeout: float) -> Iterator[str]:
    """Send the request to a port of this machine, and yield the problems of the answer. Redirects are not followed."""
    what = f"{check.method} {check.path}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(check.method, check.path, check.send.encode() or None, dict(check.headers))
        answer = connection.getresponse()
        body = answer.read(_LARGEST)
    except TimeoutError:
        yield f"{what}: no answer within {timeout:g} s"
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        yield f"{what}: {reason}"
    else:
        if check.status is not None and answer.status != check.status:
            yield f"{what} is answered with {answer.status} {answer.reason}, not {check.status}"
        yield from text_problems(f"the answer to {what}", body.decode(errors="replace"), check.body)
    finally:
        connection.close()
