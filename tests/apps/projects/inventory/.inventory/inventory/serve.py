import os
import platform
import signal
import sys

import bottle
from markupsafe import escape

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


@bottle.route("/login/")
def login():
    return f"{escape('<inventory>')} {platform.machine()} {os.getuid()} {os.getcwd()}"


bottle.run(host="0.0.0.0", port=int(os.environ["PORT"]), quiet=True)
