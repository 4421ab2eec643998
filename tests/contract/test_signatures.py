import re
from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from firmware_bridge.reading import UtcUs
from gateway.contract.signatures import (
    Ed25519Signer,
    SignatureError,
    SignedReply,
    SignedRequest,
    check_signature,
    claimed_request,
    content_digest,
    key_id,
    sign_reply,
    sign_request,
    signature_base,
    target_uri,
    verify_reply,
    verify_request,
)

# RFC 9421, B.1.4: test-key-ed25519, its seed and its public key
RFC_SEED = b64decode("n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW/2ZYb2p9KcU=")
RFC_PUBLIC = b64decode("JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=")

KEY = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(RFC_SEED))
OTHER = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
KEYS = {KEY.key_id: KEY.public}
URL = "https://companion.example.org/v1/batches"
BODY = b"what is sent"
NONCE = "lq3k9d2f1.abcdefghijklmnopqrstuv"
NEXT = "lq3k9d2f2.ABCDEFGHIJKLMNOPQRST-_"
NOW_US = UtcUs(1_780_000_000_123_456)
INSTANCE = "0123456789abcdef"

REQUEST = {"method": "POST", "target": URL, "body": BODY}
ASKED = f"sig1=:{'x' * 86}==:"
REPLY = {"status": 200, "body": BODY, "nonce": NONCE, "request": ASKED}


def request(**changes: object) -> dict[str, str]:
    facts = {"gateway": "gw-1", "instance": INSTANCE, "nonce": NONCE, "created_s": 1_780_000_000}
    return sign_request(KEY, **(REQUEST | facts | changes))


def reply(**changes: object) -> dict[str, str]:
    return sign_reply(KEY, **(REPLY | {"next_nonce": NEXT, "time_us": NOW_US} | changes))


def refusal(check, headers, **facts) -> str:
    with pytest.raises(SignatureError) as caught:
        check(headers, **({"public_keys": KEYS} | facts))
    return caught.value.reason


# --- the words of the standards ---------------------------------------------------------------------------


def test_the_example_of_rfc_9421_comes_out_to_the_byte():
    """B.2.6: the base, and the signature that is made of it."""
    components = [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("@method", "POST"),
        ("@path", "/foo"),
        ("@authority", "example.com"),
        ("content-type", "application/json"),
        ("content-length", "18"),
    ]
    base = signature_base(components, 'created=1618884473;keyid="test-key-ed25519"')
    assert base.decode() == (
        '"date": Tue, 20 Apr 2021 02:07:55 GMT\n'
        '"@method": POST\n'
        '"@path": /foo\n'
        '"@authority": example.com\n'
        '"content-type": application/json\n'
        '"content-length": 18\n'
        '"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"'
    )
    expected = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    assert KEY.public == RFC_PUBLIC
    assert b64encode(KEY.sign(base)).decode() == expected
    check_signature(RFC_PUBLIC, b64decode(expected), base)


@pytest.mark.parametrize(
    ("body", "digest"),
    [
        (b'{"hello": "world"}\n', "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="),  # B.1
        (b"", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),  # B.2
    ],
)
def test_the_examples_of_rfc_9530_come_out(body, digest):
    assert content_digest(body) == f"sha-256=:{digest}:"


def test_our_own_request_is_written_as_agreed():
    headers = request()
    assert headers == {
        "Content-Digest": content_digest(BODY),
        "SmartWatts-Gateway": "gw-1",
        "SmartWatts-Instance": INSTANCE,
        "Signature-Input": (
            'sig1=("@method" "@target-uri" "content-digest" "smartwatts-gateway" "smartwatts-instance")'
            f';created=1780000000;keyid="{KEY.key_id}";nonce="{NONCE}";alg="ed25519"'
        ),
        "Signature": headers["Signature"],
    }
    base = (
        f'"@method": POST\n"@target-uri": {URL}\n"content-digest": {content_digest(BODY)}\n'
        f'"smartwatts-gateway": gw-1\n"smartwatts-instance": {INSTANCE}\n'
        f'"@signature-params": {headers["Signature-Input"].removeprefix("sig1=")}'
    )
    check_signature(KEY.public, b64decode(headers["Signature"][6:-1]), base.encode())


# --- what is honest is taken -------------------------------------------------------------------------------


def test_a_request_is_proven_and_says_who_sent_it():
    expected = SignedRequest("gw-1", INSTANCE, NONCE, KEY.key_id, 1_780_000_000)
    assert claimed_request(request()) == expected
    assert verify_request(CIMultiDict(request()), **REQUEST, public_keys=KEYS) == expected


def test_a_reply_is_proven_and_tells_time_and_next_nonce():
    assert verify_reply(CIMultiDict(reply()), **REPLY, public_keys=KEYS) == SignedReply(NOW_US, NEXT, KEY.key_id)


def test_names_of_headers_are_read_in_any_case_and_others_are_left_alone():
    headers = {name.upper(): value for name, value in request().items()} | {"X-Other": "\n", "Date": "now"}
    assert verify_request(headers, **REQUEST, public_keys=KEYS).gateway == "gw-1"


nonces = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)


@given(
    body=st.binary(max_size=200),
    method=st.from_regex(r"[A-Z]{1,16}", fullmatch=True),
    target=st.from_regex(r"[!-~]{1,100}", fullmatch=True),
    gateway=st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True),
    nonce=nonces,
    created_s=st.integers(0, 10**12 - 1),
)
def test_whatever_a_gateway_signs_the_cloud_proves(body, method, target, gateway, nonce, created_s):
    facts = {"method": method, "target": target, "body": body}
    headers = sign_request(KEY, **facts, gateway=gateway, instance=INSTANCE, nonce=nonce, created_s=created_s)
    proven = verify_request(headers, **facts, public_keys=KEYS)
    assert proven == SignedRequest(gateway, INSTANCE, nonce, KEY.key_id, created_s)
    assert claimed_request(headers) == proven


@given(st.binary(max_size=200), st.integers(100, 599), nonces, nonces, st.integers(0, 10**16 - 1))
def test_whatever_the_cloud_signs_a_gateway_proves(body, status, nonce, next_nonce, time_us):
    facts = {"status": status, "body": body, "nonce": nonce, "request": ASKED}
    headers = sign_reply(KEY, **facts, next_nonce=next_nonce, time_us=UtcUs(time_us))
    assert verify_reply(headers, **facts, public_keys=KEYS) == SignedReply(UtcUs(time_us), next_nonce, KEY.key_id)


# --- what is not, is refused, and says why -----------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"method": "PUT"}, {"target": URL + "x"}])
def test_a_request_for_something_else_is_not_proven(changes):
    assert refusal(verify_request, request(), **(REQUEST | changes)) == "wrong_signature"


@pytest.mark.parametrize(
    ("check", "headers", "facts"), [(verify_request, request(), REQUEST), (verify_reply, reply(), REPLY)]
)
def test_another_body_is_refused(check, headers, facts):
    assert refusal(check, headers, **(facts | {"body": BODY + b"."})) == "other_digest"
    assert (
        refusal(check, headers | {"Content-Digest": content_digest(b"")}, **(facts | {"body": b""}))
        == "wrong_signature"
    )


def test_a_reply_with_another_status_is_refused():
    assert refusal(verify_reply, reply(status=403), **REPLY) == "wrong_signature"


def test_a_reply_to_another_request_is_refused():
    assert refusal(verify_reply, reply(nonce=NEXT), **REPLY) == "other_nonce"


def test_a_reply_to_another_request_with_the_same_nonce_is_refused():
    """Whoever stands between gives out the nonces: to us one that a request of his own has carried."""
    assert refusal(verify_reply, reply(request=ASKED.replace("x", "y", 1)), **REPLY) == "wrong_signature"


def test_our_own_reply_is_written_as_agreed():
    headers = reply()
    components = '"@status" "content-digest" "smartwatts-time" "smartwatts-nonce" "signature";req'
    parameters = f'({components});created=1780000000;keyid="{KEY.key_id}";nonce="{NONCE}";alg="ed25519"'
    assert headers["Signature-Input"] == f"sig1={parameters}"
    base = (
        f'"@status": 200\n"content-digest": {content_digest(BODY)}\n"smartwatts-time": {NOW_US}\n'
        f'"smartwatts-nonce": {NEXT}\n"signature";req: {ASKED}\n"@signature-params": {parameters}'
    )
    check_signature(KEY.public, b64decode(headers["Signature"][6:-1]), base.encode())


def test_a_key_that_is_not_known_is_refused():
    assert refusal(verify_request, request(), **REQUEST, public_keys={}) == "unknown_key"
    assert refusal(verify_reply, reply(), **REPLY, public_keys={OTHER.key_id: OTHER.public}) == "unknown_key"


def test_a_key_under_the_name_of_another_is_refused():
    assert refusal(verify_request, request(), **REQUEST, public_keys={KEY.key_id: OTHER.public}) == "wrong_signature"
    assert refusal(verify_reply, reply(), **REPLY, public_keys={KEY.key_id: b"no key"}) == "wrong_signature"


@pytest.mark.parametrize("name", request())
def test_each_header_of_a_request_must_be_there_once(name):
    headers = request()
    assert refusal(verify_request, {n: v for n, v in headers.items() if n != name}, **REQUEST) == "missing"
    twice = CIMultiDict(headers)
    twice.add(name.lower(), headers[name])
    assert refusal(verify_request, twice, **REQUEST) == "repeated"


@pytest.mark.parametrize("name", reply())
def test_each_header_of_a_reply_must_be_there_once(name):
    headers = reply()
    assert refusal(verify_reply, {n: v for n, v in headers.items() if n != name}, **REPLY) == "missing"
    twice = CIMultiDict(headers)
    twice.add(name.lower(), headers[name])
    assert refusal(verify_reply, twice, **REPLY) == "repeated"


SPELLINGS = {
    "a line folded": lambda value: value.replace(";", ";\r\n ", 1) if ";" in value else f"{value}\r\n ",
    "a space in front": lambda value: f" {value}",
    "a line end": lambda value: f"{value}\n",
    "two values in one": lambda value: f"{value}, {value}",
    "a parameter more": lambda value: f'{value};tag="x"',
    "another label": lambda value: value.replace("sig1", "sig2") if "sig1" in value else f"sig2={value}",
    "nothing": lambda _: "",
    "very much": lambda value: value * 1000,
    "letters of other scripts": lambda value: value.replace("1", "١").replace("0", "٠") + "é",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", sorted({*request(), *reply()}))
def test_another_spelling_of_a_header_is_refused(name, spelling):
    checks = [(verify_request, request(), REQUEST), (verify_reply, reply(), REPLY)]
    for check, headers, facts in checks:
        if name in headers:
            changed = SPELLINGS[spelling](headers[name])
            assert changed != headers[name]
            assert refusal(check, headers | {name: changed}, **facts) == "malformed"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"@method" "@target-uri"', '"@target-uri" "@method"'),
        ('"@method" ', ""),
        ('"@method"', '"@method";req'),
        (' "smartwatts-instance"', ""),
        (' "smartwatts-instance")', ' "smartwatts-instance" "date")'),
        (";created=1780000000", ""),
        ("created=1780000000", "created=01780000000"),
        ("created=1780000000", 'created="1780000000"'),
        ("created=1780000000", "created=-1"),
        ("created=1780000000;", "created=1780000000; "),
        (f';nonce="{NONCE}"', ""),
        (f'nonce="{NONCE}"', 'nonce="a b"'),
        (f'nonce="{NONCE}"', f'nonce="{"x" * 65}"'),
        ('alg="ed25519"', 'alg="hmac-sha256"'),
        (';alg="ed25519"', ""),
        ('keyid="', 'keyid="x'),
    ],
)
def test_another_set_of_components_or_parameters_is_refused_whoever_signed_it(old, new):
    headers = request()
    signed = headers["Signature-Input"]
    assert old in signed
    changed = signed.replace(old, new)
    names = re.findall(r'"([@a-z-]+)"', changed.partition(")")[0])
    values = {"@method": "POST", "@target-uri": URL, "date": "now"} | {k.lower(): v for k, v in headers.items()}
    base = signature_base([(name, values[name]) for name in names], changed.partition(");")[2])
    resigned = f"sig1=:{b64encode(KEY.sign(base)).decode()}:"
    assert (
        refusal(verify_request, headers | {"Signature-Input": changed, "Signature": resigned}, **REQUEST)
        == "malformed"
    )


def test_a_signature_has_one_spelling():
    """The last digit of base64 has bits that mean nothing: they are zero."""
    headers = request()
    signature = headers["Signature"]
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = digits.index(signature[-4])
    other = signature[:-4] + digits[last + 1] + signature[-3:]
    assert b64decode(other[6:-1]) == b64decode(signature[6:-1])
    assert refusal(verify_request, headers | {"Signature": other}, **REQUEST) == "malformed"


@pytest.mark.parametrize(
    "changes", [{"target": f"{URL} x"}, {"target": ""}, {"target": f"{URL}\n"}, {"method": "post\n"}]
)
def test_an_address_with_a_line_end_cannot_look_like_another_component(changes):
    assert refusal(verify_request, request(), **(REQUEST | changes)) == "malformed"


@given(st.data())
def test_no_changed_character_of_a_header_passes(data):
    check, headers, facts = data.draw(
        st.sampled_from([(verify_request, request(), REQUEST), (verify_reply, reply(), REPLY)])
    )
    name = data.draw(st.sampled_from(sorted(headers)))
    place = data.draw(st.integers(0, len(headers[name]) - 1))
    letter = data.draw(st.characters(exclude_characters=headers[name][place]))
    changed = headers[name][:place] + letter + headers[name][place + 1 :]
    refusal(check, headers | {name: changed}, **facts)


# --- names and addresses ------------------------------------------------------------------------------------


def test_the_name_of_a_key_is_made_of_it():
    assert key_id(RFC_PUBLIC) == KEY.key_id
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", KEY.key_id)
    assert OTHER.key_id != KEY.key_id


def test_a_signer_shows_nothing_of_its_key():
    assert RFC_SEED.hex() not in f"{KEY!r}{vars(KEY)!r}"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://127.0.0.1:8470", "http://127.0.0.1:8470/v1/batches"),
        ("http://127.0.0.1:8470/", "http://127.0.0.1:8470/v1/batches"),
        ("HTTP://Companion.Example.org:80", "http://companion.example.org/v1/batches"),
        ("https://companion.example.org:443/smart/", "https://companion.example.org/smart/v1/batches"),
        ("https://companion.example.org:80", "https://companion.example.org:80/v1/batches"),
        ("http://[FE80::1]:81", "http://[fe80::1]:81/v1/batches"),
        ("http://münchen.example/über", "http://xn--mnchen-3ya.example/%C3%BCber/v1/batches"),
        ("http://host/a%20b", "http://host/a%20b/v1/batches"),
    ],
)
def test_an_address_is_formed_in_one_way(url, target):
    assert target_uri(url, "/v1/batches") == target
