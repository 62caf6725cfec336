#!/bin/bash
# crpy 0.4.0, containerimage-py 1.1.4 (PyPI), @renovatebot/docker-registry-client 3.3.0 (npm): a list of tags in pages is cut.
#
# Guess: a client follows the Link header to the last page, as the distribution specification says; one that does not know
# pages reads the first.
# What happens: crpy asks for the second page and for no other, so it looks right until there are three. containerimage-py
# and Renovate's client read the first. No error is raised. oras-py 0.2.43 and python-dxf 12.1.1 follow the link, but if it
# is only a query, "?n=2&last=b", which a reference of a URL may be, they ask for another path and fail. oras 1.2.0 and
# @snyk/docker-registry-v2-client 4.0.5 (npm) read all of both. Who deletes the tags that are not listed, or looks for the
# newest version, is affected.
source "$(dirname "$0")/common/packages.sh"

debian trixie oras=1.2.0-1+b9 libc6
pypi crpy==0.4.0 containerimage-py==1.1.4 oras==0.2.43 python-dxf==12.1.1
npm_packages @snyk/docker-registry-v2-client@4.0.5 @renovatebot/docker-registry-client@3.3.0
cat >serve.py <<'PY'
import http.server
import json
import pathlib
import urllib.parse


class Registry(http.server.BaseHTTPRequestHandler):
    """Repositories `path` and `query`, named for the form of their links, with the tags a to e on three pages."""

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        after = dict(urllib.parse.parse_qsl(url.query)).get("last", "")
        rest = [tag for tag in "abcde" if tag > after]
        known = url.path in ("/v2/", "/v2/path/tags/list", "/v2/query/tags/list")
        content = json.dumps({"name": url.path.split("/")[2], "tags": rest[:2]} if known else {"errors": []}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if known and len(rest) > 2:
            path = "" if "/query/" in url.path else url.path
            self.send_header("Link", f'<{path}?n=2&last={rest[1]}>; rel="next"')
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
pathlib.Path("port.new").write_text(str(server.server_port))
pathlib.Path("port.new").rename("port")
server.serve_forever()
PY
python3 serve.py &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do [[ -e port ]] && break || sleep 0.1; done
registry=127.0.0.1:$(<port)
cat >list.py <<'PY'
import asyncio
import sys

import dxf
import oras.client
from crpy.registry import RegistryInfo
from image.client import ContainerImageRegistryClient
from image.reference import ContainerImageReference

client, registry, name = sys.argv[1:]
try:
    if client == "crpy":
        tags = asyncio.run(RegistryInfo.from_url(f"http://{registry}/{name}").list_tags())
    elif client == "containerimage-py":
        tags = ContainerImageRegistryClient.list_tags(ContainerImageReference(f"{registry}/{name}:a"), {}, http=True)["tags"]
    elif client == "oras-py":
        tags = oras.client.OrasClient(insecure=True).get_tags(f"{registry}/{name}")
    else:
        tags = dxf.DXF(registry, name, insecure=True).list_aliases()
    print(*tags, sep="")
except Exception as error:
    print(type(error).__name__)
PY
cat >list.mjs <<'JS'
import client from "@snyk/docker-registry-v2-client"
const [registry, name] = process.argv.slice(2)
console.log((await client.getTags(registry, name, undefined, undefined, 2, undefined, { protocol: "http" })).join(""))
JS
cat >renovate.mjs <<'JS'
import client from "@renovatebot/docker-registry-client"
const [registry, name] = process.argv.slice(2)
client.createClientV2({ name: `${registry}/${name}`, insecure: true, scheme: "http" }).listTags((error, list) => {
  console.log(error ? error.message : list.tags.join(""))
  process.exit()
})
JS
python_client() { "$work/python/bin/python" list.py "$1" "$registry" "$2" 2>/dev/null; }
for row in "crpy abcd abcd" "containerimage-py ab ab" "oras-py abcde ValueError" "python-dxf abcde HTTPError"; do
  read -r client path query <<<"$row"
  expect "$client, a link with a path" "$path" "$(python_client "$client" path)"
  expect "$client, a link of a query" "$query" "$(python_client "$client" query)"
done
for form in path query; do
  expect "oras, $form" abcde "$(program oras repo tags --plain-http "$registry/$form" | tr -d '\n')"
  expect "@renovatebot, $form" ab "$(node renovate.mjs "$registry" "$form")"
  expect "@snyk, $form" abcde "$(node list.mjs "$registry" "$form")"
done
