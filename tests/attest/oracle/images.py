"""Small images that are the same everywhere: excerpts of real ones, and what the test makes."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from polyarch.layers.entry import Item
from tests.attest import making
from tests.images.layered import directory, file, program

_EXCERPTS = Path(__file__).parent / "excerpts"
_DEBIAN = file("etc/os-release", 'ID=debian\nVERSION_ID="12"\n')

_ALPINE = """P:{name}
V:{version}
A:x86_64
S:1
I:1
T:{name}
U:https://example.org/{name}
L:{license}
o:{origin}
m:Natanael Copa <ncopa@alpinelinux.org>
t:1700000000
c:0123456789abcdef0123456789abcdef01234567
p:so:lib{name}.so.1
F:usr
F:usr/lib
R:lib{name}.so.1
a:0:0:755
Z:Q1p78yvTLG094tHE1+dToJGbmYzQE=

"""
_GO = """path\tgithub.com/acme/app/cmd/app
mod\tgithub.com/acme/app\t(devel)\t
dep\tgithub.com/BurntSushi/toml\tv1.4.0\th1:aaa=
dep\tgithub.com/Masterminds/semver/v3\tv3.3.0\th1:bbb=
dep\tgithub.com/old/name\tv1.0.0
=>\tgithub.com/new/name\tv1.1.0\th1:ccc=
dep\tk8s.io/api\tv0.30.1+incompatible\th1:ddd=
build\t-compiler=gc
build\tGOARCH=amd64
"""
_GEM = """Gem::Specification.new do |s|
  s.name = "{name}".freeze
  s.version = "{version}"
  s.licenses = ["MIT".freeze]
end
"""


def _excerpt(name: str) -> list[Item]:
    """The files of an excerpt: each begins with a line `=== PATH`."""
    parts = re.split(r"^=== (.+)\n", (_EXCERPTS / f"{name}.txt").read_text(), flags=re.MULTILINE)
    return [file(path, content) for path, content in zip(parts[1::2], parts[2::2], strict=True)]


def _debian() -> Sequence[Sequence[Item]]:
    """Every package of a Debian 12 with apt."""
    return [[_DEBIAN, *_excerpt("debian")]]


def _distroless() -> Sequence[Sequence[Item]]:
    texts = {
        "base": "Package: base-files\nVersion: 12.4+deb12u5\nArchitecture: amd64\nMaintainer: S <s@debian.org>\n",
        "libssl3": "Package: libssl3\nSource: openssl\nVersion: 3.0.11-1~deb12u2\nArchitecture: amd64\n",
    }
    # syft finds nothing in a directory that has no entry.
    above = [directory(path) for path in ("var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/status.d")]
    return [[_DEBIAN, *above, *(file(f"var/lib/dpkg/status.d/{name}", f"{text}\n") for name, text in texts.items())]]


def _alpine() -> Sequence[Sequence[Item]]:
    packages = [
        ("musl", "1.2.5-r0", "musl", "MIT"),
        ("libstdc++", "13.2.1_git20240309-r0", "gcc", "GPL-2.0-or-later AND LGPL-2.1-or-later"),
        ("ca-certificates-bundle", "20240226-r0", "ca-certificates", "MPL-2.0 AND MIT"),
        ("python3", "3.12.3-r1", "python3", "PSF-2.0"),
        ("busybox", "1.36.1-r29", "busybox", "GPL-2.0-only"),
    ]
    text = "".join(
        _ALPINE.format(name=name, version=version, origin=of, license=by) for name, version, of, by in packages
    )
    os_release = file("etc/os-release", "ID=alpine\nVERSION_ID=3.20.1\n")
    return [[os_release, file("lib/apk/db/installed", text)]]


def _removed() -> Sequence[Sequence[Item]]:
    """Later layers replace a database, remove a package and hide a directory."""
    status = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}\n\n"
    gone = "Name: gone\nVersion: 1.0\n"
    return [
        [
            _DEBIAN,
            file("var/lib/dpkg/status", status.format("bash", "5.1") + status.format("curl", "7")),
            file("usr/lib/python3/dist-packages/gone-1.0.dist-info/METADATA", gone),
            file("app/node_modules/hidden/package.json", '{"name": "hidden", "version": "1.0.0"}'),
        ],
        [
            file("var/lib/dpkg/status", status.format("bash", "5.2")),
            file("usr/lib/python3/dist-packages/.wh.gone-1.0.dist-info"),
            directory("app"),
            file("app/.wh..wh..opq"),
        ],
    ]


def _golang() -> Sequence[Sequence[Item]]:
    plain = making.elf(go_buildinfo=making.go_info("go1.22.1", _GO))
    old = making.elf(data=making.old_go_info("go1.17.13", "path\tcmd/old\nmod\texample.org/old\tv0.1.0\th1:x=\n"))
    return [[program("usr/bin/app", plain), program("usr/bin/old", old)]]


def _rust() -> Sequence[Sequence[Item]]:
    crates = making.crates(
        {"name": "app", "version": "0.1.0", "source": "local", "kind": "runtime", "dependencies": [1], "root": True},
        {"name": "serde_json", "version": "1.0.117", "source": "crates.io", "kind": "runtime"},
        {"name": "cc", "version": "1.0.98", "source": "crates.io", "kind": "build"},
    )
    return [[program("usr/bin/app", making.elf(**{"dep-v0": crates}))]]


def _java() -> Sequence[Sequence[Item]]:
    empty = {"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\r\n"}
    library = making.jar(empty | making.pom("org.slf4j", "slf4j-api", "2.0.13"))
    shaded = making.jar(empty | making.pom("org.acme", "app", "3.1") | making.pom("io.netty", "netty", "4.1.110.Final"))
    osgi = making.jar(
        {
            "META-INF/MANIFEST.MF": "Manifest-Version: 1.0\r\nBundle-SymbolicName: org.apache.commons.lang3\r\n"
            "Bundle-Version: 3.14.0\r\nImplementation-Vendor-Id: org.apache\r\n"
        }
    )
    fat = making.jar(empty | {"BOOT-INF/lib/slf4j-api-2.0.13.jar": library, "BOOT-INF/lib/commons-lang3.jar": osgi})
    return [
        [
            file("opt/app-3.1.jar", shaded),
            file("opt/service-1.0.0-SNAPSHOT.jar", fat),
            file("opt/web.war", making.jar(empty | {"WEB-INF/lib/slf4j-api-2.0.13.jar": library})),
            file("usr/share/java/jsr305.jar", making.jar(empty)),
            file("usr/share/java/not-a.jar", "text"),
        ]
    ]


def _ruby() -> Sequence[Sequence[Item]]:
    gems = [("rack", "2.2.8"), ("nokogiri", "1.16.5"), ("json", "2.6.1")]
    places = ("var/lib/gems/3.1.0/specifications", "usr/lib/ruby/gems/3.1.0/specifications/default")
    return [
        [
            file(f"{place}/{name}-{version}.gemspec", _GEM.format(name=name, version=version))
            for (name, version), place in zip(gems, (*places, places[0]), strict=True)
        ]
    ]


def _rpm(made: Callable[[Sequence[bytes]], bytes], path: str) -> Callable[[], Sequence[Sequence[Item]]]:
    def layers() -> Sequence[Sequence[Item]]:
        common: dict[str, str | int] = {"vendor": "Fedora Project", "arch": "x86_64", "license": "MIT"}
        headers = [
            making.rpm_header(
                name="bash", version="5.2.26", release="3.fc40", sourcerpm="bash-5.2.26-3.fc40.src.rpm", **common
            ),
            making.rpm_header(name="shadow-utils", version="4.15.1", release="3.fc40", epoch=2, **common),
            making.rpm_header(name="gpg-pubkey", version="a15b79cc", release="63d04c2c", vendor="", license="pubkey"),
        ]
        return [[file("etc/os-release", "ID=fedora\nVERSION_ID=40\n"), file(path, made(headers))]]

    return layers


def _mariner() -> Sequence[Sequence[Item]]:
    lines = "bash\t5.1.8-4.cm2\t1668000000\t1667000000\tMicrosoft\t(none)\t9\tx86_64\t0\tbash-5.1.8-4.cm2.src.rpm\n"
    system = file("etc/os-release", 'ID=mariner\nVERSION_ID="2.0"\n')
    above = [directory(path) for path in ("var", "var/lib", "var/lib/rpmmanifest")]
    return [[system, *above, file("var/lib/rpmmanifest/container-manifest-2", lines)]]


IMAGES: dict[str, Callable[[], Sequence[Sequence[Item]]]] = {
    "debian": _debian,
    "distroless": _distroless,
    "alpine": _alpine,
    "python": lambda: [_excerpt("python")],
    "node": lambda: [_excerpt("node")],
    "removed": _removed,
    "golang": _golang,
    "rust": _rust,
    "java": _java,
    "ruby": _ruby,
    "rpm-sqlite": _rpm(making.sqlite_database, "var/lib/rpm/rpmdb.sqlite"),
    "rpm-ndb": _rpm(making.ndb_database, "usr/lib/sysimage/rpm/Packages.db"),
    "rpm-list": _mariner,
    "rpm-hash": _rpm(making.hash_database, "var/lib/rpm/Packages"),
}
