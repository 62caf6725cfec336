# Source this after packages.sh: a docker-registry of Debian trixie on a free port of the loopback interface.
#
#   start_registry      unpacks and starts it; $registry is HOST:PORT
#
# It ends with the script. It has no list of referrers: clients keep one under a tag.

start_registry() {
  debian trixie docker-registry=2.8.3+ds1-2+b8 libc6
  registry=127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  cat >"$work/registry.yml" <<YML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: "$registry"}
YML
  program docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
  registry_process=$!
  trap 'kill "$registry_process" 2>/dev/null; wait "$registry_process" 2>/dev/null || true; rm -rf "$work"' EXIT
  for _ in $(seq 100); do
    curl -sf "http://$registry/v2/" >/dev/null && return
    sleep 0.1
  done
  cat "$work/registry.log" >&2
  return 1
}
