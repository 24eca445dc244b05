"""Topic selectors. The vectors come from running the template library of the reference hub."""

from __future__ import annotations

import itertools
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_hub.core.topics import Form, any_matches, form_of, matches_topic, may_expand_to

BOOK = "https://e.com/b/{id}"
SUBSCRIPTIONS = "/s{/topic}{/sub}"
USER = "https://e.com/u/{?topic}"

MATCHING = [
    *((BOOK, f"https://e.com/b/{id}") for id in ("1", "", "a,b", "a%2Fb", "%C3%A9", "{id}")),
    *(("https://e.com/b/{id}.jsonld", f"https://e.com/b/{id}.jsonld") for id in ("1", "1.2")),
    *(("{x}", topic) for topic in ("foo", "")),
    ("{+path}", "https://e.com/any/thing?x=1#f"),
    *((SUBSCRIPTIONS, topic) for topic in ("/s", "/s/a", "/s/a%2Fb/urn%3Auuid%3A1")),
    ("/s{/topic*}", "/s/a/b/c"),
    *(("/p{/a,b}", topic) for topic in ("/p", "/p/", "/p//")),
    *((USER, f"https://e.com/u/{q}") for q in ("", "?topic=https%3A%2F%2Fe.com%2Fb%2F1", "?other=1")),
    ("https://e.com/u{?a,b}", "https://e.com/u?a=1&b=2"),
    ("https://e.com/u?x=1{&a}", "https://e.com/u?x=1&a=2"),
    ("/x{;a}", "/x;a=1"),
    ("/x{#f}", "/x#a/b"),
    *(("/x{.e}", topic) for topic in ("/x.json", "/x.a.b")),
    ("{a,b}", "x,y,z"),
    ("{a:3}", "abcdef"),
    ("{a*}", "k=v,l=w"),
    ("{a}-{a}", "1-2"),
    ("https://e.com/it's/{id}", "https://e.com/it's/1"),
    ("https://e.com/É/{id}", "https://e.com/É/1"),
    ("http://[::1]/{x}", "http://[::1]/1"),
    ("*", "anything at all"),
    ("a b", "a b"),
    ("/{a}-{b}{/c*}", "/x-y/z/z/z"),
    ("/{a}-{b}{?c*}", "/x-y?a=1&b=2&c=3"),
    ("{a}%2F{b}", "x%2Fy"),
]
OTHERS = [
    *((BOOK, f"https://e.com/b/{id}") for id in ("1/2", "a b", "é", "a=b", "a:b", "1?x", "%zz", "{other}", "1\n")),
    ("{x}", "foo/bar"),
    *(("{+path}", topic) for topic in ("a b", "é")),
    (SUBSCRIPTIONS, "/s/a/b/c"),
    ("/p{/a,b}", "/p///"),
    (USER, "https://e.com/u/?a=1&b=2"),
    ("https://e.com/u{?a,b}", "https://e.com/u?a=1&b=2&c=3"),
    ("{a}", "k=v"),
    ("foo", "Foo"),
    ("a*", "abc"),
    ("/{a}-{b}{?c}", "/x-y?a=1&b=2"),
]
INVALID = [
    *("{=a}", "{a", "{}", "{a-b}", "{a,}", "{a:0}", "{a:10000}", "https://e.com/a b/{id}", "x}{id}", "a%zz/{id}"),
    "{a..b}",
    "{.}",
    "/{a}" * 21,
]


@pytest.mark.parametrize(("selector", "topic"), MATCHING)
def test_a_selector_matches_a_topic(selector: str, topic: str) -> None:
    assert matches_topic(selector, topic)


@pytest.mark.parametrize(("selector", "topic"), OTHERS)
def test_a_selector_does_not_match_another_topic(selector: str, topic: str) -> None:
    assert not matches_topic(selector, topic)


@pytest.mark.parametrize("selector", INVALID)
def test_a_string_that_is_no_template_matches_only_itself(selector: str) -> None:
    assert matches_topic(selector, selector)
    assert form_of(selector) is None
    assert not matches_topic(selector, re.sub(r"{\W*\w*", "1", selector))
    assert not matches_topic(selector, "1")


@pytest.mark.parametrize(
    ("selector", "form"),
    [
        (BOOK, Form("https://e.com/b/{x}", "https://e.com/b/", "", "")),
        ("{a}0_1", Form("{x}0_1", "", "0_1", "")),
        ("/{a}-{b:3}/long{/c*}.x", Form("/{x}-{x}/long{/x*}.x", "/", ".x", "/long")),
        ("{a}{+b,c}{d*}", Form("{+x}", "", "", "")),
        ("{#a}{.b*}{;c,d}{?e}{&f*}", Form("{#x}{.x*}{;x,x}{?x}{&x*}", "", "", "")),
        *((selector, None) for selector in ("foo", "*", "a{", "{=a}")),
    ],
)
def test_the_form_of_a_template_does_not_depend_on_the_names_of_variables(selector: str, form: Form | None) -> None:
    assert form_of(selector) == form


def test_one_of_the_topics_is_enough_for_one_of_the_selectors() -> None:
    """S19."""
    assert any_matches({"a", BOOK}, ["x", "https://e.com/b/1"])
    assert any_matches({"a", BOOK}, ["x", "a"])
    assert not any_matches({"b", BOOK}, ["x", "a"])
    assert not any_matches(set(), ["a"])


RUN = r"(?:[A-Za-z0-9\-._~,]|%[0-9A-Fa-f]{2})*"
SIMPLE = {
    "{x}": RUN,
    "{/x}": f"(?:/{RUN})?",
    "{/x,y}": f"(?:/{RUN}){{0,2}}",
    "{/x*}": f"(?:/{RUN.replace(',', ',=')})*",
    "{.x}": rf"(?:\.{RUN})?",
    "-": "-",
    "/": "/",
    "a": "a",
    "%2F": "%2F",
}
"""Pieces of templates, and what they match as a regular expression that may take all the time it wants."""


@given(
    st.lists(st.sampled_from(sorted(SIMPLE)), min_size=1, max_size=5),
    st.lists(st.sampled_from(["a", "-", "/", ".", "=", "%2F", "%", "2"]), max_size=7),
)
def test_templates_match_what_a_regular_expression_that_may_backtrack_matches(
    pieces: list[str], symbols: list[str]
) -> None:
    selector, topic = "".join(pieces), "".join(symbols)
    expected = re.fullmatch("".join(SIMPLE[piece] for piece in pieces), topic) is not None
    assert matches_topic(selector, topic) == (expected or selector == topic)
    if (form := form_of(selector)) is not None:
        assert form_of(form.template) == form
        assert may_expand_to(form.template, topic) == expected
        if expected:
            assert topic.startswith(form.beginning)
            assert topic.endswith(form.end)
            assert form.middle in topic


HOSTILE = ["-".join(["{a}"] * 20), "".join(itertools.repeat("{/a}{;b}", 10)), "{+a}%2F" * 19 + "x", "{a*}{/b*}a{c}x"]


@pytest.mark.parametrize("selector", HOSTILE)
def test_a_hostile_template_takes_a_time_that_is_linear_in_the_topic(selector: str) -> None:
    """M1."""
    # Backtracking would need more than the time limit of a test for each of these; a linear time is milliseconds.
    for filling in ("-", "/", "%2F", "a", ";"):
        assert not matches_topic(selector, filling * 4000 + " ")


LONG = "{/a}" + "x" * 3800 + "{/a}y" * 19


def test_a_long_literal_between_expressions_does_not_multiply_the_time() -> None:
    """M1."""
    # A step for each state and each character took five seconds for each of these topics.
    for number in range(30):
        assert not matches_topic(LONG, f"/{number}" + "x" * 3900 + "y")
    assert matches_topic(LONG, "/1" + "x" * 3800 + "/2y" * 19)
    assert not matches_topic(LONG, "/1" + "x" * 3799 + "/2y" * 19)


@pytest.mark.parametrize(
    ("ending", "count"),
    [
        *(("{id}", 8000), ("x" * 3900 + "{id}", 8000), ("x" * 3900 + "{", 8000)),
        *(("{/a}y" * 20, 6000), (LONG, 200)),
    ],
    ids=["usual", "long", "no template", "many expressions", "long literal between expressions"],
)
def test_selectors_and_topics_of_strangers_do_not_fill_the_memory(ending: str, count: int) -> None:
    """M3."""
    tracemalloc.start()
    try:
        for number in range(count):
            any_matches((f"https://e.com/{number}/{ending}",), (f"https://e.com/{number}/1",))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 36_000_000
