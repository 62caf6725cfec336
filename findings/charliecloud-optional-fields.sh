#!/bin/bash
# charliecloud 0.45.2: refuses an image without `history`, and an index with one entry that has no `platform`.
#
# Guess: `ch-image pull` takes both, because the OCI specification says of both fields that they are optional.
# What happens: "invalid config: missing history", after all layers have been unpacked, and "manifest lists missing a
# required key", whichever architecture is asked for. A tool that writes configs may leave the history out, and an artifact
# that is added to an index has no platform. An empty history is accepted.
source "$(dirname "$0")/common/packages.sh"

debian sid charliecloud-builders=0.45.2-1 charliecloud-common=0.45.2-1 charliecloud-runtime=0.45.2-1
pypi requests==2.32.5 lark==1.3.1
python3 - "$common" <<'PY'
import io
import sys
import tarfile

sys.path.insert(0, sys.argv[1])
import layout

platform = {"os": "linux", "architecture": "amd64"}
stream = io.BytesIO()
with tarfile.open(fileobj=stream, mode="w") as tar:
    tar.addfile(tarfile.TarInfo("file"), io.BytesIO())
history = {"history": []}
for name, optional in ("history", history), ("no-history", {}):
    made = layout.Layout(name)
    made.tag(made.image(platform | optional, stream.getvalue(), {}))
for name in "platforms", "no-platform":
    made = layout.Layout(name)
    members = [made.image(platform | history, stream.getvalue(), {}) | {"platform": platform}]
    if name == "no-platform":
        empty = made.put(b"{}", "application/vnd.oci.empty.v1+json")
        members.append(made.manifest("manifest.v1+json", {"artifactType": "application/vnd.example", "config": empty, "layers": [empty]}))
    made.tag(made.index(members))
PY
# ch-image speaks only HTTPS: a server of these layouts, LAYOUT being the tag.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out certificate.pem -days 2 \
  -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 2>/dev/null
cat >serve.py <<'PY'
import http.server
import json
import pathlib
import ssl


class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, name = self.path.split("/")[-2:]
        found = list(pathlib.Path().glob(f"*/blobs/sha256/{name.removeprefix('sha256:')}"))
        if kind == "manifests" and not found:
            entry = json.loads(pathlib.Path(name, "index.json").read_bytes())["manifests"][0]
            found = [pathlib.Path(name, "blobs/sha256", entry["digest"][7:])]
        content = found[0].read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", json.loads(content)["mediaType"] if kind == "manifests" else "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("certificate.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
pathlib.Path("port.new").write_text(str(server.server_port))
pathlib.Path("port.new").rename("port")
server.serve_forever()
PY
python3 serve.py &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do [[ -e port ]] && break || sleep 0.1; done
pull() {
  local status=0
  CH_IMAGE_STORAGE=$work/storage REQUESTS_CA_BUNDLE=$work/certificate.pem PYTHONPATH=$work/debian/usr/lib/charliecloud \
    "$work/python/bin/python" "$work/debian/usr/bin/ch-image" pull --arch=amd64 "127.0.0.1:$(<port)/app:$1" >log 2>&1 || status=$?
  echo "$status $(grep -o 'invalid config: .*\|manifest lists missing .*' log)"
}
expect "an empty history" "0 " "$(pull history)"
expect "no history" "1 invalid config: missing history" "$(pull no-history)"
expect "an index whose entries have platforms" "0 " "$(pull platforms)"
expect "an index with an artifact" "1 manifest lists missing a required key" "$(pull no-platform)"
