"""Credentials for S3, from the places that Amazon's SDK looks in: the options, the environment, ~/.aws.

The SDK also asks servers (single sign-on, roles, the metadata service of a virtual machine). A profile of that kind is
named in the error, together with the command that prints its keys.
"""

from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path

from polyarch.buildcache.s3_signature import S3Credentials
from polyarch.errors import UsageError

_HINT = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or access_key_id= and "
    "secret_access_key=; `aws configure export-credentials --format env` prints those of a profile"
)
# What a profile has in place of keys, and what the SDK does then.
_ELSEWHERE = ("role_arn", "sso_session", "sso_start_url", "credential_process", "web_identity_token_file")


def find(attributes: Mapping[str, str], variables: Mapping[str, str]) -> S3Credentials:
    """The credentials of a cache. Raises UsageError if there are none.

    As in buildx, a session token of the environment does not belong to keys that the options give.
    """
    key, secret = attributes.get("access_key_id", ""), attributes.get("secret_access_key", "")
    token = attributes.get("session_token", "")
    if key and secret:
        return S3Credentials(key, secret, token)
    found = _of_environment(variables) or _of_files(variables)
    if found is None:
        raise UsageError("there are no credentials for S3", _HINT)
    return S3Credentials(key or found.key, secret or found.secret, token or found.token)


def _of_environment(variables: Mapping[str, str]) -> S3Credentials | None:
    key = variables.get("AWS_ACCESS_KEY_ID") or variables.get("AWS_ACCESS_KEY") or ""
    secret = variables.get("AWS_SECRET_ACCESS_KEY") or variables.get("AWS_SECRET_KEY") or ""
    return S3Credentials(key, secret, variables.get("AWS_SESSION_TOKEN", "")) if key and secret else None


def _of_files(variables: Mapping[str, str]) -> S3Credentials | None:
    """The keys of the profile in ~/.aws/credentials, or else in ~/.aws/config. Raises UsageError."""
    directory = Path(variables.get("HOME") or "/") / ".aws"
    chosen = variables.get("AWS_PROFILE") or variables.get("AWS_DEFAULT_PROFILE") or ""
    profile = chosen or "default"
    credentials = Path(variables.get("AWS_SHARED_CREDENTIALS_FILE") or directory / "credentials")
    config = Path(variables.get("AWS_CONFIG_FILE") or directory / "config")
    sections = [(credentials, profile), (config, profile if profile == "default" else f"profile {profile}")]
    elsewhere = ""
    known = False
    for file, section in sections:
        values = _section(file, section)
        known = known or values is not None
        values = values or {}
        if values.get("aws_access_key_id") and values.get("aws_secret_access_key"):
            return S3Credentials(
                values["aws_access_key_id"], values["aws_secret_access_key"], values.get("aws_session_token", "")
            )
        elsewhere = elsewhere or next((name for name in _ELSEWHERE if values.get(name)), "")
    if elsewhere:
        raise UsageError(
            f"the profile {profile!r} of AWS has no keys of its own: it takes them from {elsewhere}, "
            "which is not supported",
            _HINT,
        )
    if chosen and not known:
        raise UsageError(f"AWS_PROFILE is {chosen!r}, and neither {credentials} nor {config} has such a profile", _HINT)
    return None


def _section(file: Path, name: str) -> Mapping[str, str] | None:
    """A section of an INI file; None if there is no such file or section. Raises UsageError."""
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    parser = ConfigParser(interpolation=None, strict=False, default_section="\0", comment_prefixes=("#", ";"))
    try:
        parser.read_string(text)
    except ConfigError:
        # The error of the parser repeats the line, which may have a secret.
        raise UsageError(f"{file} is malformed", "it has sections such as [default], and NAME = VALUE lines") from None
    return dict(parser[name]) if parser.has_section(name) else None
