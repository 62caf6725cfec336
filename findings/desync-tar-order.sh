#!/bin/bash
# desync 1.0.4: `tar --input-format tar` drops the files of a layer that are not in the order of a tree, and exits with 0.
#
# Guess: an archive of files becomes a catar of the same files, as with mkfs.erofs, tar2sqfs and sqfstar; what is missing in
# it, such as a directory that is not listed, is made up, or is an error.
# What happens: the first entry is the root, even if it is a file. A file that does not follow its directory, or whose
# directory is not listed, ends the archive; the rest is gone without a word. --tar-add-root adds the root and no other
# directory. Layers list a directory again, leave it out, and are in the order of their makers, so few come through whole.
source "$(dirname "$0")/common/packages.sh"

debian sid desync=1.0.4-1 libc6
python3 - <<'PY'
import io
import tarfile


def write(path, *names):
    with tarfile.open(path, "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            tar.addfile(member, io.BytesIO())


write("tree.tar", "./", "etc/", "etc/passwd", "usr/", "usr/bin/", "usr/bin/env")
write("no-root.tar", "etc/", "etc/passwd", "usr/", "usr/bin/", "usr/bin/env")
write("unlisted.tar", "./", "usr/bin/env", "etc/", "etc/passwd")
write("back.tar", "./", "etc/", "usr/", "etc/passwd", "usr/bin/", "usr/bin/env")
PY
catar() {
  rm -f out.catar
  HOME=$work program desync tar --input-format tar "${@:2}" out.catar "$1.tar"
  HOME=$work program desync mtree out.catar | sed -n 's/ type=/ /; s/^\([^# ]* [a-z]*\).*/\1/p' | tr '\n' ';'
}
expect "in the order of a tree" ". dir;etc dir;etc/passwd file;usr dir;usr/bin dir;usr/bin/env file;" "$(catar tree)"
expect "a layer without its root" ". dir;passwd file;" "$(catar no-root)"
expect "the same with --tar-add-root" ". dir;etc dir;etc/passwd file;usr dir;usr/bin dir;usr/bin/env file;" \
  "$(catar no-root --tar-add-root)"
expect "a directory that is not listed" ". dir;" "$(catar unlisted)"
expect "a file after another directory" ". dir;etc dir;usr dir;" "$(catar back)"
