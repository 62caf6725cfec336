"""`version`, `info` and `buildx version`, with docker's fields."""

import os
import platform as machine
import sys
from typing import Any

import click

from polyarch.cli import options
from polyarch.cli.docker import versions
from polyarch.cli.formats import show_document
from polyarch.cli.session import Session, pass_session
from polyarch.errors import PolyarchError
from polyarch.version import VERSION

_BUILD = f"polyarch-{VERSION}"


@click.command("version")
@options.format_
@click.option("--builder", hidden=True, expose_value=False)
@pass_session
def version(session: Session, form: str | None) -> None:
    """Show the version of docker whose commands these are. There is no server: Polyarch does its work itself."""
    host = session.host()
    shared = {
        "Version": versions.DOCKER,
        "ApiVersion": versions.API,
        "GitCommit": _BUILD,
        "GoVersion": f"python{machine.python_version()}",
        "Os": host.os,
        "Arch": host.architecture,
        "BuildTime": "",
    }
    document = {
        "Client": {**shared, "DefaultAPIVersion": versions.API, "Context": "default"},
        "Server": {
            "Platform": {"Name": f"Polyarch {VERSION}"},
            **shared,
            "MinAPIVersion": "1.24",
            "KernelVersion": os.uname().release,
            "Experimental": False,
        },
    }
    if form:
        show_document(form, [document], always_list=False)
        return
    lines = ["Client:"]
    for title in ("Client", "Server"):
        lines += ["", f"Server: Polyarch {VERSION}", " Engine:"] if title == "Server" else []
        margin = "  " if title == "Server" else " "
        for label, value in (
            ("Version:", versions.DOCKER),
            ("API version:", versions.API),
            ("Python version:", machine.python_version()),
            ("Git commit:", _BUILD),
            ("OS/Arch:", f"{host.os}/{host.architecture}"),
        ):
            lines.append(f"{margin}{label:18} {value}")
    click.echo("\n".join(lines))


@click.command("info")
@options.format_
@pass_session
def info(session: Session, form: str | None) -> None:
    """Show the machine and the store, with docker's fields."""
    document = _info(session)
    if form:
        show_document(form, [document], always_list=False)
        return
    client = document["ClientInfo"]
    lines = ["Client:", f" Version:    {client['Version']}", f" Context:    {client['Context']}"]
    lines += [" Debug Mode: false", "", "Server:"]
    for label, name in (
        ("Containers", "Containers"),
        ("Images", "Images"),
        ("Server Version", "ServerVersion"),
        ("Storage Driver", "Driver"),
        ("Logging Driver", "LoggingDriver"),
        ("Cgroup Driver", "CgroupDriver"),
        ("Cgroup Version", "CgroupVersion"),
        ("Default Runtime", "DefaultRuntime"),
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
        ("CPUs", "NCPU"),
        ("Total Memory", "MemTotal"),
        ("Name", "Name"),
        ("Docker Root Dir", "DockerRootDir"),
    ):
        lines.append(f" {label}: {document[name]}")
    click.echo("\n".join(lines))


def _info(session: Session) -> dict[str, Any]:
    system = os.uname()
    runtimes = _runtimes(session)
    return {
        "ID": "polyarch",
        "Containers": 0,
        "ContainersRunning": 0,
        "ContainersPaused": 0,
        "ContainersStopped": 0,
        "Images": len({one.digest for one in session.store.tagged().values()}),
        # Programs ask this to know whether an image keeps all of its platforms, which it does here.
        "Driver": "overlayfs",
        "LoggingDriver": "none",
        "CgroupDriver": "none",
        "CgroupVersion": "2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "1",
        "Plugins": {"Volume": [], "Network": [], "Authorization": [], "Log": []},
        "Runtimes": runtimes,
        "DefaultRuntime": next(iter(runtimes), ""),
        "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": ""},
        "LiveRestoreEnabled": False,
        "Isolation": "",
        "Debug": session.debug,
        "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
        "DockerRootDir": str(session.root),
        "KernelVersion": system.release,
        "OperatingSystem": _system_name(),
        "OSType": "linux",
        "Architecture": system.machine,
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "Name": system.nodename,
        "Labels": [],
        "ServerVersion": versions.DOCKER,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "SecurityOptions": ["name=rootless"] if os.geteuid() else [],
        "Warnings": [],
        "ExperimentalBuild": False,
        "ClientInfo": {
            "Debug": session.debug,
            "Version": versions.DOCKER,
            "GitCommit": _BUILD,
            "Os": "linux",
            "Arch": session.host().architecture,
            "Context": "default",
            "Plugins": [{"Name": "buildx", "Vendor": "Polyarch", "Version": versions.BUILDX}],
            "Warnings": None,
        },
    }


def _runtimes(session: Session) -> dict[str, dict[str, str]]:
    """The OCI runtime that containers run in, by its name; none if there is none."""
    from polyarch.sandbox import runtime

    try:
        found = runtime.find(session.environment.search_path)
    except PolyarchError:
        return {}
    return {found.kind: {"path": found.path}}


def _system_name() -> str:
    try:
        return machine.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


@click.command("version")
@click.option("--builder", hidden=True, expose_value=False)
def buildx_version() -> None:
    """Show the version of buildx whose commands these are, and that of Polyarch."""
    click.echo(f"github.com/docker/buildx {versions.BUILDX} {_BUILD}")


@click.command("install")
def install() -> None:
    """Make `docker build` mean `docker buildx build`, which it does already."""
    print("docker build is docker buildx build already", file=sys.stderr)


@click.command("version")
@click.option("--short", is_flag=True, help="Print the number only")
@click.option("-f", "--format", "form", type=click.Choice(["pretty", "json"]), default="pretty", help="Output format")
def compose_version(short: bool, form: str) -> None:
    """Show the version of docker compose whose commands these are."""
    if short:
        click.echo(versions.COMPOSE.removeprefix("v"))
    elif form == "json":
        click.echo(f'{{"version":"{versions.COMPOSE}"}}')
    else:
        click.echo(f"Docker Compose version {versions.COMPOSE}")
