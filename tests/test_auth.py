"""Tokens, and their rights."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from sse_hub.auth import Tokens, granted
from sse_hub.keys import Denied, KeySet, KeySetUnavailable, read_key
from sse_hub.rights import ALL, NOTHING, Grant

SECRET = "0123456789abcdef0123456789abcdef"


CLAIMS: dict[str, Any] = {"sse": {"subscribe": ["sensors.*"], "publish": ["alerts"]}}


PRIVATE: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def mint(claims: dict[str, Any] | None = None, key: Any = SECRET, algorithm: str = "HS256", **more: Any) -> str:
    headers = more.pop("headers", None)
    payload = {"exp": time.time() + 60, **(CLAIMS if claims is None else claims), **more}
    return jwt.encode({name: value for name, value in payload.items() if value is not None}, key, algorithm, headers)


def pem(private: Any) -> str:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(private.public_key().public_bytes(serialization.Encoding.PEM, spki).decode())


async def refusal(token: str, **options: Any) -> str:
    with pytest.raises(Denied) as caught:
        await Tokens(read_key(SECRET), **options).grant(token)
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "channel", "granted"),
    [("*", "a.b", True), ("a", "a", True), ("a", "ab", False), ("a.*", "a.b.c", True), ("a.*", "a", False)],
)
def test_a_grant_is_patterns(pattern: str, channel: str, granted: bool) -> None:
    assert Grant(frozenset({pattern})).may_subscribe(channel) is granted
    assert Grant(publish=frozenset({pattern})).may_publish(channel) is granted
    assert not Grant(frozenset({pattern})).may_publish(channel)


def test_all_is_everything_and_nothing_is_nothing() -> None:
    assert ALL.may_subscribe("a")
    assert ALL.may_publish("a")
    assert not NOTHING.may_subscribe("a")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_token_signed_with_the_secret_is_accepted(algorithm: str) -> None:
    until = int(time.time()) + 60
    token = mint(key=SECRET * 2, algorithm=algorithm, exp=until, sub="anna")
    grant = await Tokens(read_key(SECRET * 2)).grant(token)
    rights = frozenset({"sensors.*"}), frozenset({"alerts"})
    assert grant == Grant(*rights, until=until, subject="anna", identity="sub anna")


@pytest.mark.parametrize("algorithm", PRIVATE)
async def test_a_token_signed_with_the_private_key_is_accepted(algorithm: str) -> None:
    key = PRIVATE[algorithm]
    assert (await Tokens(read_key(pem(key))).grant(mint(key=key, algorithm=algorithm))).publish == {"alerts"}


def test_a_claim_of_mercure_is_read_unless_there_is_one_of_ours() -> None:
    assert granted({"mercure": {"publish": ["*"]}, "exp": 1}).publish == {"*"}
    assert granted({"mercure": {"publish": ["*"]}, "sse": {}, "exp": 1}).publish == set()


def test_admin_is_granted_by_true_alone() -> None:
    assert granted({"sse": {"admin": True}, "exp": 1}).admin
    with pytest.raises(Denied, match="admin in the claim sse is 'yes'; it takes true or false"):
        granted({"sse": {"admin": "yes"}, "exp": 1})


async def test_a_token_signed_with_another_key_says_so() -> None:
    assert "its signature does not fit the key" in await refusal(mint(key="x" * 32))


async def test_a_changed_token_says_so() -> None:
    head, _, signature = mint().split(".")
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 9e9, "sse": {"publish": ["*"]}}).encode()).decode().rstrip("=")
    assert "signature" in await refusal(f"{head}.{claims}.{signature}")


async def test_a_token_without_a_signature_is_refused() -> None:
    assert "its algorithm is 'none'" in await refusal(jwt.encode({**CLAIMS, "exp": 9e9}, "", "none"))


async def test_a_public_key_is_no_secret() -> None:
    # The classic confusion: the token says HS256, and is signed with the public key, which everybody knows.
    public = pem(PRIVATE["RS256"])
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    body = base64.urlsafe_b64encode(json.dumps({**CLAIMS, "exp": 9e9}).encode()).decode().rstrip("=")
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        f"{head}.{body}".encode(), public.encode()
    )
    token = f"{head}.{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    with pytest.raises(Denied, match="its algorithm is 'HS256'; the key needs RS256 or RS384 or RS512"):
        await Tokens(read_key(public)).grant(token)


async def test_an_expired_token_says_when_it_expired() -> None:
    assert "it has expired: exp is 1970-01-01T00:01:00Z" in await refusal(mint(exp=60))


async def test_clocks_may_differ_by_a_few_seconds() -> None:
    tokens = Tokens(read_key(SECRET))
    assert await tokens.grant(mint(exp=time.time() - 5))
    assert await tokens.grant(mint(nbf=time.time() + 5))


async def test_clocks_may_not_differ_by_much_more_than_ten_seconds() -> None:
    assert "expired" in await refusal(mint(exp=time.time() - 15))
    assert "not valid yet" in await refusal(mint(nbf=time.time() + 60))


async def test_a_token_that_is_not_valid_yet_says_so() -> None:
    assert "not valid yet: nbf or iat is 2100-01-01" in await refusal(mint(nbf=4102444800))


async def test_a_token_without_end_is_refused() -> None:
    assert "the claim exp is missing" in await refusal(mint(exp=None))


@pytest.mark.parametrize("exp", ["9999999999", 10**400, 10**13, 1e300])
async def test_an_end_that_is_not_a_time_is_refused(exp: object) -> None:
    assert "exp is not a time" in await refusal(mint(exp=exp))


@pytest.mark.parametrize("audience", ["other", ["a", "b"], None])
async def test_another_audience_says_which_is_right(audience: Any) -> None:
    assert "it should contain 'hub'" in await refusal(mint(aud=audience), audience="hub")


@pytest.mark.parametrize("issuer", ["other", None])
async def test_another_issuer_says_which_is_right(issuer: Any) -> None:
    assert "it should be 'https://issuer'" in await refusal(mint(iss=issuer), issuer="https://issuer")


async def test_the_right_audience_and_issuer_are_accepted_and_none_is_needed() -> None:
    strict = Tokens(read_key(SECRET), audience="hub", issuer="me")
    assert await strict.grant(mint(aud=["a", "hub"], iss="me"))
    assert await Tokens(read_key(SECRET)).grant(mint(aud="whatever", iss="whoever"))


@pytest.mark.parametrize(
    ("claim", "answer"),
    [
        ({}, "the claim sse is missing"),
        ({"sse": "all"}, "the claim sse is 'all'; it takes an object"),
        ({"sse": {"subscribe": "a"}}, "subscribe in the claim sse is 'a'; it takes a list"),
        ({"sse": {"publish": [1]}}, "publish in the claim sse is [1]; it takes a list"),
        ({"sse": {"publish": ["a/b"]}}, "publish in the claim sse: 'a/b' is neither"),
        ({"mercure": []}, "the claim mercure is []"),
    ],
)
async def test_a_claim_that_is_missing_or_of_another_shape_says_what_is_right(
    claim: dict[str, Any], answer: str
) -> None:
    assert answer in await refusal(mint(claim))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "é.é.é", "e30.e30.", "\0", "a" * 10_000])
async def test_a_text_that_is_not_a_token_gets_a_message_that_says_so(token: str) -> None:
    assert await refusal(token)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("short", "at least 32 bytes"),
        ("-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----", "a public key in PEM"),
        ("-----BEGIN PRIVATE KEY-----\n…", "should not have the private key"),
    ],
)
def test_a_key_that_cannot_be_used_says_what_can(text: str, answer: str) -> None:
    with pytest.raises(ValueError, match=answer):
        read_key(text)


class Issuer:
    """Publishes keys, and counts the requests for them."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked = 0
        self.away = False
        self.now = 0.0

    async def fetch(self) -> dict[str, Any]:
        self.asked += 1
        if self.away:
            raise OSError("nobody answers")
        return {"keys": [self.jwk(name) for name in self.names]}

    @staticmethod
    def jwk(name: str) -> dict[str, Any]:
        value: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(PRIVATE["ES256"].public_key(), as_dict=True)
        return {**value, "kid": name, "use": "sig"}

    def tokens(self) -> Tokens:
        return Tokens(KeySet(self.fetch, lambda: self.now))

    def mint(self, kid: str | None) -> str:
        return mint(key=PRIVATE["ES256"], algorithm="ES256", headers={"kid": kid} if kid else None)


async def test_the_key_of_a_set_is_found_by_its_id_and_fetched_once() -> None:
    issuer = Issuer("a", "b")
    tokens = issuer.tokens()
    assert await tokens.grant(issuer.mint("b"))
    assert await tokens.grant(issuer.mint("a"))
    assert issuer.asked == 1


async def test_a_token_without_a_key_id_is_for_the_only_key() -> None:
    issuer = Issuer("a")
    assert await issuer.tokens().grant(issuer.mint(None))
    issuer = Issuer("a", "b")
    with pytest.raises(Denied, match="not among the 2"):
        await issuer.tokens().grant(issuer.mint(None))


async def test_a_new_key_is_fetched_when_it_turns_up_but_not_for_every_made_up_one() -> None:
    issuer = Issuer("a")
    tokens = issuer.tokens()
    await tokens.grant(issuer.mint("a"))
    issuer.names = ("a", "new")
    issuer.now = 11
    assert await tokens.grant(issuer.mint("new"))
    for name in ("x", "y", "z"):
        with pytest.raises(Denied, match=f"its key '{name}'"):
            await tokens.grant(issuer.mint(name))
    assert issuer.asked == 2


async def test_a_key_that_was_withdrawn_is_not_accepted_any_more() -> None:
    issuer = Issuer("old")
    tokens = issuer.tokens()
    await tokens.grant(issuer.mint("old"))
    issuer.names = ("new",)
    issuer.now = 601
    assert await tokens.grant(issuer.mint("old"))  # it has the set fetched, and does not wait for it
    async with asyncio.timeout(10):
        while issuer.asked < 2:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(Denied):
        await tokens.grant(issuer.mint("old"))


async def test_an_issuer_that_is_away_is_no_fault_of_the_token() -> None:
    issuer = Issuer("a")
    tokens = issuer.tokens()
    issuer.away = True
    with pytest.raises(KeySetUnavailable, match="nobody answers"):
        await tokens.grant(issuer.mint("a"))
    issuer.away = False
    issuer.now = 11
    assert await tokens.grant(issuer.mint("a"))


async def test_known_keys_stay_while_the_issuer_is_away() -> None:
    issuer = Issuer("a")
    tokens = issuer.tokens()
    await tokens.grant(issuer.mint("a"))
    issuer.away = True
    issuer.now = 601
    assert await tokens.grant(issuer.mint("a"))


async def test_secrets_and_keys_for_encryption_are_not_taken_from_a_set() -> None:
    secret = {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode(), "kid": "s", "alg": "HS256"}
    encryption = {**Issuer.jwk("e"), "use": "enc"}

    async def fetch() -> dict[str, Any]:
        return {"keys": [secret, encryption, {"kty": "unheard of"}, 7]}

    for token in (mint(headers={"kid": "s"}), Issuer().mint("e")):
        with pytest.raises(Denied, match="not among the 0"):
            await Tokens(KeySet(fetch)).grant(token)
