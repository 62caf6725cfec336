#!/bin/bash
# lief 1.0.0 (PyPI): an ELF file for LoongArch has three ABIs at once: soft float, single float and double float.
#
# Guess: it is one, double float, as readelf says of each program of Debian for loong64: the low three bits of the flags
# are a number (1 soft, 2 single, 3 double).
# What happens: lief tests each value as a mask, and 3 contains 1 and 2. RISC-V, whose values (2 single, 4 double) happen to
# be bits, comes out right. Who sorts programs by `has(LOONGARCH_ABI_SOFT_FLOAT)` takes all for soft float.
source "$(dirname "$0")/common/packages.sh"

pypi lief==1.0.0
debian trixie binutils=2.44-3 libbinutils=2.44-3 libctf0=2.44-3 libctf-nobfd0=2.44-3 libsframe1=2.44-3 libjansson4 zlib1g libzstd1 libgprofng0=2.44-3 binutils-x86-64-linux-gnu=2.44-3 libc6 libstdc++6 libgcc-s1
foreign sid loong64 dash
foreign trixie riscv64 dash
flags() { "$work/python/bin/python" -c 'import lief, sys; print(*sorted(flag.name for flag in lief.parse(sys.argv[1]).header.flags_list))' "$1"; }
said() { LC_ALL=C program readelf -h "$1" | sed -n 's/^ *Flags: *//p'; }
loong64=$work/loong64/usr/bin/dash riscv64=$work/riscv64/usr/bin/dash
expect "readelf, loong64" "0x43, DOUBLE-FLOAT, OBJ-v1" "$(said "$loong64")"
expect "lief, loong64" "LOONGARCH_ABI_DOUBLE_FLOAT LOONGARCH_ABI_SINGLE_FLOAT LOONGARCH_ABI_SOFT_FLOAT" "$(flags "$loong64")"
expect "readelf, riscv64" "0x5, RVC, double-float ABI" "$(said "$riscv64")"
expect "lief, riscv64" "RISCV_FLOAT_ABI_DOUBLE RISCV_RVC" "$(flags "$riscv64")"
