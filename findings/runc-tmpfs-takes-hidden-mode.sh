#!/bin/bash
# runc 1.1.5: a tmpfs mount gets the mode of the image's directory that it hides; with crun 1.8.1 it does not.
#
# Guess: without `mode=` in its options, the mount has mode 1777 and belongs to root, tmpfs's own default, with every
# runtime.
# What happens: over a directory with mode 0700 that belongs to user 7, runc gives the mount mode 0700 but root as the
# owner; crun gives 1777. So the runtime decides whether a user may write to a tmpfs over the same image, and with runc
# the user who owned the hidden directory cannot use the mount. Needs root.
source "$(dirname "$0")/common/packages.sh"

debian bookworm crun=1.8.1-1+deb12u1 runc=1.1.5+ds1-1+deb12u1 busybox-static libyajl2 libcap2 libseccomp2 libsystemd0 \
  libgcrypt20 libgpg-error0 liblzma5 libzstd1 liblz4-1
mkdir -p bundle/rootfs/{bin,proc,private}
cp debian/bin/busybox bundle/rootfs/bin/
chmod 700 bundle/rootfs/private
chown 7:7 bundle/rootfs/private
cat >bundle/config.json <<'JSON'
{"ociVersion": "1.0.2", "root": {"path": "rootfs"},
 "process": {"cwd": "/", "args": ["/bin/busybox", "stat", "-c", "%a %u", "/private"]},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/private", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]}],
 "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]}}
JSON
export LD_LIBRARY_PATH=$work/debian/usr/lib/x86_64-linux-gnu:$work/debian/lib/x86_64-linux-gnu
# This crun refuses a machine with both versions of cgroups, so the script hides them.
machine() { unshare --mount --pid --fork --mount-proc sh -c 'mount -t tmpfs tmpfs /sys/fs/cgroup; exec "$@"' sh "$@"; }
expect "runc: mode and owner" "700 0" "$("$work/debian/usr/sbin/runc" --root "$work/runc" run --bundle bundle "findings-$$")"
expect "crun: mode and owner" "1777 0" "$(machine "$work/debian/usr/bin/crun" --cgroup-manager=disabled --root "$work/crun" run --bundle bundle one)"
