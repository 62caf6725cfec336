"""The versions of programs, as they say themselves."""

import subprocess

_SECONDS = 10


def version(program: str) -> str:
    """The first line that a program prints for --version, shortened."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"--version failed: {type(error).__name__}"
    line = done.stdout.decode(errors="replace").partition("\n")[0].strip()
    words = line.replace(" version", "").split()
    return " ".join(words[:2]) or "version unknown"
