# Each script sources this: a temporary directory, and pinned public packages in it. It installs nothing on the machine.
#
#   debian SUITE NAME=VERSION…   unpacks these Debian packages, and no others, into $work/debian
#   foreign SUITE ARCH NAME…     the same for another architecture, into $work/ARCH
#   program NAME ARG…            runs a program of these packages, with the C library of these packages if they have one
#   pypi NAME==VERSION…          makes $work/python, a virtual environment with these
#   npm_packages NAME@VERSION…   installs into $work/node_modules
#   expect TITLE WANTED SEEN     fails the script if SEEN is not WANTED
set -euo pipefail

common=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

debian() { _unpack "$1" "$(dpkg --print-architecture)" "$work/debian" "${@:2}"; }
foreign() { _unpack "$1" "$2" "$work/$2" "${@:3}"; }

_unpack() {
  local suite=$1 architecture=$2 target=$3 lists=$work/apt-$2 packages=$work/packages-$2
  shift 3
  mkdir -p "$lists/lists/partial" "$lists/archives/partial" "$target" "$packages"
  # The machine's own mirror, asked for another suite.
  local mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' | awk '!/security/ && !n++')
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$lists/sources.list"
  local options=(-qq -o "Dir::Etc::SourceList=$lists/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$lists/lists" -o "Dir::Cache::archives=$lists/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
    -o APT::Sandbox::User=root -o Acquire::Languages=none
    -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture")
  apt-get "${options[@]}" update
  (cd "$packages" && apt-get "${options[@]}" download "$@" >/dev/null)
  local package
  for package in "$packages"/*.deb; do dpkg-deb -x "$package" "$target"; done
}

program() {
  local root=$work/debian name=$1 path
  shift
  for path in "$root"/{usr/bin,usr/sbin,bin,sbin}/"$name"; do [[ -e $path ]] && break; done
  local libraries=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu
  local loader=$root/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
  if [[ -e $loader ]]; then
    "$loader" --library-path "$libraries" "$path" "$@"
  else
    LD_LIBRARY_PATH=$libraries "$path" "$@"
  fi
}

pypi() {
  python3 -m venv "$work/python"
  "$work/python/bin/pip" --disable-pip-version-check --quiet install "$@" 2>/dev/null
}

npm_packages() {
  echo '{"private": true}' >"$work/package.json"
  npm install --silent --no-audit --no-fund --prefix "$work" "$@" >/dev/null
}

expect() {
  if [[ $2 != "$3" ]]; then
    printf 'CHANGED: %s\n  wanted: %s\n  seen:   %s\n' "$1" "$2" "$3" >&2
    exit 1
  fi
  printf '%s: %s\n' "$1" "$3"
}
