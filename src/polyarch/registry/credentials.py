"""Stored credentials: docker's config.json, containers' auth.json and docker's credential helpers.

The protocol of docker-credential-helpers: `docker-credential-NAME get|store|erase` reads a request from standard input,
JSON or a server's name.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from polyarch.errors import PolyarchError, RegistryError, UsageError

# The key of docker.io in config.json, which is older than version 2 of the API.
DOCKER_KEY = "https://index.docker.io/v1/"
_DOCKER_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
# What a helper answers as the user if the secret is an identity token, and if it has no credentials.
_TOKEN_USER = "<token>"
_NOT_FOUND = "credentials not found in native keychain"
_HELPER_SECONDS = 60


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A user and password, or an identity token (an OAuth2 refresh token), or a registry token (a bearer token)."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return f"Credential(username={self.username!r}, …)"

    __str__ = __repr__


class StoredCredential(msgspec.Struct, frozen=True):
    """Where the credential of a host is: in a file, or with the `helper` (docker-credential-HELPER) that it names."""

    host: str
    file: str
    helper: str = ""


class Credentials:
    """The credentials that a user has stored. Files are read for each call; it keeps nothing open.

    `config_file` is docker's config.json: it is read first, and only it is written. `others` are read after it, such as
    containers' auth.json. `search_path` is a PATH for the helper programs. `scoped` is a directory of files for a part
    of a registry, which come before all others (`scoped.py`).
    """

    def __init__(
        self,
        config_file: Path | None,
        *,
        others: Sequence[Path] = (),
        search_path: str = "",
        scoped: Path | None = None,
    ) -> None:
        self._scoped = scoped
        self._file = config_file
        self._files = (*((config_file,) if config_file else ()), *others)
        self._search_path = search_path

    def get(self, host: str, repository: str = "", actions: Collection[str] = ()) -> Credential | None:
        """The credential for a registry: from the helper that is configured for it, else from the file itself.

        With `repository`, the more specific keys that containers' auth.json may have (host/path) are used, too. Raises
        UsageError for a file that cannot be read, RegistryError for a helper that fails. `actions` are those that a
        token is needed for, empty for none or for several repositories.
        """
        first: tuple[Path, ...] = ()
        if actions and self._scoped is not None and self._scoped.is_dir():
            from polyarch.registry.scoped import choose

            chosen = choose(self._scoped, host, repository, actions)
            first = (chosen,) if chosen is not None else ()
        for file in (*first, *self._files):
            found = self._get(file, host, repository)
            if found is not None:
                return found
        return None

    def places(self) -> tuple["StoredCredential", ...]:
        """Where the credentials of all hosts are that the files name. No helper is asked.

        Raises UsageError for a file that cannot be read.
        """
        found: dict[str, StoredCredential] = {}
        for file in self._files:
            document = _read(file)
            helpers = document.get("credHelpers")
            keys = [*_auths(document, file), *(helpers if isinstance(helpers, dict) else ())]
            for host in map(_host_of, keys):
                found.setdefault(host, StoredCredential(host, str(file), _helper(document, host)))
        return tuple(found.values())

    def store(self, host: str, credential: Credential) -> str:
        """Store a credential where the configuration says; returns the name of that helper or file.

        Raises as `get`, and UsageError if there is no file to write.
        """
        file, document = self._writable()
        helper = _helper(document, host)
        key = server_key(host)
        if helper:
            secret = credential.identity_token or credential.password
            user = _TOKEN_USER if credential.identity_token else credential.username
            request = msgspec.json.encode({"ServerURL": key, "Username": user, "Secret": secret})
            self._call(helper, "store", request)
            # An empty entry, as docker writes it, says that the helper has a credential.
            entry: dict[str, str] = {}
        else:
            import base64  # 0.6 ms, only for those who log in

            pair = f"{credential.username}:{'' if credential.identity_token else credential.password}"
            entry = {"auth": base64.b64encode(pair.encode()).decode()}
            if credential.identity_token:
                entry["identitytoken"] = credential.identity_token
        auths = {name: value for name, value in _auths(document, file).items() if not _is_of(name, host)}
        _write(file, {**document, "auths": {**auths, key: entry}})
        return f"docker-credential-{helper}" if helper else str(file)

    def erase(self, host: str) -> bool:
        """Erase the credential for a host; False if there was none. Raises the errors of `store`."""
        file, document = self._writable()
        helper = _helper(document, host)
        found = False
        if helper and self._ask(helper, host) is not None:
            self._call(helper, "erase", server_key(host).encode())
            found = True
        auths = _auths(document, file)
        kept = {name: value for name, value in auths.items() if not _is_of(name, host)}
        if len(kept) != len(auths):
            found = True
            _write(file, {**document, "auths": kept})
        return found

    def _writable(self) -> tuple[Path, dict[str, Any]]:
        if self._file is None:
            raise UsageError("there is no docker configuration file to keep credentials in", "set DOCKER_CONFIG")
        return self._file, _read(self._file)

    def _get(self, file: Path, host: str, repository: str) -> Credential | None:
        document = _read(file)
        helper = _helper(document, host)
        if helper:
            found = self._ask(helper, host)
            if found is not None:
                return found
        auths = _auths(document, file)
        dockers = file == self._file or file not in self._files
        parts = [part for part in repository.split("/") if part]
        exact = [f"{host}/{'/'.join(parts[:end])}" for end in range(len(parts), 0, -1)]
        for key in (*exact, *_keys(host), *(key for key in auths if _means(key, host, any_path=dockers))):
            entry = auths.get(key)
            if entry:
                return _decode(entry, key)
        return None

    def _ask(self, helper: str, host: str) -> Credential | None:
        answer = self._call(helper, "get", server_key(host).encode())
        if answer is None:
            return None
        try:
            document = msgspec.json.decode(answer, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RegistryError(f"docker-credential-{helper} did not answer with JSON") from error
        user, secret = str(document.get("Username", "")), str(document.get("Secret", ""))
        if not secret:
            return None
        if user == _TOKEN_USER:
            return Credential(identity_token=secret)
        return Credential(username=user, password=secret)

    def _call(self, helper: str, action: str, request: bytes) -> bytes | None:
        """A helper's answer, None if it has no credential. It is searched in `search_path` and runs without a shell."""
        import shutil
        import subprocess

        name = f"docker-credential-{helper}"
        program = shutil.which(name, path=self._search_path) if "/" not in helper else None
        if program is None:
            raise RegistryError(
                f"the credential helper {name} is not installed",
                f"install it, or take {helper!r} out of credsStore or credHelpers in {self._file}",
            )
        try:
            done = subprocess.run(
                [program, action], input=request, capture_output=True, timeout=_HELPER_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            # The text of TimeoutExpired does not contain the input. Still, only the kind of error is shown.
            raise RegistryError(f"{name} {action} failed: {type(error).__name__}") from error
        if done.returncode == 0:
            return done.stdout
        # A failing `get` writes the reason to standard output. `store` may echo the secret, so its output is not shown.
        said = done.stdout.decode(errors="replace").strip() if action != "store" else ""
        if action == "get" and said == _NOT_FOUND:
            return None
        raise RegistryError(f"{name} {action} failed with status {done.returncode}{': ' + said if said else ''}")


def load(
    config_file: Path | None, *, others: Sequence[Path] = (), search_path: str = "", scoped: Path | None = None
) -> Credentials:
    """The credentials of docker's config.json and of `others`. Nothing is read yet."""
    return Credentials(config_file, others=others, search_path=search_path, scoped=scoped)


def server_key(host: str) -> str:
    """The key under which a host's credentials are kept."""
    return DOCKER_KEY if host in _DOCKER_HOSTS else host


def _keys(host: str) -> tuple[str, ...]:
    """All keys under which old and new clients store a host's credentials; the usual one first."""
    if host in _DOCKER_HOSTS:
        return (DOCKER_KEY, "docker.io", "index.docker.io", "https://index.docker.io/v1", "registry-1.docker.io")
    schemes = (f"{scheme}://{host}{end}" for scheme in ("https", "http") for end in ("", "/", "/v1/", "/v2/"))
    return (host, *schemes)


def _is_of(key: str, host: str) -> bool:
    """Whether a key is for the whole host, in any spelling: a login replaces and a logout removes it."""
    return key in _keys(host) or _means(key, host, any_path=False)


def _means(key: str, host: str, *, any_path: bool) -> bool:
    """Whether a key is a URL of the host. docker ignores the path of any key (ConvertToHostname in docker/cli).

    Without a scheme, a path is ignored only with `any_path`: in containers' auth.json it is a part of the registry.
    """
    bare = key.removeprefix("https://").removeprefix("http://")
    return bare.partition("/")[0] == host and (any_path or bare != key)


def _host_of(key: str) -> str:
    """The host of a key of `auths` or `credHelpers`."""
    host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return "docker.io" if host in _DOCKER_HOSTS else host


def _helper(document: dict[str, Any], host: str) -> str:
    helpers = document.get("credHelpers")
    for key in _keys(host):
        if isinstance(helpers, dict) and key in helpers:
            return str(helpers[key])
    return str(document.get("credsStore") or "")


def _read(file: Path) -> dict[str, Any]:
    try:
        raw = file.read_bytes()
        if not raw.strip():
            return {}  # as in docker; and REGISTRY_AUTH_FILE=/dev/null means that there are no credentials
        document = msgspec.json.decode(raw)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "make it readable for this user") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{file} is not valid JSON", "repair it, or move it away and log in again") from error
    if not isinstance(document, dict):
        raise UsageError(f"{file} is not a JSON object", "repair it, or move it away and log in again")
    return document


def _auths(document: dict[str, Any], file: Path) -> dict[str, Any]:
    auths = document.get("auths") or {}
    if isinstance(auths, dict):
        auths = {key: {} if entry is None else entry for key, entry in auths.items()}
    if not isinstance(auths, dict) or not all(isinstance(entry, dict) for entry in auths.values()):
        raise UsageError(
            f"'auths' in {file} is not an object of objects", "repair it, or move it away and log in again"
        )
    return auths


def _decode(entry: dict[str, Any], key: str) -> Credential | None:
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        import base64  # with binascii, 0.6 ms, which those without a stored password need not pay
        import binascii

        try:
            # Go's decoder skips line breaks, which the program base64 inserts.
            unbroken = str(entry["auth"]).replace("\r", "").replace("\n", "")
            text = base64.b64decode(unbroken, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise UsageError(f"the stored credentials for {key} cannot be decoded", "log in again") from error
        user, _, password = text.partition(":")
        # In docker's own files some passwords end with NULs.
        password = password.rstrip("\0")
    credential = Credential(
        username=user,
        password=password,
        identity_token=str(entry.get("identitytoken") or ""),
        registry_token=str(entry.get("registrytoken") or ""),
    )
    return credential if credential != Credential() else None


def _write(file: Path, document: dict[str, Any]) -> None:
    """Replace the file atomically. From its creation on, only the owner can read the new one."""
    import os
    import tempfile

    target = file.resolve()  # a config.json that is a symlink stays one
    raw = msgspec.json.format(msgspec.json.encode(document), indent=8) + b"\n"
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".config.json-", dir=target.parent)  # mkstemp makes it 0600
        try:
            with os.fdopen(descriptor, "wb") as output:
                output.write(raw)
                output.flush()
                os.fsync(output.fileno())
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise PolyarchError(f"{file} cannot be written: {error.strerror}") from error
