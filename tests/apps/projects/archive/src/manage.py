import http.server
import os
import signal
import sys

word = sys.argv[1]
if word == "collectstatic":
    os.makedirs("collected", exist_ok=True)
    with open("collected/who", "w") as file:
        file.write(f"{os.getuid()}:{os.getgid()}")
elif word == "compilemessages":
    os.makedirs("locale", mode=0o750, exist_ok=True)
elif word == "runserver":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    os.chdir("collected")
    http.server.test(http.server.SimpleHTTPRequestHandler, port=int(os.environ["PORT"]))
