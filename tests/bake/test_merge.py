"""How targets are combined: by files, by inheritance, and by --set."""

import pytest

from polyarch.bake import entries, globs, merge, overrides
from polyarch.bake.entries import CacheEntry, OutputEntry, SecretEntry
from polyarch.bake.target import BakeTarget, TargetCache, TargetInput, TargetResult, TargetRun
from polyarch.errors import NotFoundError, UsageError

# What `--push` adds.
PUSHED = OutputEntry("image", "", {"push": "true"}, pushed=True)


def applied(target: BakeTarget, *words: str) -> BakeTarget:
    """The target with `--set` words for it."""
    given = overrides.parse(words, [target.name], {"FROM_ENV": "env"})
    return merge.normalized(overrides.applied(target, given.get(target.name, [])))


def test_a_later_target_replaces_lists_but_adds_caches_keys_and_secrets() -> None:
    lower = BakeTarget(
        name="app",
        platforms=("linux/amd64",),
        input=TargetInput(context=".", args={"A": "1", "B": "2"}, secrets=(SecretEntry("s", "one"),)),
        cache=TargetCache(cache_from=(CacheEntry("gha"),), cache_to=(CacheEntry("gha"),)),
        result=TargetResult(tags=("app:1",)),
    )
    upper = BakeTarget(
        name="app",
        input=TargetInput(args={"B": "3", "A": None}, secrets=(SecretEntry("s", "two"), SecretEntry("t"))),
        cache=TargetCache(cache_from=(CacheEntry("inline"),), cache_to=(CacheEntry("inline"),)),
        result=TargetResult(tags=("app:2", "app:3")),
    )
    found = merge.merged(lower, upper)
    assert found.input.args == {"A": "1", "B": "3"}
    assert found.input.secrets == (SecretEntry("s", "two"), SecretEntry("t"))
    assert found.input.context == "."
    assert found.platforms == ("linux/amd64",)
    assert found.result.tags == ("app:2", "app:3")
    assert found.cache.cache_from == (CacheEntry("gha"), CacheEntry("inline"))
    assert found.cache.cache_to == (CacheEntry("inline"),)


def test_an_empty_text_replaces_and_an_empty_description_does_not() -> None:
    lower = BakeTarget(name="app", description="what it is", input=TargetInput(dockerfile="a"))
    found = merge.merged(lower, BakeTarget(name="app", input=TargetInput(dockerfile="")))
    assert (found.description, found.input.dockerfile) == ("what it is", "")


def test_the_normal_form_has_no_duplicates_and_no_empty_words() -> None:
    target = BakeTarget(
        name="app",
        platforms=("linux/amd64", "", "linux/amd64"),
        input=TargetInput(contexts={"gone": "", "kept": "x"}),
        run=TargetRun(network="host"),
        result=TargetResult(tags=("a", "b", "a")),
    )
    found = merge.normalized(target)
    assert found.platforms == ("linux/amd64",)
    assert found.input.contexts == {"kept": "x"}
    assert found.run.entitlements == ("network.host",)
    assert found.result.tags == ("a", "b")


def test_equal_entries_keep_the_order_of_buildx() -> None:
    assert entries.without_equal(["a", "b", "a", "c"]) == ("a", "b", "c")
    assert entries.without_equal(["a", "a", "b", "c"]) == ("a", "c", "b")


@pytest.mark.parametrize(
    ("words", "tags"),
    [
        (["app.tags=x"], ("x",)),
        (["app.tags=x", "app.tags=y"], ("x", "y")),
        (["app.tags+=x"], ("one", "x")),
        (["*.tags=x", "app.tags=y"], ("x", "y")),
        (["app.tags="], ()),
    ],
)
def test_set_replaces_a_list_once_or_adds_to_it(words: list[str], tags: tuple[str, ...]) -> None:
    target = BakeTarget(name="app", result=TargetResult(tags=("one",)))
    assert applied(target, *words).result.tags == tags


def test_set_has_names_texts_flags_and_the_environment() -> None:
    found = applied(
        BakeTarget(name="app"),
        *("app.args.A=1", "app.args.FROM_ENV", "app.args.UNSET", "app.context=dir", "app.no-cache=true"),
        *("app.contexts.x=../y", "app.labels.a.b=c", "app.network=none", "app.ulimits=nofile=1", "app.platform=a,b"),
        *("app.resources.memory=1g", "app.resources.cpu-shares=3"),
    )
    assert found.input.args == {"A": "1", "FROM_ENV": "env"}
    assert (found.input.context, found.cache.no_cache, found.input.contexts) == ("dir", True, {"x": "../y"})
    assert (found.result.labels, found.run.network, found.run.ulimits) == ({"a.b": "c"}, "none", ("nofile=1",))
    assert found.platforms == ("a,b",)
    assert found.run.resources == {"memory": "1g", "cpu-shares": 3}


@pytest.mark.parametrize(
    ("outputs", "word", "result"),
    [
        ((), "app.push=true", (PUSHED,)),
        ((OutputEntry("local", "d"),), "app.push=true", (OutputEntry("local", "d"),)),
        (
            (OutputEntry("docker"),),
            "app.push=true",
            (OutputEntry("docker"), PUSHED),
        ),
        ((PUSHED,), "app.push=false", (OutputEntry("image", "", {"push": "false"}),)),
        ((OutputEntry("image"),), "app.push=false", (OutputEntry("image", "", {"push": "false"}),)),
        ((OutputEntry("registry"), OutputEntry("oci", "x")), "app.push=false", (OutputEntry("oci", "x"),)),
        ((OutputEntry("docker"),), "app.load=true", (OutputEntry("docker"),)),
        ((OutputEntry("docker", "f"),), "app.load=true", (OutputEntry("docker", "f"), OutputEntry("docker"))),
        ((OutputEntry("tar", "f"),), "app.load=true", (OutputEntry("tar", "f"),)),
        ((), "app.load=false", None),
    ],
)
def test_push_and_load_change_the_outputs(
    outputs: tuple[OutputEntry, ...], word: str, result: tuple[OutputEntry, ...] | None
) -> None:
    target = BakeTarget(name="app", result=TargetResult(outputs=outputs))
    assert applied(target, word).result.outputs == result


def test_push_sees_the_outputs_that_set_has_chosen() -> None:
    found = applied(BakeTarget(name="app"), "*.push=true", "app.output=type=image")
    assert found.result.outputs == (OutputEntry("image", "", {"push": "true"}),)


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("app", "is not PATTERN.KEY", "as in"),
        ("app.tagz=1", "unknown key 'tagz'", "did you mean tags?"),
        ("app.args=1", "args needs a name", "app.args.NAME=VALUE"),
        ("app.tags", "has no value", ""),
        ("app.pull=maybe", "neither true nor false", ""),
        ("app.output=type", "is not KEY=VALUE", ""),
        ("app.secret.x=src=f", "declares no secret 'x'", ""),
        ("app.resources.memry=1", "unknown resource 'memry'", "did you mean memory?"),
        ("app.resources.cpu-shares=x", "is a number", ""),
    ],
)
def test_wrong_set_words_are_refused(word: str, message: str, hint: str) -> None:
    target = BakeTarget(name="app")
    if word == "app.output=type":
        word = "app.output=type=local,x"
    with pytest.raises(UsageError) as caught:
        applied(target, word)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_pattern_that_matches_nothing_names_what_is_near() -> None:
    with pytest.raises(NotFoundError) as caught:
        overrides.parse(["ap.tags=x"], ["app", "web"], {})
    assert "no target is called 'ap'" in caught.value.message
    assert caught.value.hint == "did you mean app?"


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "app", True),
        ("a*p", "app", True),
        ("a?p", "app", True),
        ("[a-c]pp", "app", True),
        ("[^a]pp", "app", False),
        ("*/x", "a/x", True),
        ("*", "a/x", False),
        ("[", "[", False),
        ("\\*", "*", True),
        ("a*a*a*a*a*a*a*b", "a" * 5000, False),
    ],
)
def test_globs_are_those_of_go_and_take_no_time(pattern: str, name: str, expected: bool) -> None:
    assert globs.matches(pattern, name) is expected
