# Source this after packages.sh: a dockerd of Debian trixie with the containerd image store, in its own namespaces.
#
#   start_dockerd       unpacks and starts it; `inside COMMAND` runs a command in its root directory
#
# It needs root. It has only a loopback network, and ends with the script.

start_dockerd() {
  debian trixie docker.io=26.1.5+dfsg1-9+deb13u1+b1 docker-cli=26.1.5+dfsg1-9+deb13u1+b1 docker-buildx=0.13.1+ds1-3 \
    containerd=1.7.24~ds1-6+deb13u1 libc6 libsystemd0 libcap2 libgcc-s1 libdevmapper1.02.1 libudev1 libselinux1 libpcre2-8-0 runc libseccomp2
  root=$work/debian
  mkdir -p "$root"/{proc,sys,dev,tmp,run,root,mnt,etc/docker}
  for name in bin sbin lib lib64; do [[ -e $root/$name ]] || ln -s "usr/$name" "$root/$name"; done
  : >"$root/dev/null" # for the client; the daemon has the machine's
  echo '{"features": {"containerd-snapshotter": true}}' >"$root/etc/docker/daemon.json"
  echo '127.0.0.1 localhost' >"$root/etc/hosts"
  unshare --mount --pid --fork --kill-child sh -c '
    mount --make-rprivate / && mount --bind "$1" "$1" && mount --rbind /dev "$1/dev" && mount --rbind /sys "$1/sys" &&
    mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/run" && exec chroot "$1" dockerd --data-root=/mnt/data \
      --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --host=unix:///mnt/socket' \
    sh "$root" >"$work/log" 2>&1 &
  daemon=$!
  trap 'kill -KILL "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null || true; rm -rf "$work"' EXIT
  for _ in $(seq 150); do
    [[ -S $root/mnt/socket ]] && inside docker version >/dev/null 2>&1 && return
    sleep 0.2
  done
  tail "$work/log" >&2
  return 1
}

inside() { DOCKER_HOST=unix:///mnt/socket HOME=/root chroot "$root" "$@"; }
