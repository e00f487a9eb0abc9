"""Secrets are found: every kind in every place, made up anew from a fixed seed."""

from __future__ import annotations

import base64
import random
from collections import Counter

import orjson
import pytest

from monitoring.pipeline.redact import Redactor
from monitoring.pipeline.redact.shapes import SHAPES
from tests.pipeline.redact.contexts import BY_NAME, BY_SHAPE, leaks
from tests.pipeline.redact.forms import OPAQUE, PLAIN, QUOTED
from tests.pipeline.redact.secrets import ALNUM, NAMED, SHAPED, signs

OVERALL = 0.98
FLOOR = 0.9
"""Of all secrets, and of those of each kind and in each place, at least so many must be found."""


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor()


def test_ninety_eight_of_a_hundred_secrets_with_a_shape_are_found_and_no_kind_and_place_is_neglected(redactor):
    made, found = Counter[str](), Counter[str]()
    rng = random.Random(20251010)
    for kind, make in SHAPED.items():
        for place, redact in BY_SHAPE.items():
            example = make(rng)
            hidden = not leaks(example.secret, redact(redactor, example.text))
            for group in ("all", f"kind {kind}", f"place {place}"):
                made[group] += 1
                found[group] += hidden
    assert len(SHAPED) >= 100
    assert found["all"] >= OVERALL * made["all"]
    assert {group: (found[group], made[group]) for group in made if found[group] < FLOOR * made[group]} == {}


def test_ninety_eight_of_a_hundred_secrets_with_a_name_are_found_and_no_name_and_place_is_neglected(redactor):
    made, found = Counter[str](), Counter[str]()
    rng = random.Random(20251011)
    for kind, (names, value) in NAMED.items():
        for name in names:
            for place, redact in BY_NAME.items():
                secret = value(rng)
                hidden = not leaks(secret, redact(redactor, name, secret))
                for group in ("all", f"kind {kind}", f"place {place}"):
                    made[group] += 1
                    found[group] += hidden
    assert found["all"] >= OVERALL * made["all"]
    assert {group: (found[group], made[group]) for group in made if found[group] < FLOOR * made[group]} == {}


@pytest.mark.parametrize("form", PLAIN)
def test_a_password_is_found_however_it_is_written(redactor, form):
    secret = signs(random.Random(form), ALNUM, 10)
    _is_gone(redactor, form.replace("{}", secret), secret)


@pytest.mark.parametrize("form", QUOTED)
def test_a_quoted_password_is_found_to_its_end(redactor, form):
    secret = signs(random.Random(form), ALNUM, 6) + " &;, x" + signs(random.Random(form), ALNUM, 4)
    _is_gone(redactor, form.replace("{}", secret), secret[-8:])


@pytest.mark.parametrize("form", OPAQUE)
def test_an_unreadable_word_is_found_behind_an_ambiguous_name(redactor, form):
    secret = "aB3" + signs(random.Random(form), ALNUM, 29)
    _is_gone(redactor, form.replace("{}", secret), secret)


def _is_gone(redactor: Redactor, text: str, secret: str) -> None:
    """In free text, and where the text is a value deep in JSON."""
    shown = redactor.text(text)
    assert secret not in shown
    assert "[REDACTED:" in shown
    document = orjson.dumps({"a": [{"b": text}]}).decode()
    assert secret not in redactor.json(document)
    assert redactor.text(shown) == shown


def test_user_and_password_in_base_64_are_found_behind_auth_though_hardly_a_digit_is_in_them(redactor):
    """Docker's config.json; letters spell out letters."""
    pair = base64.b64encode(b"user:MrsRobinson").decode()
    assert sum(map(str.isdigit, pair)) < 2
    _is_gone(redactor, f'{{"auths":{{"ghcr.io":{{"auth":"{pair}"}}}}}}', pair)


@pytest.mark.parametrize(
    "form",
    [
        "Client('{account}', '{secret}')",
        "curl -u {account}:{secret} https://api.example.com",
        "wandb login --relogin {secret}89abcdef",
        "imported private key 0x{secret}{secret}",
        "Authorization: GenieKey {secret}",
    ],
)
def test_a_key_of_hex_digits_is_told_from_a_digest_by_what_stands_before_it(redactor, form):
    rng = random.Random(form)
    account, secret = "AC" + signs(rng, "0123456789abcdef", 32), signs(rng, "0123456789abcdef", 32)
    _is_gone(redactor, form.format(account=account, secret=secret), secret)


def test_every_shape_of_the_table_has_a_made_up_secret(redactor):
    """A kind nobody has tried is a kind nobody knows to work: each is hidden somewhere in this file's corpus."""
    rng = random.Random(7)
    fresh = Redactor()
    for make in SHAPED.values():
        fresh.text(make(rng).text)
    for form in (*PLAIN, *QUOTED, *OPAQUE):
        fresh.text(form.replace("{}", "aB3" + signs(rng, ALNUM, 29)))
    for text in _rare(rng):
        fresh.text(text)
    assert {shape.kind for shape in SHAPES} - set(fresh.found) == set()


def _rare(rng: random.Random) -> list[str]:
    """Secrets of kinds that are too rare for every place."""
    digits = "0123456789"
    lower = "abcdefghijklmnopqrstuvwxyz0123456789"
    hexadecimal = "0123456789abcdef"

    def word(count: int, alphabet: str = ALNUM) -> str:
        return signs(rng, alphabet, count)

    uuid = "-".join(word(size, hexadecimal) for size in (8, 4, 4, 4, 12))
    return [
        "https://storage.googleapis.com/b/o?X-Goog-" + "Signature=" + word(64, hexadecimal),
        "rn" + "d_" + word(32),
        "na" + "pi_" + word(60, lower),
        "cf" + "ut_" + word(40),
        "st" + "." + word(24, hexadecimal) + "." + word(32, hexadecimal) + "." + word(32, hexadecimal),
        "pack" + "agist_ack_" + word(68, hexadecimal),
        "tk" + "-us-" + word(48),
        "pa" + "t." + word(22) + "." + word(24, hexadecimal) + "." + word(20),
        "sd" + "k-" + uuid,
        "fi" + "o-u-" + word(64),
        "tf" + "p_" + word(59),
        "ic" + "o-" + word(32),
        "dn" + "key-" + word(26) + "-" + word(52),
        "s-s4" + "t2ud-" + word(64, hexadecimal),
        "li" + "p_" + word(20),
        "p8" + "e-" + word(32),
        "per" + "m-" + word(12) + "." + word(8) + "." + word(30),
        "AQ" + "Eyhm" + word(100),
        "duf" + "fel_live_" + word(43),
        "ship" + "po_live_" + word(40, hexadecimal),
        "li" + "ve_" + word(35, hexadecimal),
        "APP" + "_USR-" + word(16, digits) + "-" + word(6, digits) + "-" + word(32, hexadecimal),
        "md" + "-" + word(22),
        "p" + "k_" + word(34, hexadecimal),
        "IG" + "QV" + word(100),
        "WPL" + "_AP1." + word(16) + "." + word(8) + "==",
        "dG9" + "rOi" + word(60),
        "xaa" + "t-" + uuid,
        "wan" + "db_v1_" + word(40),
        "es" + "su_" + word(60),
        "cs" + "k-" + word(48, lower),
        "a" + "k-" + word(22),
        "ese" + "cret_" + word(40),
        "v2" + ".local." + word(100),
        word(11) + ":APA" + "91b" + word(134),
        "ml" + "sn." + word(64, hexadecimal),
        "or" + "y_at_" + word(43) + "." + word(43),
        "zp" + "ka_" + word(32, hexadecimal) + "_" + word(8, hexadecimal),
        "rp" + "a_" + word(40, "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"),
        "e2" + "b_" + word(40, hexadecimal),
        "ll" + "x-" + word(48),
        "KG" + "AT_" + word(32, hexadecimal),
        "n" + "k-" + word(44),
        "f" + "w_" + "aB" + word(22),
        "Geni" + "eKey " + uuid + word(20),
        "AWS4-HMAC" + "-SHA256 Credential=x/y, SignedHeaders=host, Signature=" + word(64, hexadecimal),
        "AUTH" + " PLAIN " + word(24),
        "openssl rsa -passin " + "pass:" + word(12),
        "acme_sk_" + "aB123" + word(24),
    ]
