import os
import platform
import signal

import bottle

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


@bottle.route("/api/")
def api():
    return {
        "message": "API running.",
        "machine": platform.machine(),
        "config": os.getcwd(),
        "grace": os.environ["S6_SERVICES_GRACETIME"],
    }


bottle.run(host="0.0.0.0", port=int(os.environ["PORT"]), quiet=True)
