#!/bin/bash
# rpm 4.18.0 (Debian 12): cannot open the package database of a SUSE image, whose format is ndb, and exits with 0.
#
# Guess: `--define '_db_backend ndb'` opens or creates such a database. rpm has had ndb and sqlite since 4.16, and its
# own macro file names both.
# What happens: "invalid %_db_backend: ndb", and rpm goes on with a dummy database that holds nothing. Debian builds rpm
# with sqlite alone. So `rpm --root … -qa` on Debian lists no package of a SUSE image, and its exit status is 0.
source "$(dirname "$0")/common/packages.sh"

debian bookworm rpm=4.18.0+dfsg-1+deb12u1 rpm-common librpm9 librpmio9 librpmbuild9 librpmsign9 liblua5.3-0 libpopt0 libsqlite3-0 \
  libzstd1 liblzma5 libbz2-1.0 zlib1g libcap2 libacl1 libgcrypt20 libgpg-error0 libselinux1 libaudit1 libdbus-1-3 libelf1 \
  libmagic1 libcap-ng0 libpcre2-8-0 libgomp1 libxml2 libicu72 libnettle8 liblz4-1 libdw1 libsystemd0
mkdir root
export RPM_CONFIGDIR=$work/debian/usr/lib/rpm
database() { # BACKEND: the exit status of --initdb and -qa, and the files of the database
  rm -rf root && mkdir root
  local made=0 listed=0
  program rpm --root "$work/root" --define "_db_backend $1" --define '_dbpath /db' --initdb 2>made.txt || made=$?
  program rpm --root "$work/root" --define "_db_backend $1" --define '_dbpath /db' -qa >packages.txt 2>listed.txt || listed=$?
  echo "$made $listed $(cd root/db && echo *)"
}
expect "sqlite" "0 0 rpmdb.sqlite rpmdb.sqlite-shm rpmdb.sqlite-wal" "$(database sqlite)"
expect "ndb" "0 0 *" "$(database ndb)"
expect "ndb, listing" "warning: using dummy database, installs not possible" "$(cat listed.txt)"
expect "ndb, creating" "warning: invalid %_db_backend: ndb" "$(head -1 made.txt)"
