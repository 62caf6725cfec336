import http.server
import os


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"ok {os.getuid()} {os.environ['ERRORS_BUILD']} {os.uname().machine} {os.getppid()}".encode())


http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
