"""Names are judged by their words."""

from __future__ import annotations

import pytest

from monitoring.pipeline.redact.keys import KeyBook, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dbPassword", ["db", "password"]),
        ("DB_PASSWORD", ["db", "password"]),
        ("db.password", ["db", "password"]),
        ("X-Api-Key", ["x", "api", "key"]),
        ("APIKey", ["api", "key"]),
        ("user[password]", ["user", "password"]),
        ("oauth2Token", ["oauth", "2", "token"]),
        ("contraseña", ["contraseña"]),
        ("", []),
    ],
)
def test_a_name_is_split_into_its_words(name, words):
    assert words_of(name) == words


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            "password",
            "password PASSWORD dbPassword PGPASSWORD user[password] password2 hashed_password confirmPassword",
        ),
        ("password", "passwd passphrase DB_PASS mysql_pwd пароль 密码 contraseña requirepass"),
        ("secret", "client_secret clientSecret CLIENT-SECRET webhook_secret JWT_SECRET oauth_token_secret secret_id"),
        (
            "token",
            "token access_token accessToken ACCESS_TOKEN X-Vault-Token PRIVATE-TOKEN _authToken id_token jwt",
        ),
        ("token", "tokenValue password_reset_token X-CSRF-Token"),
        (
            "api_key",
            "api_key apiKey APIKEY x-api-key AWS_SECRET_ACCESS_KEY SharedAccessKey AccountKey DD_APP_KEY stripe_key",
        ),
        ("private_key", "private_key privateKey ssh_key"),
        ("authorization", "authorization Authorization Proxy-Authorization HTTP_AUTHORIZATION"),
        ("cookie", "cookie Set-Cookie HTTP_COOKIE cookies"),
        ("session", "session_id sessionId PHPSESSID JSESSIONID connect.sid ASP.NET_SessionId"),
        ("csrf", "csrfmiddlewaretoken _csrf xsrf"),
        ("otp", "otp otp_code mfa_code verificationCode pin_code"),
        ("pin", "pin card_pin"),
        ("card", "card_number creditCardNumber cvv cvc2"),
        ("ssn", "ssn socialSecurityNumber"),
        ("credentials", "credentials db_credentials"),
        ("seed_phrase", "mnemonic seed_phrase"),
    ],
)
def test_a_sensitive_name_tells_its_kind_in_any_case_and_style(kind, names):
    book = KeyBook()
    for name in names.split():
        found = book.find(name)
        assert found, name
        assert (found.kind, found.strong) == (kind, True), name


def test_a_name_about_a_secret_or_of_another_thing_is_harmless():
    book = KeyBook()
    names = """
    tokens_in max_tokens token_count prompt_tokens total_tokens token_type token_usage eos_token bos_token_id pad_token
    next_token pageToken time_to_first_token ms_per_token tokenizer author authority auth_method session_duration
    cookie_consent passed bypass compass password_policy_enabled passwordPolicy password_reset_at has_password
    secret_name secretKeyRef secret_santa client_secret_expires_at key cache_key primary_key partition_key public_key
    routing_key keyboard monkey private_key_path api_key_count SharedAccessKeyName gpio_pin pinned spinning mapping
    company credentialsId api_key_id token_id message user email path url
    """
    assert {name: found for name in names.split() if (found := book.find(name)) and found.strong} == {}


def test_an_ambiguous_name_asks_for_a_value_that_looks_like_a_secret():
    book = KeyBook()
    for name in ("session", "auth", "sid", "upload_key", "TOKEN_GITHUB", "tokens"):
        found = book.find(name)
        assert found, name
        assert not found.strong, name


def test_own_names_are_found_by_their_words_in_a_row():
    book = KeyBook(["employee_id", "Gehalt"])
    for name, kind in (("employeeId", "employee_id"), ("x-employee-id", "employee_id"), ("GEHALT_BRUTTO", "gehalt")):
        found = book.find(name)
        assert found, name
        assert found.kind == kind
    assert book.find("employee") is None


def test_a_name_of_any_length_is_judged_by_its_end_and_not_kept():
    book = KeyBook()
    assert book.find("x" * 100_000 + "_password") is not None
    for number in range(10_000):
        book.find(f"name_{number}")
    assert len(book._known) <= 4096
