"""Run a command in the image for another platform, and capture its output."""

from polyarch import Polyarch

APP = "registry.example.org/team/app:1"

with Polyarch() as client:
    done = client.images.run(APP, "uname", "-m", platform="linux/arm64", capture_output=True)
    if done.returncode == 0 and done.stdout is not None:
        print(done.stdout.decode().strip())
