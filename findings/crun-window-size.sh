#!/bin/bash
# crun 1.8.1: the terminal of a container does not follow the size of the terminal that crun runs in.
#
# Guess: without a console socket, crun copies between both terminals and handles SIGWINCH with TIOCSWINSZ, as runc
# does.
# What happens: the container's terminal keeps the size of `consoleSize` in config.json. Without `consoleSize` it has 0
# rows and 0 columns, and programs that draw assume some other size. runc 1.1.5 copies the size at the start and follows
# it. Needs root and user namespaces.
source "$(dirname "$0")/common/packages.sh"

debian bookworm crun=1.8.1-1+deb12u1 runc=1.1.5+ds1-1+deb12u1 busybox-static libyajl2 libcap2 libseccomp2 libsystemd0 libgcrypt20 libgpg-error0 liblzma5 libzstd1 liblz4-1
cat >run.py <<'PY'
import fcntl, json, os, pathlib, pty, shutil, signal, struct, subprocess, sys, termios, time

work = pathlib.Path.cwd()
root = work / "bundle/rootfs"
shutil.rmtree(root, ignore_errors=True)
(root / "bin").mkdir(parents=True)
shutil.copy(next((work / "debian").glob("**/bin/busybox")), root / "bin/sh")
config = {
    "ociVersion": "1.0.2",
    "process": {"terminal": True, "consoleSize": {"height": 24, "width": 80}, "cwd": "/", "env": ["PATH=/bin"], "args": ["/bin/sh", "-c", "read _; /bin/busybox stty size; read _; /bin/busybox stty size"]},
    "root": {"path": "rootfs"},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}, {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]}],
    "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}], "cgroupsPath": f"/findings-{os.getpid()}"},
}
shutil.copy(root / "bin/sh", root / "bin/busybox")
(work / "bundle/config.json").write_text(json.dumps(config))
controller, terminal = pty.openpty()
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
command = [*sys.argv[1:], "run", "--bundle", str(work / "bundle"), f"findings-{os.getpid()}"]


def own() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, preexec_fn=own)
os.close(terminal)
time.sleep(1.5)
os.write(controller, b"\n")
time.sleep(1)
fcntl.ioctl(controller, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
process.send_signal(signal.SIGWINCH)
time.sleep(1)
os.write(controller, b"\n")
said = b""
try:
    while chunk := os.read(controller, 1000):
        said += chunk
except OSError:
    pass
process.wait()
print("; ".join(line.strip() for line in said.decode().splitlines() if line.strip()))
PY
export LD_LIBRARY_PATH=$work/debian/usr/lib/x86_64-linux-gnu:$work/debian/lib/x86_64-linux-gnu
# This crun refuses a machine with both versions of cgroups, so the script hides them.
machine() { unshare --mount --pid --fork --mount-proc sh -c 'mount -t tmpfs tmpfs /sys/fs/cgroup; exec "$@"' sh "$@"; }
expect "runc, in a terminal of 40 by 120, then 50 by 132" "40 120; 50 132" "$(python3 run.py "$work/debian/usr/sbin/runc" --root "$work/runc")"
expect "crun, the same" "24 80; 24 80" "$(machine python3 run.py "$work/debian/usr/bin/crun" --cgroup-manager=disabled --root "$work/crun")"
