"""What a random RUN does: small commands over the same few paths. {p} and {q} are paths."""

from tests.builds.fuzz.draws import TARGETS, Draws

_COMMANDS = {
    "": (
        "echo {t} > {p}",
        "echo {t} >> {p}",
        "printf {t} > {p}",
        "cp {p} {q}",
        "cat {p} > {q}",
        "true > {p}",
        "echo {t} | tee {p} {q} > /dev/null",
        "mkdir -p {p}",
        "mkdir {p}",
        "mkdir -p {p}; echo n > {p}/n",
        "touch {p}",
        "mkdir -p {p}/n/m",
        "mkdir -m 700 {p}",
        "touch {p}/x",
    ),
    "delete": (
        "rm -rf {p}",
        "rm -f {p}",
        "rmdir {p}",
        "rm -rf {p}; mkdir -p {p}",
        "rm -rf {p}; mkdir -p {p}; echo again > {p}/x",
        "rm -rf {p}; echo file > {p}",
        "rm -rf {p}/*",
        "rm -rf {p}; ln -s {l} {p}",
        "rm -rf {p}; cp -a {q} {p}",
        "find {p} -type f -exec rm -f '{{}}' +",
    ),
    "links": (
        "ln -s {l} {p}",
        "ln -sf {l} {p}",
        "ln {p} {q}",
        "ln -f {p} {q}",
        "ln -sn {l} {p}",
        "ln -sfn {l} {p}",
    ),
    "modes": (
        "chmod {m} {p}",
        "chown {o} {p}",
        "chmod -R {m} {p}",
        "chown -R {o} {p}",
        "chown -h {o} {p}",
        "chgrp 9 {p}",
        "chmod u+s {p}",
        "umask 077; echo u > {p}",
        "touch -d @1000001000 {p}",
    ),
    "move": (
        "mv {p} {q}",
        "mv -f {p} {q}",
        "cp -a {p} {q}",
        "cp -r {p} {q}",
        "mv {p} {p}.old; mv {p}.old {p}",
        "cp -a {p}/. {q}",
    ),
    "special": (
        "mkfifo {p}.pipe",
        "mkdir -p /tmp/t; echo t > /tmp/t/f",
        "mkdir -p /run/r; touch /run/r/f",
        "dd if=/dev/zero of={p} bs=1k count=3 2>/dev/null",
        "touch '{p} s'",
        "echo h > {p}/.hidden",
        "truncate -s 100 {p}",
        "touch /etc/hosts",
        "echo 1 > /dev/shm/x",
        "touch /etc/new",
    ),
    "users": (
        "echo {u}:x:{n}:{n}::/w:/bin/sh >> /etc/passwd; echo {u}:x:{n}: >> /etc/group",
        "echo {u}:x:{n}:8::/home/{u}:/bin/sh >> /etc/passwd",
        "echo {u}:x:{n}:8::/home/{u}:/bin/sh >> /etc/passwd; echo {u}:x:9: >> /etc/group",
        "echo {u}:x:77: >> /etc/group",
        "sed -i s/{u}:x:{n}/{u}:x:55/ /etc/passwd",
        "echo {u}:x:{n}:{n}::/w:/bin/sh >> /etc/passwd; mv /etc/passwd /w/p; ln -s /w/p /etc/passwd",
        "rm -f /etc/group",
    ),
    "ask": (
        "id -u > {p}",
        "pwd > {p}",
        "echo $A > {p}",
        'echo \\"$A $B\\" > {p}',
        "id > {p}",
        "echo $HOME > {p}",
        "umask > {p}",
        "stat -c '%a %u:%g' {q} > {p}",
        "env | grep -v HOSTNAME | sort > {p}",
        "ls -a {q} > {p}",
        "echo $0 $# > {p}",
    ),
}
_USERS = {"app": "1001", "web": "1002"}


def command(draws: Draws) -> str:
    """One command, which may fail."""
    kinds = [(4.0, ""), *((2.0, name) for name in ("delete", "links", "modes", "move", "special", "users"))]
    known = [(weight, name) for weight, name in kinds if not name or name in draws.features]
    if draws.features & {"variables", "user", "workdir"}:
        known.append((1.5, "ask"))
    kind = draws.weighted(known)
    user = draws.one(list(_USERS))
    if kind == "users" and user not in draws.users:
        draws.users.append(user)
    return draws.one(_COMMANDS[kind]).format(
        t=draws.one(("1", "two", "333")),
        p=draws.path(),
        q=draws.path(),
        l=draws.one(TARGETS),
        m=draws.one(("600", "644", "755", "700", "4755", "2755", "1777", "go=")),
        o=draws.one(("7:8", "nobody", "0:0", "1000")),
        u=user,
        n=_USERS[user],
    )


def mount(draws: Draws) -> tuple[str, tuple[str, ...]]:
    """A --mount, and the commands that make something of it."""
    target = draws.one(("/m", "/w/m", "m", "/n/m") if draws.careful else ("/m", "/d", "/w/m", "m", "/l"))
    copy = f"cp -a {target}/. {draws.path()}"
    kinds = [(0.25, "tmpfs"), (0.2, "cache"), (0.35, "context"), *([(0.4, "stage")] if draws.stages else [])]
    match draws.weighted(kinds):
        case "tmpfs":
            return f"--mount=type=tmpfs,target={target}", (f"echo t > {target}/t", copy)
        case "cache":
            # What is in it depends on what was built before, and so nothing is taken from it.
            return f"--mount=type=cache,target={target}", (f"echo t > {target}/t",)
        case "stage":
            source = draws.one(("/", "/d", "/w", "/etc"))
            if source == "/":
                copy = f"cp {target}/etc/passwd {draws.path()}"
            return f"--mount=type=bind,from={draws.stage()},source={source},target={target}", (copy,)
    return f"--mount=type=bind,source={draws.one(('.', 'd', 'a', 'd/e'))},target={target}", (copy,)
