import http.server
import json
import os
import signal

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open("/app/build/_app/version.json") as file:
            front = json.load(file)
        text = {
            "status": True,
            "machine": os.uname().machine,
            "ids": [os.getuid(), os.getgid()],
            "front": front,
            "version": os.environ["WEBUI_BUILD_VERSION"],
            "model": os.environ["RAG_EMBEDDING_MODEL"],
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(text).encode())


http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
