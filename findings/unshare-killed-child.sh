#!/bin/bash
# util-linux 2.38.1, unshare --fork: if SIGKILL ends its command, unshare prints an error of its own and exits with 1.
#
# Guess: unshare ends by the same signal, or exits with 128 + 9, as it exits with 143 after SIGTERM, and as shells do.
# What happens: "unshare: sigprocmask unblock failed: Invalid argument" on standard error, exit status 1. unshare sends
# itself the signal that ended its child, and first resets the handler of that signal; SIGKILL has none. A program that
# kills a step on purpose sees an error although nothing is wrong.
source "$(dirname "$0")/common/packages.sh"

debian bookworm util-linux=2.38.1-5+deb12u3
unshare=$work/debian/usr/bin/unshare
"$unshare" --fork sh -c 'kill -KILL $$' 2>said && status=0 || status=$?
expect "by SIGKILL: exit status" 1 "$status"
expect "by SIGKILL: standard error" "unshare: sigprocmask unblock failed: Invalid argument" "$(sed 's,^.*/unshare:,unshare:,' said)"
"$unshare" --fork sh -c 'kill -TERM $$' 2>said && status=0 || status=$?
expect "by SIGTERM: exit status" 143 "$status"
