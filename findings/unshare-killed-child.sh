#!/bin/bash
# util-linux 2.38.1, unshare --fork: where its command is killed by SIGKILL, it complains of itself and exits with 1.
#
# Guess: it ends by the same signal, or with 128 + 9, as it does by SIGTERM's number for SIGTERM, and as shells do.
# What happens: "unshare: sigprocmask unblock failed: Invalid argument" on standard error, exit status 1. It sends
# itself the signal that ended its child, and resets that signal's handler first, which SIGKILL has none of. Whoever
# kills a step on purpose sees an error that nothing is wrong with.
source "$(dirname "$0")/common/packages.sh"

debian bookworm util-linux=2.38.1-5+deb12u3
unshare=$work/debian/usr/bin/unshare
"$unshare" --fork sh -c 'kill -KILL $$' 2>said && status=0 || status=$?
expect "by SIGKILL: exit status" 1 "$status"
expect "by SIGKILL: standard error" "unshare: sigprocmask unblock failed: Invalid argument" "$(sed 's,^.*/unshare:,unshare:,' said)"
"$unshare" --fork sh -c 'kill -TERM $$' 2>said && status=0 || status=$?
expect "by SIGTERM: exit status" 143 "$status"
