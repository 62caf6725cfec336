#!/bin/bash
# Installs the Debian or Ubuntu packages that `make` needs and the machine lacks, and says which and why.
# Usage: scripts/system_packages.sh GROUP…     (groups: demo, test, readers, bench, clients, pictures)
#
# The command of a tool counts, not its package: a crun from elsewhere is as good as Debian's.
set -euo pipefail

python=${PYTHON:-python3}

# group | what shows that it is there (alternatives by commas) | package (alternatives by commas) | what it is for
table() {
  cat <<'END'
demo|module:ensurepip|python3-venv|a virtual environment for the Python packages
demo|program:crun,program:runc|crun|the OCI runtime in which RUN and `polyarch run` happen
demo|program:qemu-s390x-static,program:qemu-s390x|qemu-user-static,qemu-user|emulators of other processors
demo|program:newuidmap|uidmap|a range of user ids for builds without root
demo|program:skopeo|skopeo|a second witness that reads what was built
test|program:docker-registry|docker-registry|a registry on loopback to push to and pull from
test|program:git|git|ADD of git repositories
test|program:runc|runc|the second OCI runtime
test|program:podman|podman|reading images as another tool does
test|program:catatonit|catatonit|an init for containers
test|program:slirp4netns|slirp4netns|outgoing connections of containers
test|program:buildah|buildah|building and reading images as another tool does
test|program:umoci|umoci|reading layers as another tool does
test|program:mmdebstrap|mmdebstrap|a Debian base image, made on the spot
test|program:microsocks|microsocks|a SOCKS proxy to go through
test|program:tinyproxy|tinyproxy-bin|an HTTP proxy to go through
test|program:htpasswd|apache2-utils|passwords for a registry that asks for them
test|program:openssl|openssl|a certificate authority for a registry with TLS
test|program:curl|curl|requests to images that are tested
test|program:jq|jq|the steps of workflows that read JSON
test|program:as|binutils|programs of a few instructions
test|program:objcopy|binutils|programs of a few instructions
test|program:zstd|zstd|layers compressed by another tool
test|program:strace|strace|commands that are killed, or refused a write, at a system call
test|program:bsdtar|libarchive-tools|archives read by another tool
test|program:busybox|busybox|layers read by another program
test|program:pigz|pigz|layers read by another program
test|program:7z|p7zip-full,7zip|layers read by another program
test|program:perl|perl|layers read by Perl
test|program:ruby|ruby|layers read by Ruby
test|program:php|php-cli|layers read by PHP
test|program:node|nodejs|layers read by JavaScript
test|program:ssh|openssh-client|members of a farm that ssh starts
test|program:sshd|openssh-server|members of a farm that ssh starts
test|program:npm|npm|the checker of pages for people with disabilities
test|program:rpmbuild|rpm|databases of packages as rpm writes them
test|program:db5.3_load|db5.3-util|databases of packages as rpm wrote them before 2020
test|program:chromium,program:google-chrome,program:chromium-browser|chromium|pages looked at in a browser
test|library:libarchive.so.13|libarchive13t64,libarchive13|archives read by another library
readers|program:npm|npm|layers read by packages of npm
readers|program:tclsh|tcl|layers read by Tcl
readers|program:java|default-jre-headless|layers read by Java
readers|program:firefox-esr,program:firefox|firefox-esr,firefox|layers read by a browser
bench|program:docker-registry|docker-registry|a registry on loopback, and the peer that `serve` is measured against
bench|program:buildah|buildah|the peer that builds are measured against
bench|program:skopeo|skopeo|the peer that pushes and pulls are measured against
bench|program:umoci|umoci|the peer that unpacking is measured against
bench|program:mmdebstrap|mmdebstrap|a Debian base image, made on the spot
bench|program:npm|npm|the packages of npm that builds install
clients|program:node|nodejs|clients that are packages of npm
clients|program:npm|npm|clients that are packages of npm
pictures|program:tmux|tmux|a terminal whose screen can be read
END
}

there() { # there MARK: whether the machine has this program, module or library
  local name=${1#*:}
  case $1 in
    program:*) PATH="$PATH:/usr/sbin:/sbin" command -v "$name" >/dev/null ;;
    module:*) "$python" -c "import $name" 2>/dev/null ;;
    library:*) PATH="$PATH:/usr/sbin:/sbin" ldconfig -p | grep -qF "$name" ;;
  esac
}

missing() { # missing GROUP…: the rows of the table that this machine does not satisfy
  local group marks packages why mark found
  while IFS='|' read -r group marks packages why; do
    [[ " $* " == *" $group "* ]] || continue
    found=no
    for mark in ${marks//,/ }; do there "$mark" && found=yes && break; done
    [[ $found == yes ]] || echo "$group|$marks|$packages|$why"
  done < <(table)
}

candidate() { # candidate A,B: the first of these packages that this distribution has
  local package
  for package in ${1//,/ }; do
    if apt-cache policy "$package" 2>/dev/null | grep -qE '^ *Candidate: [^(]'; then
      echo "$package"
      return
    fi
  done
  echo "${1%%,*}"
}

if ! command -v "$python" >/dev/null; then
  echo "There is no $python. Install Python 3.11 or later, or name it: make PYTHON=/path/to/python3" >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "$python is $("$python" -V), and Polyarch needs 3.11 or later. Name a newer one: make PYTHON=python3.12" >&2
  exit 1
fi

rows=$(missing "$@")
[[ -n $rows ]] || exit 0

names=$(cut -d'|' -f3 <<<"$rows" | cut -d, -f1 | tr '\n' ' ')
if ! command -v apt-get >/dev/null; then
  echo "This is neither Debian nor Ubuntu: install what these packages hold there, then try again: $names" >&2
  exit 1
fi
sudo=()
if [[ $(id -u) != 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "Packages are missing, and there is no sudo. As root:  apt-get install --no-install-recommends $names" >&2
    exit 1
  fi
  sudo=(sudo)
fi

echo "Missing on this machine, to be installed with apt-get${sudo:+ through sudo}:"
while IFS='|' read -r _ _ packages why; do printf '  %-18s %s\n' "${packages%%,*}" "$why"; done <<<"$rows"

apt() { "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" </dev/null; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# A mirror that is being synchronized fails for one index and works a moment later. The other indexes are enough to continue.
for pause in 5 15 0; do
  apt update -o APT::Update::Error-Mode=any >"$log" 2>&1 && break
  echo "apt-get update failed in part: $(grep -m1 -E '^[EW]:' "$log" || tail -n1 "$log")"
  sleep "$pause"
done

packages=()
while IFS='|' read -r _ _ alternatives _; do packages+=("$(candidate "$alternatives")"); done <<<"$rows"

# Debian's package starts docker-registry for the whole network when it is installed. Each run here starts its own on loopback.
if [[ " ${packages[*]} " == *" docker-registry "* && -d /run/systemd/system ]]; then
  echo "The service docker-registry is masked so that it does not start by itself (undo: systemctl unmask docker-registry)."
  "${sudo[@]}" systemctl mask docker-registry.service >"$log" 2>&1 || cat "$log"
fi

if ! apt install -y --no-install-recommends "${packages[@]}" >"$log" 2>&1; then
  # One unavailable package must not prevent the others.
  for package in "${packages[@]}"; do
    apt install -y --no-install-recommends "$package" >"$log" 2>&1 || { echo "apt-get install $package failed:"; tail -n 5 "$log"; }
  done
fi

rows=$(missing "$@")
if [[ -n $rows ]]; then
  echo "Still missing: $(cut -d'|' -f3 <<<"$rows" | cut -d, -f1 | tr '\n' ' ')" >&2
  echo "If a mirror was being updated, try again in some minutes." >&2
  exit 1
fi
echo "Installed: ${packages[*]}"
