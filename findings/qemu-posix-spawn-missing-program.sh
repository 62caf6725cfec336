#!/bin/bash
# qemu-user 7.2.22 and 10.0.13: posix_spawn of a program that does not exist succeeds in an emulated program.
#
# Guess: posix_spawn answers ENOENT, as on a machine of that architecture; builds look for tools in this way.
# What happens: qemu makes vfork a fork. The child learns that the program is missing, but the parent does not share
# its memory, so posix_spawn returns a process id and the child ends with 127. Rust's Command uses posix_spawn: its
# status() is Ok for a missing program, and a build.rs that probes for a tool takes it for present and broken.
source "$(dirname "$0")/common/packages.sh"

debian bookworm qemu-user-static=1:7.2+dfsg-7+deb12u18+b3
mv "$work/debian" "$work/qemu-7.2"
rm -r "$work"/packages-*
debian trixie qemu-user=1:10.0.13+ds-0+deb13u1
foreign bookworm arm64 python3.11-minimal libpython3.11-minimal libc6 libexpat1 zlib1g
cat >spawn.py <<'PY'
import os
import sys

try:
    process = os.posix_spawn("/nowhere/tool", ["tool"], {})
    print("started, status", os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
except FileNotFoundError:
    print("not found")
PY
python=$work/arm64/usr/bin/python3.11
export PYTHONHOME=$work/arm64/usr PYTHONDONTWRITEBYTECODE=1
for qemu in "$work/qemu-7.2/usr/bin/qemu-aarch64-static" "$work/debian/usr/bin/qemu-aarch64"; do
  expect "$(basename "$qemu")" "started, status 127" "$("$qemu" -L "$work/arm64" "$python" -S spawn.py 2>&1 | tail -1)"
done
unset PYTHONHOME
expect "native" "not found" "$(python3 spawn.py)"
