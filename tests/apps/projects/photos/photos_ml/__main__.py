import os
import platform
import signal
import sys

import bottle

if len(sys.argv) > 1:
    print(
        platform.machine(), os.environ["DEVICE"], os.environ["IMAGE_NAME"], os.environ["PYTHONPATH"], bottle.__version__
    )
    sys.exit()
signal.signal(signal.SIGINT, lambda *_: os._exit(3))


@bottle.route("/ping")
def ping():
    return f"pong {platform.machine()}"


bottle.run(host="0.0.0.0", port=int(os.environ["PORT"]), quiet=True)
