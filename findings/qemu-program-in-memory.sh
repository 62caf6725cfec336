#!/bin/bash
# qemu-user 11.1.3 for ppc64le: writes a line to standard output before a program that is executed from memory.
#
# Guess: what an emulator has to say goes to standard error, as "qemu: uncaught target signal" does, so the output of an
# emulated program is the program's own.
# What happens: for a program in a memfd, as runc and snap execute themselves, standard output begins with "Could not
# resolve /proc/self/fd/…". qemu for arm64 of the same version does not, nor does 7.2. Who parses the output of such a
# program, or compares its digest, gets another one.
source "$(dirname "$0")/common/packages.sh"

debian sid qemu-user=1:11.1.3+ds-1
for architecture in arm64 ppc64el; do foreign bookworm $architecture busybox-static; done
cat >memory.py <<'PYTHON'
import os, subprocess, sys
emulator, program = sys.argv[1:]
file = os.memfd_create("program", 0)
os.write(file, open(program, "rb").read())
words = [emulator, "-0", "echo", f"/proc/self/fd/{file}", "own output"]
done = subprocess.run(words, pass_fds=[file], stdout=subprocess.PIPE, check=True)
print("/".join(done.stdout.decode().replace(str(file), "N").splitlines()))
PYTHON
seen() { python3 memory.py "$work/debian/usr/bin/qemu-$1" "$work/$2/bin/busybox"; }
expect "arm64" "own output" "$(seen aarch64 arm64)"
expect "ppc64le" "Could not resolve /proc/self/fd/N/own output" "$(seen ppc64le ppc64el)"
