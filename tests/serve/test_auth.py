"""Who may do what: rights and patterns, htpasswd, tokens, bearer tokens."""

import asyncio
import base64
import os
import time
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import UsageError
from polyarch.serve import access
from polyarch.serve.access import EVERYTHING, NOTHING, AccessRefusal, AccessRule, ClientRights
from polyarch.serve.authentication import basic, htpasswd, tokenfile
from polyarch.serve.authentication.bearer import Grant, Seal
from polyarch.serve.authentication.htpasswd import HtpasswdAccess
from polyarch.serve.authentication.token import IssuedToken, TokenAccess
from tests.serve import logins
from tests.serve.logins import credentials, hashed, users

SECRET = "0123456789abcdef0123"
NOW = 1_800_000_000.0
# Of the password "x". It is in the names of tests, so it is not made anew.
HASHED = "$2b$04$.13urDT5eKbFrt8D4PCJoODGGoUbhvkP.uqTQVPj3DqoRVbzHihxu"


# ClientRights


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("team/app", ["team/app"], ["team/app2", "team", "team/app/x", "xteam/app"]),
        ("team/*", ["team/app", "team/a.b-c"], ["team", "team/app/x", "teams/app"]),
        ("team/**", ["team/app", "team/app/x"], ["team", "teamx/app"]),
        ("**", ["a", "a/b", "a/b/c"], []),
        ("**/app", ["app", "a/app", "a/b/app"], ["a/app2", "app/a"]),
        ("team-*/x", ["team-a/x", "team-/x"], ["team/x", "team-a/y"]),
        ("a*b*c", ["abc", "axbxc", "abbc"], ["ab", "acb", "abcd"]),
        ("docker.io/**", ["docker.io/library/alpine"], ["docker.io", "dockerxio/library/alpine"]),
    ],
)
def test_a_pattern_matches_whole_components_and_nothing_beside_them(
    pattern: str, fitting: list[str], others: list[str]
) -> None:
    rule = AccessRule(access.pattern(pattern), frozenset({"pull"}))
    assert [path for path in fitting + others if rule.matches(path)] == fitting


@pytest.mark.parametrize("text", ["", "/", "a/", "/a", "a//b", "Team/*", "a**b", "***", "..", "a/../b", "a b", "a:1"])
def test_text_that_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a pattern"):
        access.pattern(text)


@given(st.lists(st.sampled_from(["**", "*", "a*a", "a"]), min_size=1, max_size=24), st.integers(1, 120))
def test_no_pattern_takes_long(parts: list[str], length: int) -> None:
    started = time.process_time()
    AccessRule("/".join(parts), frozenset()).matches("/".join(["a" * 60] * length))
    assert time.process_time() - started < 1


def test_who_may_push_may_pull_and_not_delete() -> None:
    rights = ClientRights(rules=access.rules({"team/**": ["push"], "**": ["pull"]}))
    assert [rights.allows("team/app", action) for action in access.ACTIONS] == [True, True, False]
    assert [rights.allows("other/app", action) for action in access.ACTIONS] == [True, False, False]
    with pytest.raises(ValueError, match="'write' is none of"):
        access.actions(["write"])


def test_rights_without_rules_allow_nothing_and_are_not_all_alike() -> None:
    assert not any(NOTHING.allows("a", action) for action in access.ACTIONS)
    assert not NOTHING.lists
    assert not NOTHING.all_alike
    assert EVERYTHING.all_alike
    assert not ClientRights(rules=access.rules({"**": ["push"]})).all_alike
    assert not ClientRights(rules=EVERYTHING.rules, scope=frozenset()).all_alike


def test_a_token_for_one_repository_allows_nothing_for_another() -> None:
    rights = ClientRights(rules=EVERYTHING.rules, scope=frozenset({("repository:team/app", "pull")}))
    assert rights.allows("team/app", "pull")
    assert not rights.allows("team/app", "push")
    assert not rights.allows("team/app2", "pull")
    assert not rights.lists


def test_a_token_for_a_path_and_ns_does_not_widen_what_the_account_may_do() -> None:
    scope = frozenset({("repository:library/alpine", "pull")})
    assert ClientRights(rules=EVERYTHING.rules, scope=scope).allows(
        "docker.io/library/alpine", "pull", "library/alpine"
    )
    own = ClientRights(rules=access.rules({"library/*": ["pull"]}), scope=scope)
    assert not own.allows("docker.io/library/alpine", "pull", "library/alpine")


# The Basic scheme


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"nocolon").decode(),
        "Basic " + base64.b64encode(b"\xff:x").decode(),
        "Digest abc",
        "Basic " + base64.b64encode(b"a:" + b"x" * 2000).decode(),
        "Basic " + base64.b64encode(b"a" * 2000 + b":x").decode(),
    ],
)
def test_a_malformed_or_huge_login_is_none(header: str) -> None:
    assert basic.parse(header) is None


def test_a_password_may_have_colons_and_any_bytes_and_is_not_shown() -> None:
    found = basic.parse(credentials("ann", b"a:b:\xff"))
    assert found is not None
    assert (found.name, found.password) == ("ann", b"a:b:\xff")
    assert "a:b" not in repr(found)


# htpasswd


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    path = tmp_path / "htpasswd"
    path.write_text("# a comment\n\n" + users(("ann", b"secret"), ("bob", b"other")))
    return path


@pytest.fixture
def checked(passwords: Path) -> Iterator[HtpasswdAccess]:
    made = HtpasswdAccess(str(passwords))
    yield made
    made.close()


def ask(decider: HtpasswdAccess | TokenAccess, header: str) -> ClientRights | AccessRefusal:
    return asyncio.run(decider.rights(header))


def test_a_user_of_the_file_may_do_everything_and_nobody_else_anything(checked: HtpasswdAccess) -> None:
    found = ask(checked, credentials("ann", "secret"))
    assert isinstance(found, ClientRights)
    assert (found.account, found.all_alike) == ("ann", True)
    assert ask(checked, "") == NOTHING
    for wrong in (
        credentials("ann", "other"),
        credentials("ann", ""),
        credentials("eve", "secret"),
        credentials("", "secret"),
    ):
        assert ask(checked, wrong) == basic.WRONG
    assert ask(checked, "Bearer abc") == basic.MALFORMED


def test_what_htpasswd_writes_is_understood(tmp_path: Path) -> None:
    import shutil
    import subprocess

    program = shutil.which("htpasswd")
    if program is None:
        pytest.skip("htpasswd is not installed")
    file = tmp_path / "file"
    subprocess.run([program, "-cbB", file, "ann", "secret"], check=True, capture_output=True)
    made = HtpasswdAccess(str(file))
    assert isinstance(ask(made, credentials("ann", "secret")), ClientRights)
    made.close()


def test_a_right_password_costs_bcrypt_once_and_a_wrong_one_each_time(
    checked: HtpasswdAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bytes] = []
    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda password, known: calls.append(password) or check(password, known))
    for _ in range(3):
        assert isinstance(ask(checked, credentials("ann", "secret")), ClientRights)
    assert calls == [b"secret"]
    for _ in range(2):
        assert ask(checked, credentials("ann", "wrong")) == basic.WRONG
    assert calls == [b"secret", b"wrong", b"wrong"]


def test_a_changed_file_counts_at_once_for_remembered_passwords_too(checked: HtpasswdAccess, passwords: Path) -> None:
    assert isinstance(ask(checked, credentials("ann", "secret")), ClientRights)
    passwords.write_text(users(("ann", b"new")))
    assert ask(checked, credentials("ann", "secret")) == basic.WRONG
    assert isinstance(ask(checked, credentials("ann", "new")), ClientRights)
    passwords.write_text("")
    assert ask(checked, credentials("ann", "new")) == basic.WRONG


def test_a_file_that_cannot_be_read_any_more_lets_nobody_in(checked: HtpasswdAccess, passwords: Path) -> None:
    assert isinstance(ask(checked, credentials("ann", "secret")), ClientRights)
    passwords.write_text("ann:plain\n")
    refused = ask(checked, credentials("ann", "secret"))
    assert isinstance(refused, AccessRefusal)
    assert refused.status == 503
    assert "plain" not in refused.reason
    passwords.unlink()
    assert isinstance(ask(checked, credentials("ann", "secret")), AccessRefusal)


def test_a_nul_does_not_end_a_password_and_long_ones_are_cut_as_htpasswd_does(
    checked: HtpasswdAccess, passwords: Path
) -> None:
    assert ask(checked, credentials("ann", b"secret\0")) == basic.WRONG
    assert ask(checked, credentials("ann", b"secret\0tail")) == basic.WRONG
    passwords.write_text(users(("ann", b"x" * 72)))
    assert isinstance(ask(checked, credentials("ann", "x" * 100)), ClientRights)
    assert ask(checked, credentials("ann", "x" * 71)) == basic.WRONG


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ann:secret", "line 1 is not"),
        ("ann:$apr1$abc$def", "line 1 is not"),
        ("ann:{SHA}abc", "line 1 is not"),
        (":" + HASHED, "line 1 is not"),
        ("ann:" + HASHED + "x", "line 1 is not"),
        (f"ann:{HASHED}\nann:{HASHED}", "line 2 has a user"),
    ],
)
def test_a_line_that_is_no_bcrypt_is_named_by_its_number_and_not_shown(line: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(line)
    with pytest.raises(UsageError, match=reason) as error:
        HtpasswdAccess(str(tmp_path / "file"))
    assert "secret" not in error.value.message


def test_an_unknown_user_takes_as_long_as_one_who_exists(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(users(("ann", b"secret"), cost=10))
    made = HtpasswdAccess(str(file))

    def seconds(header: str) -> float:
        times: list[float] = []
        for _ in range(3):
            started = time.process_time()
            assert ask(made, header) == basic.WRONG
            times.append(time.process_time() - started)
        return min(times)

    known, unknown = seconds(credentials("ann", "wrong")), seconds(credentials("eve", "wrong"))
    made.close()
    assert known > 0.01
    assert 0.6 < unknown / known < 1.6


def test_the_decoy_has_the_cost_of_most_users_and_no_password() -> None:
    found = htpasswd.parse("".join(f"u{n}:{hashed(b'x', 5 if n else 4)}\n" for n in range(3)))
    assert found.decoy[4:6] == b"05"
    assert not bcrypt.checkpw(b"x", found.decoy)
    assert "$2" not in repr(found)


def test_too_many_passwords_at_once_are_refused_and_known_ones_still_pass(checked: HtpasswdAccess) -> None:
    async def flood() -> list[ClientRights | AccessRefusal]:
        await checked.rights(credentials("ann", "secret"))
        wrong = [checked.rights(credentials("ann", f"wrong{number}")) for number in range(200)]
        return await asyncio.gather(*wrong, checked.rights(credentials("ann", "secret")))

    *refused, right = asyncio.run(flood())
    statuses = [one.status for one in refused if isinstance(one, AccessRefusal)]
    assert set(statuses) == {401, 429}
    assert isinstance(right, ClientRights)


# AccessToken files

FILE = (
    logins.anonymous({"public/**": ["pull"]})
    + logins.token("ci", SECRET, {"team/**": ["push"], "public/*": ["push", "delete"]})
    + logins.token("reader", "reader-secret", {"**": ["pull"]}, digest=True, expires="2027-01-31")
)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.toml"
    path.write_text(FILE)
    return path


def test_a_token_file_gives_each_token_its_rights(tokens: Path) -> None:
    decider = TokenAccess(str(tokens), lambda: NOW)
    found = ask(decider, credentials("ci", SECRET))
    assert isinstance(found, ClientRights)
    assert found.allows("team/app", "push")
    assert found.allows("team/app", "pull")
    assert not found.allows("team/app", "delete")
    assert found.allows("public/x", "delete")
    assert not found.allows("other/x", "pull")
    anonymous = ask(decider, "")
    assert isinstance(anonymous, ClientRights)
    assert anonymous.allows("public/x", "pull")
    assert not anonymous.allows("team/app", "pull")


@pytest.mark.parametrize(
    "header",
    [
        credentials("ci", SECRET + "x"),
        credentials("ci", "reader-secret"),
        credentials("reader", SECRET),
        credentials("nobody", SECRET),
        credentials("ci", ""),
        "Bearer " + SECRET + "x",
        "Bearer ",
        "Bearer a.b",
        "Negotiate abc",
        "\u00e4",
    ],
)
def test_a_wrong_secret_is_refused_and_does_not_count_as_anonymous(header: str, tokens: Path) -> None:
    refused = ask(TokenAccess(str(tokens), lambda: NOW), header)
    assert isinstance(refused, AccessRefusal)
    assert refused.status == 401


def test_a_secret_is_also_a_bearer_token(tokens: Path) -> None:
    found = ask(TokenAccess(str(tokens), lambda: NOW), f"Bearer {SECRET}")
    assert isinstance(found, ClientRights)
    assert (found.account, found.scope) == ("ci", None)


def test_a_token_ends_with_its_day_in_utc(tokens: Path) -> None:
    import datetime

    end = datetime.datetime(2027, 2, 1, tzinfo=datetime.UTC).timestamp()
    header = credentials("reader", "reader-secret")
    assert isinstance(ask(TokenAccess(str(tokens), lambda: end - 1), header), ClientRights)
    assert isinstance(ask(TokenAccess(str(tokens), lambda: end), header), AccessRefusal)


def issued(decider: TokenAccess, name: str, secret: str, *scopes: str) -> str:
    found = decider.issue(basic.parse(credentials(name, secret)), scopes)
    assert isinstance(found, IssuedToken)
    assert found.token == found.access_token
    return f"Bearer {found.token}"


def test_a_bearer_token_is_for_what_was_asked_and_what_the_account_may_do(tokens: Path) -> None:
    decider = TokenAccess(str(tokens), lambda: NOW)
    found = ask(decider, issued(decider, "ci", SECRET, "repository:team/app:pull", "repository:other/x:pull,push"))
    assert isinstance(found, ClientRights)
    assert found.allows("team/app", "pull")
    assert not found.allows("team/app", "push")  # not asked for
    assert not found.allows("other/x", "pull")  # asked for and not allowed
    assert not found.allows("team/two", "pull")


def test_a_bearer_token_ends_when_its_time_its_line_or_its_secret_does(tokens: Path) -> None:
    clock = [NOW]
    decider = TokenAccess(str(tokens), lambda: clock[0])
    bearer = issued(decider, "ci", SECRET, "repository:team/app:pull")
    assert isinstance(ask(decider, bearer), ClientRights)
    tokens.write_text(FILE.replace(SECRET, SECRET + "new"))
    assert isinstance(ask(decider, bearer), AccessRefusal)
    tokens.write_text(FILE)
    assert isinstance(ask(decider, bearer), ClientRights)
    tokens.write_text(FILE.replace('"ci"', '"cd"'))
    assert isinstance(ask(decider, bearer), AccessRefusal)
    tokens.write_text(FILE)
    clock[0] += 301
    assert isinstance(ask(decider, bearer), AccessRefusal)


def test_a_bearer_token_of_another_process_or_changed_in_any_byte_counts_for_nothing() -> None:
    seal = Seal()
    grant = Grant("ci", "", (("repository:a", "pull"),), NOW + 10)
    token = seal.seal(grant)
    assert seal.open(token, NOW) == grant
    assert Seal().open(token, NOW) is None
    for at in range(len(token)):
        other = "A" if token[at] != "A" else "B"
        changed = seal.open(token[:at] + other + token[at + 1 :], NOW)
        # The last character of base64 has bits that mean nothing.
        assert changed is None or (changed == grant and at in (token.index(".") - 1, len(token) - 1))
    body = token.partition(".")[0]
    for forged in (body, body + ".", "." + body, body + "." + body, "", ".", "x" * 9000 + ".x", f"{body}.\u00e4"):
        assert seal.open(forged, NOW) is None


def test_the_token_endpoint_refuses_wrong_secrets_too_many_scopes_and_needless_anonymous_clients(tokens: Path) -> None:
    decider = TokenAccess(str(tokens), lambda: NOW)
    wrong = decider.issue(basic.parse(credentials("ci", "wrong")), ["repository:team/app:pull"])
    assert isinstance(wrong, AccessRefusal)
    assert wrong.status == 401
    many = decider.issue(None, [f"repository:a{number}:pull" for number in range(100)])
    assert isinstance(many, AccessRefusal)
    assert many.status == 400
    assert isinstance(decider.issue(None, ["repository:public/x:pull"]), IssuedToken)
    tokens.write_text(FILE.replace("[anonymous]", "[anonymous]\n#").replace('may = { "public/**" = ["pull"] }', ""))
    assert isinstance(decider.issue(None, ["repository:public/x:pull"]), AccessRefusal)


def test_scopes_in_odd_forms_give_no_right(tokens: Path) -> None:
    decider = TokenAccess(str(tokens), lambda: NOW)
    odd = [
        "repository:*:push",
        "repository:*:*",
        "repository:team/*:pull",
        "registry:catalog:pull",
        "team/app:push",
        "::",
        "a b c",
        "",
    ]
    found = ask(decider, issued(decider, "ci", SECRET, *odd))
    assert isinstance(found, ClientRights)
    assert not any(found.allows("team/app", action) for action in access.ACTIONS)
    assert not found.lists


def test_a_token_for_every_action_allows_what_the_account_may_do(tokens: Path) -> None:
    decider = TokenAccess(str(tokens), lambda: NOW)
    found = ask(decider, issued(decider, "ci", SECRET, "repository:team/app:*"))
    assert isinstance(found, ClientRights)
    assert [found.allows("team/app", action) for action in access.ACTIONS] == [True, True, False]
    assert not found.allows("team/two", "pull")


def test_the_challenge_names_the_endpoint_and_the_scope(tokens: Path) -> None:
    decider = TokenAccess(str(tokens), lambda: NOW)
    assert decider.challenge("https://r.example", "repository:a:pull") == (
        'Bearer realm="https://r.example/token",service="polyarch",scope="repository:a:pull"'
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("token = 1", r"\[\[token\]\] is not a list"),
        ("[[tokens]]\nname='a'", "'tokens' is neither"),
        ("[[token]]\nname=''", "number 1 has no name"),
        ("[[token]]\nname='a b'", "number 1 has no name"),
        ("[[token]]\nname='a'", "needs either sha256 or secret"),
        ("[[token]]\nname='a'\nsecret='s3cret'", "fewer than 20"),
        (f"[[token]]\nname='a'\nsecret='{SECRET}'\nsha256='{'0' * 64}'", "needs either"),
        ("[[token]]\nname='a'\nsha256='xyz'", "not 64 lower-case"),
        (f"[[token]]\nname='a'\nsecret='{SECRET}'\nmay=['x']", "may is not a table"),
        (f"[[token]]\nname='a'\nsecret='{SECRET}'\nmay={{ 'x' = 'pull' }}", "may is not a table"),
        (f"[[token]]\nname='a'\nsecret='{SECRET}'\nmay={{ 'X' = ['pull'] }}", "not a pattern"),
        (f"[[token]]\nname='a'\nsecret='{SECRET}'\nmay={{ 'x' = ['write'] }}", "is none of pull, push, delete"),
        (f"[[token]]\nname='a'\nsecret='{SECRET}'\nmays={{}}", "'mays' is none of"),
        (f"[[token]]\nname='a'\nsecret='{SECRET}'\nexpires='soon'", "not a date"),
        (f"[[token]]\nname='a'\nsecret='{SECRET}'\n[[token]]\nname='a'\nsecret='x{SECRET}'", "two tokens"),
        (f"[[token]]\nname='a'\nsecret='{SECRET}'\n[[token]]\nname='b'\nsecret='{SECRET}'", "has the secret of"),
        ("[anonymous]\nmay = { 'x' = ['push'] }", "may only pull"),
        ("[anonymous]\nmust = 1", "has only: may"),
        ("secret = 's3cret", "not TOML"),
    ],
)
def test_a_mistake_in_a_token_file_is_named_without_a_secret(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(UsageError, match=reason) as error:
        TokenAccess(str(tmp_path / "file"), lambda: NOW)
    assert "s3cret" not in error.value.message
    assert SECRET not in error.value.message


def test_reprs_of_tokens_show_no_hash() -> None:
    found = tokenfile.parse(FILE)
    assert repr(found.by_name["ci"]) == "AccessToken('ci')"


def test_a_file_that_was_replaced_within_the_same_size_is_read_again(tokens: Path) -> None:
    decider = TokenAccess(str(tokens), lambda: NOW)
    before = tokens.stat()
    other = tokens.with_suffix(".new")
    other.write_text(FILE.replace(SECRET, SECRET[::-1]))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(tokens)
    assert isinstance(ask(decider, credentials("ci", SECRET)), AccessRefusal)
    assert isinstance(ask(decider, credentials("ci", SECRET[::-1])), ClientRights)
