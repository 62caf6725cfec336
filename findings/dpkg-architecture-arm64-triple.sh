#!/bin/bash
# dpkg-architecture 1.21.23 and 1.22.22: the GNU triplet arm64-linux-gnu is Debian's `arm`, a 32-bit port that has ended.
#
# Guess: it is arm64, as amd64-linux-gnu is amd64, or an error, as for loong64-linux-gnu and ppc64el-linux-gnu, which are
# not names that GNU has either.
# What happens: `arm.*` is a pattern in dpkg's table of processors, so arm64 is a kind of arm. There is a warning, which
# -q does not suppress, but the exit status is 0 and the answer is usable: 32 bits, little-endian. clang, LLVM, Apple and Go
# call the processor arm64, so scripts that build a triplet from docker's TARGETARCH come upon it.
source "$(dirname "$0")/common/packages.sh"

ask() { # ROOT TRIPLET
  local root=$1
  DPKG_DATADIR=$root/usr/share/dpkg PERL5LIB=$root/usr/share/perl5 "$root/usr/bin/dpkg-architecture" -t "$2" -qDEB_HOST_ARCH 2>/dev/null || echo error
}
for row in "bookworm 1.21.23" "trixie 1.22.22"; do
  read -r suite version <<<"$row"
  debian "$suite" "dpkg-dev=$version" "libdpkg-perl=$version" "dpkg=$version"
  mv "$work/debian" "$work/$suite"
  rm -r "$work"/packages-*
  for wanted in "aarch64-linux-gnu arm64" "arm64-linux-gnu arm" "amd64-linux-gnu amd64" "loong64-linux-gnu error" "ppc64el-linux-gnu error"; do
    expect "$suite, ${wanted% *}" "${wanted#* }" "$(ask "$work/$suite" "${wanted% *}")"
  done
  expect "$suite, bits of arm64-linux-gnu" 32 "$(DPKG_DATADIR=$work/$suite/usr/share/dpkg PERL5LIB=$work/$suite/usr/share/perl5 \
    "$work/$suite/usr/bin/dpkg-architecture" -t arm64-linux-gnu -qDEB_HOST_ARCH_BITS 2>/dev/null)"
done
