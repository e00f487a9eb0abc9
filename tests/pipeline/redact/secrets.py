"""Secrets of every kind, made up while the tests run: none stands in the repository, so no scanner finds one there."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable
from typing import NamedTuple

import orjson

from monitoring.pipeline.redact.checksums import IBAN_LENGTHS, is_card, is_iban

__all__ = ["NAMED", "SHAPED", "Example", "Maker"]


class Example(NamedTuple):
    """A secret as it is written, and what of it must not be readable any more."""

    text: str
    secret: str


Maker = Callable[[random.Random], Example]

ALNUM = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits
UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
URL64 = ALNUM + "-_"
BASE64 = ALNUM + "+/"
BASE32 = string.ascii_uppercase + "234567"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"


def signs(rng: random.Random, alphabet: str, count: int) -> str:
    """So many random signs; begins and ends with a letter or digit, and has both where the alphabet has."""
    edges = [sign for sign in alphabet if sign.isalnum()]
    while True:
        text = rng.choice(edges) + "".join(rng.choices(alphabet, k=count - 2)) + rng.choice(edges)
        if count < 4 or (any(map(str.isdigit, text)) or not any(map(str.isdigit, alphabet))):
            return text


def uuid(rng: random.Random) -> str:
    """A random UUID."""
    digits = signs(rng, HEX, 32)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def whole(*parts: str | tuple[str, int]) -> Maker:
    """Fixed pieces and random ones (alphabet, count; "uuid"); all of it is secret."""

    def make(rng: random.Random) -> Example:
        made = [part if isinstance(part, str) else signs(rng, *part) for part in parts]
        text = "".join(uuid(rng) if part == "uuid" else part for part in made)
        return Example(text, text)

    return make


def within(before: str, alphabet: str, count: int, after: str = "") -> Maker:
    """Only the middle is secret: addresses, signatures, passwords."""

    def make(rng: random.Random) -> Example:
        secret = signs(rng, alphabet, count)
        return Example(before.replace("{}", secret) + (secret if "{}" not in before else "") + after, secret)

    return make


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _b64url(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def _jwt(rng: random.Random) -> Example:
    head = _b64url({"alg": rng.choice(("HS256", "RS256", "ES256")), "typ": "JWT"})
    body = _b64url({"sub": str(rng.randrange(10**9)), "exp": rng.randrange(10**9)})
    text = f"{head}.{body}.{signs(rng, URL64, 43)}"
    return Example(text, text)


def _jwt_unsigned(rng: random.Random) -> Example:
    text = f"{_b64url({'alg': 'none'})}.{_b64url({'sub': str(rng.randrange(10**9))})}"
    return Example(text + ".", text)


def _jwe(rng: random.Random) -> Example:
    head = _b64url({"alg": "RSA-OAEP", "enc": "A256GCM"})
    text = ".".join((head, signs(rng, URL64, 86), signs(rng, URL64, 16), signs(rng, URL64, 64), signs(rng, URL64, 22)))
    return Example(text, text)


def _pem_lines(rng: random.Random) -> list[str]:
    body = "MII" + signs(rng, BASE64, 700)
    return [body[at : at + 64] for at in range(0, len(body), 64)]


def pem(label: str, newline: str = "\n", *, cut: bool = False) -> Maker:
    """A private key with this label, whole or without its end."""

    def make(rng: random.Random) -> Example:
        lines = _pem_lines(rng)
        end = [] if cut else ["-" * 5 + "END " + label + "-" * 5, ""]
        return Example(newline.join(["-" * 5 + "BEGIN " + label + "-" * 5, *lines, *end]), lines[3])

    return make


def _pem_encrypted(rng: random.Random) -> Example:
    lines = _pem_lines(rng)
    label = "RSA PRIVATE KEY" + "-" * 5
    head = ["Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC," + signs(rng, HEX, 32).upper(), ""]
    return Example("\n".join(["-" * 5 + "BEGIN " + label, *head, *lines, "-" * 5 + "END " + label]), lines[2])


def _putty(rng: random.Random) -> Example:
    lines = _pem_lines(rng)
    text = ["PuTTY-User-Key-File-3: ssh-ed25519", "Encryption: none", "Private-Lines: 12", *lines]
    return Example("\n".join([*text, "Private-MAC: " + signs(rng, HEX, 64)]), lines[1])


def _der(rng: random.Random) -> Example:
    text = "MIIEv" + "QIBADANBgkqhkiG9w0BAQEFAASC" + signs(rng, BASE64, 600)
    return Example(text, text)


def _basic(rng: random.Random) -> Example:
    token = _b64(f"{signs(rng, LOWER, 6)}:{signs(rng, ALNUM, 12)}".encode())
    return Example(f"Basic {token}", token.rstrip("="))


def _card(rng: random.Random, *, groups: str = "") -> Example:
    prefix, length = rng.choice((("4", 16), ("5" + rng.choice("12345"), 16), ("2223", 16), ("6011", 16), ("3530", 16),
                                 ("34", 15), ("37", 15), ("36", 14)))  # fmt: skip
    while True:
        digits = prefix + "".join(rng.choices(string.digits, k=length - len(prefix)))
        if is_card(digits):
            break
    cuts = {16: (4, 8, 12), 15: (4, 10), 14: (4, 10)}[length]
    pieces = [digits[start:end] for start, end in zip((0, *cuts), (*cuts, length), strict=True)]
    text = groups.join(pieces)
    return Example(text, text)


def _iban(rng: random.Random) -> Example:
    country = rng.choice(("DE", "FR", "GB", "NL", "ES", "IT", "CH", "PL"))
    while True:
        rest = "".join(rng.choices(string.digits, k=IBAN_LENGTHS[country] - 4))
        for check in range(2, 99):
            text = f"{country}{check:02}{rest}"
            if is_iban(text):
                return Example(text, text)


def password(rng: random.Random) -> str:
    """A password as people choose them: letters, digits, sometimes a sign."""
    word = rng.choice(("Hunter", "dragon", "Sommer", "correct", "Tr0ub4dor", "qwertz", "letmein", "S3cure"))
    return word + signs(rng, ALNUM, rng.randrange(3, 9)) + rng.choice(("", "!", "#", "+", "_x", "-9", "?", "%", "^"))


def in_url(scheme: str, user: str = "app", host: str = "db.internal:5432/prod") -> Maker:
    """An address with a password in it."""

    def make(rng: random.Random) -> Example:
        secret = signs(rng, ALNUM + "!$*._-~", rng.randrange(6, 20))
        return Example(f"{scheme}://{user}:{secret}@{host}", secret)

    return make


SHAPED: dict[str, Maker] = {
    "aws_access_key": whole("AKI" + "A", (BASE32, 16)),
    "aws_access_key_temporary": whole("ASI" + "A", (UPPER, 16)),
    "aws_session_token": whole("IQoJ" + "b3JpZ2luX2Vj", (BASE64, 200)),
    "aws_credentials": whole("AKI" + "A", (BASE32, 16), ":", (BASE64, 40)),
    "aws_mws": whole("amzn." + "mws.", "uuid"),
    "aws_bedrock": whole("AB" + "SK", (BASE64, 120)),
    "aws_presigned": within("https://b.s3.amazonaws.com/k?X-Amz-Algorithm=A&X-Amz-Signature={}&x=1", HEX, 64),
    "gcp_api_key": whole("AI" + "za", (URL64, 35)),
    "google_oauth": whole("ya29" + ".", (URL64, 120)),
    "google_refresh": whole("1//" + "0", (URL64, 60)),
    "google_client_secret": whole("GOC" + "SPX-", (URL64, 28)),
    "azure_client_secret": whole((ALNUM, 3), "8" + "Q~", (ALNUM, 34)),
    "azure_storage": whole((ALNUM, 76), "+AS" + "t", (ALNUM, 6), "=="),
    "azure_search": whole((ALNUM, 42), "Az" + "Se", "D", (ALNUM, 5)),
    "azure_openai": whole((ALNUM, 63), "AC" + "OG", (ALNUM, 17)),
    "azure_devops": whole((ALNUM, 76), "AZ" + "DO", (ALNUM, 4)),
    "azure_sas": within("https://x.blob.core.windows.net/c?sv=2022-11-02&se=2026-01-01&sig={}%3D&sp=r", ALNUM, 43),
    "digitalocean": whole("dop" + "_v1_", (HEX, 64)),
    "digitalocean_refresh": whole("dor" + "_v1_", (HEX, 64)),
    "alibaba": whole("LT" + "AI", (ALNUM, 20)),
    "tencent": whole("AK" + "ID", (ALNUM, 32)),
    "scaleway": whole("SC" + "W", (UPPER, 17)),
    "yandex": whole("AQ" + "VN", (URL64, 36)),
    "heroku": whole("HR" + "KU-AA", (URL64, 58)),
    "fly": whole("fo" + "1_", (URL64, 43)),
    "fly_macaroon": whole("fm" + "2_", (BASE64, 140)),
    "netlify": whole("nf" + "p_", (ALNUM, 36)),
    "vercel": whole("vcp" + "_", (ALNUM, 36)),
    "supabase": whole("sb" + "p_", (HEX, 40)),
    "supabase_secret": whole("sb_" + "secret_", (ALNUM, 31)),
    "planetscale": whole("pscale" + "_tkn_", (URL64, 43)),
    "planetscale_password": whole("pscale" + "_pw_", (ALNUM, 43)),
    "cloudflare_ca": whole("v1" + ".0-", (HEX, 24), "-", (HEX, 146)),
    "databricks": whole("da" + "pi", (HEX, 32)),
    "clickhouse": whole("4b" + "1d", (ALNUM, 38)),
    "openshift": whole("sha256" + "~", (URL64, 43)),
    "docker": whole("dckr" + "_pat_", (URL64, 27)),
    "docker_swarm": whole("SWM" + "TKN-1-", (LOWER, 50), "-", (LOWER, 25)),
    "terraform": whole((ALNUM, 14), ".atlas" + "v1.", (ALNUM, 67)),
    "vault": whole("hv" + "s.", (URL64, 92)),
    "vault_batch": whole("hv" + "b.", (URL64, 140)),
    "vault_old": whole("s" + ".", (ALNUM, 24)),
    "pulumi": whole("pu" + "l-", (HEX, 40)),
    "doppler": whole("dp" + ".pt.", (ALNUM, 43)),
    "doppler_service": whole("dp" + ".st.prd.", (ALNUM, 40)),
    "onepassword": whole("ops" + "_eyJ", (BASE64, 300)),
    "onepassword_key": whole(
        "A3" + "-", (UPPER, 6), "-", (UPPER, 11), "-", (UPPER, 5), "-", (UPPER, 5), "-", (UPPER, 5)
    ),
    "age": whole("AGE-SECRET" + "-KEY-1", (BECH32, 58)),
    "tailscale": whole("tskey" + "-auth-", (ALNUM, 12), "-", (ALNUM, 32)),
    "github": whole("gh" + "p_", (ALNUM, 36)),
    "github_oauth": whole("gh" + "o_", (ALNUM, 36)),
    "github_server": whole("gh" + "s_", (ALNUM, 36)),
    "github_refresh": whole("gh" + "r_", (ALNUM, 76)),
    "github_fine_grained": whole("github" + "_pat_", (ALNUM, 22), "_", (ALNUM, 59)),
    "gitlab": whole("gl" + "pat-", (URL64, 20)),
    "gitlab_deploy": whole("gl" + "dt-", (URL64, 20)),
    "gitlab_runner": whole("gl" + "rt-", (URL64, 20)),
    "gitlab_trigger": whole("gl" + "ptt-", (HEX, 40)),
    "gitlab_registration": whole("GR134" + "8941", (URL64, 20)),
    "atlassian": whole("ATA" + "TT3", (URL64, 186)),
    "bitbucket": whole("AT" + "BB", (ALNUM, 32)),
    "npm": whole("np" + "m_", (ALNUM, 36)),
    "pypi": whole("py" + "pi-AgEIcHlwaS5vcmc", (URL64, 120)),
    "rubygems": whole("ruby" + "gems_", (HEX, 48)),
    "nuget": whole("oy" + "2", (LOWER, 43)),
    "crates": whole("ci" + "o", (ALNUM, 32)),
    "clojars": whole("CLO" + "JARS_", (LOWER, 60)),
    "jfrog": whole("AK" + "Cp", (ALNUM, 69)),
    "circleci": whole("CCI" + "PAT_", (ALNUM, 22), "_", (HEX, 40)),
    "buildkite": whole("bk" + "ua_", (HEX, 40)),
    "sonar": whole("sq" + "u_", (HEX, 40)),
    "sourcegraph": whole("sg" + "p_", (HEX, 16), "_", (HEX, 40)),
    "postman": whole("PM" + "AK-", (HEX, 24), "-", (HEX, 34)),
    "readme": whole("rd" + "me_", (LOWER, 70)),
    "prefect": whole("pn" + "u_", (ALNUM, 36)),
    "octopus": whole("AP" + "I-", (UPPER, 26)),
    "contentful": whole("CF" + "PAT-", (URL64, 43)),
    "linear": whole("lin" + "_api_", (ALNUM, 40)),
    "notion": whole("secret" + "_", (ALNUM, 43)),
    "notion_new": whole("nt" + "n_", (string.digits, 11), (ALNUM, 35)),
    "airtable": whole("pa" + "t", (ALNUM, 14), ".", (HEX, 64)),
    "figma": whole("fig" + "d_", (URL64, 40)),
    "asana": whole("1" + "/", (string.digits, 16), ":", (HEX, 32)),
    "maxmind": whole((ALNUM, 6), "_", (ALNUM, 29), "_m" + "mk"),
    "stripe": whole("sk" + "_live_", (ALNUM, 24)),
    "stripe_test": whole("sk" + "_test_", (ALNUM, 99)),
    "stripe_restricted": whole("rk" + "_live_", (ALNUM, 24)),
    "stripe_webhook": whole("wh" + "sec_", (ALNUM, 32)),
    "square": whole("sq0" + "atp-", (URL64, 22)),
    "square_new": whole("EA" + "AAE", (URL64, 60)),
    "braintree": whole("access" + "_token$production$", (LOWER, 16), "$", (HEX, 32)),
    "plaid": whole("access" + "-sandbox-", "uuid"),
    "shopify": whole("shp" + "at_", (HEX, 32)),
    "shopify_secret": whole("shp" + "ss_", (HEX, 32)),
    "easypost": whole("EZ" + "AK", (ALNUM, 54)),
    "flutterwave": whole("FLW" + "SECK_TEST-", (HEX, 32), "-X"),
    "woocommerce": whole("c" + "s_", (HEX, 40)),
    "razorpay": whole("rzp" + "_live_", (ALNUM, 14)),
    "slack_bot": whole("xo" + "xb-", (string.digits, 12), "-", (string.digits, 12), "-", (ALNUM, 24)),
    "slack_user": whole(
        "xo" + "xp-", (string.digits, 12), "-", (string.digits, 12), "-", (string.digits, 12), "-", (HEX, 32)
    ),
    "slack_app": whole("xa" + "pp-1-", (UPPER, 11), "-", (string.digits, 13), "-", (HEX, 64)),
    "slack_webhook": within("https://hooks.slack" + ".com/services/T0", UPPER + "/", 40),
    "discord_webhook": within("https://discord" + ".com/api/webhooks/112233445566778899/", URL64, 68),
    "discord_bot": whole("M", (URL64, 23), ".", (URL64, 6), ".", (URL64, 38)),
    "telegram": whole((string.digits, 10), ":A" + "A", (URL64, 33)),
    "telegram_url": within("https://api.telegram.org/bot7123456789:A" + "A", URL64, 33, "/sendMessage"),
    "teams_webhook": within("https://acme.webhook.office" + ".com/webhookb2/", HEX, 80, "/IncomingWebhook"),
    "zapier_webhook": within("https://hooks.zapier" + ".com/hooks/catch/1234567/", LOWER, 7 + 8),
    "twilio": whole("S" + "K", (HEX, 32)),
    "sendgrid": whole("S" + "G.", (URL64, 22), ".", (URL64, 43)),
    "mailgun": whole("ke" + "y-", (HEX, 32)),
    "mailgun_new": whole((HEX, 32), "-", (HEX, 8), "-", (HEX, 8)),
    "mailchimp": whole((HEX, 32), "-u" + "s14"),
    "brevo": whole("xkey" + "sib-", (HEX, 64), "-", (ALNUM, 16)),
    "resend": whole("r" + "e_", (ALNUM, 8), "_", (ALNUM, 24)),
    "hubspot": whole("pa" + "t-na1-", "uuid"),
    "facebook": whole("EA" + "ACE", (ALNUM, 120)),
    "twitter_bearer": whole("A" * 22, (ALNUM, 20), "%" + "2B", (ALNUM, 40), "%3D", (ALNUM, 30)),
    "dropbox": whole("s" + "l.", (URL64, 135)),
    "mapbox": whole("s" + "k.eyJ", (ALNUM, 60), ".", (ALNUM, 22)),
    "twitch": whole("oauth" + ":", (LOWER, 30)),
    "newrelic": whole("NR" + "AK-", (UPPER, 27)),
    "newrelic_license": whole((HEX, 32), "FFFF" + "NRAL"),
    "sentry": whole("sntr" + "yu_", (HEX, 64)),
    "sentry_org": whole("sntr" + "ys_eyJ", (ALNUM, 80), "_", (BASE64, 43)),
    "sentry_dsn": within("https://{}@o1234.ingest.sentry.io/567", HEX, 32),
    "grafana": whole("gl" + "sa_", (ALNUM, 32), "_", (HEX, 8)),
    "grafana_cloud": whole("gl" + "c_", (BASE64, 100)),
    "honeycomb": whole("hc" + "aik_", (LOWER, 58)),
    "dynatrace": whole("dt0" + "c01.", (UPPER, 24), ".", (UPPER, 64)),
    "langfuse": whole("sk" + "-lf-", "uuid"),
    "langsmith": whole("ls" + "v2_pt_", (HEX, 32), "_", (HEX, 10)),
    "posthog": whole("ph" + "x_", (ALNUM, 43)),
    "logfire": whole("py" + "lf_v1_eu_", (ALNUM, 43)),
    "anthropic": whole("sk" + "-ant-api03-", (URL64, 93), "AA"),
    "anthropic_admin": whole("sk" + "-ant-admin01-", (URL64, 93), "AA"),
    "openai": whole("sk" + "-", (ALNUM, 20), "T3Blbk" + "FJ", (ALNUM, 20)),
    "openai_project": whole("sk" + "-proj-", (URL64, 120)),
    "openai_service": whole("sk" + "-svcacct-", (URL64, 120)),
    "openrouter": whole("sk" + "-or-v1-", (HEX, 64)),
    "deepseek": whole("sk" + "-", (HEX, 32)),
    "huggingface": whole("h" + "f_", (string.ascii_letters, 34)),
    "replicate": whole("r" + "8_", (ALNUM, 37)),
    "groq": whole("gs" + "k_", (ALNUM, 52)),
    "xai": whole("xa" + "i-", (ALNUM, 80)),
    "perplexity": whole("pp" + "lx-", (ALNUM, 48)),
    "together": whole("tg" + "p_v1_", (URL64, 43)),
    "nvidia": whole("nv" + "api-", (URL64, 64)),
    "pinecone": whole("pc" + "sk_", (ALNUM, 70)),
    "elevenlabs": whole("s" + "k_", (HEX, 48)),
    "voyage": whole("p" + "a-", (URL64, 43)),
    "jina": whole("ji" + "na_", (ALNUM, 60)),
    "tavily": whole("tv" + "ly-", (ALNUM, 32)),
    "firecrawl": whole("f" + "c-", (HEX, 32)),
    "apify": whole("api" + "fy_api_", (ALNUM, 36)),
    "wallet": whole("xp" + "rv", (BASE58, 107)),
    "stellar": whole("S", (BASE32, 55)),
    "jwt": _jwt,
    "jwt_unsigned": _jwt_unsigned,
    "jwe": _jwe,
    "private_key_rsa": pem("RSA PRIVATE " + "KEY"),
    "private_key_ec": pem("EC PRIVATE " + "KEY"),
    "private_key_pkcs8": pem("PRIVATE " + "KEY"),
    "private_key_pkcs8_encrypted": pem("ENCRYPTED PRIVATE " + "KEY"),
    "private_key_openssh": pem("OPENSSH PRIVATE " + "KEY"),
    "private_key_pgp": pem("PGP PRIVATE " + "KEY BLOCK"),
    "private_key_escaped": pem("PRIVATE " + "KEY", "\\n"),
    "private_key_cut": pem("RSA PRIVATE " + "KEY", cut=True),
    "private_key_cut_escaped": pem("PRIVATE " + "KEY", "\\n", cut=True),
    "private_key_headers": _pem_encrypted,
    "private_key_der": _der,
    "putty_key": _putty,
    "basic": _basic,
    "bearer": within("Bearer ", URL64, 40),
    "bearer_lower": within("bearer ", HEX, 32),
    "card": _card,
    "card_spaced": lambda rng: _card(rng, groups=" "),
    "card_dashed": lambda rng: _card(rng, groups="-"),
    "iban": _iban,
    "url_postgres": in_url("postgres"),
    "url_mysql": in_url("mysql+pymysql", "root", "10.0.0.5/app"),
    "url_mongodb": in_url("mongodb+srv", "admin", "cluster0.ab1cd.mongodb.net/?retryWrites=true"),
    "url_redis": in_url("redis", "", "cache:6379/0"),
    "url_amqp": in_url("amqp", "guest", "rabbit:5672//"),
    "url_https": in_url("https", "deploy", "git.example.com/team/repo.git"),
    "url_smtp": in_url("smtps", "mailer%40example.com", "smtp.example.com:465"),
    "password_hash_bcrypt": whole("$2b" + "$12$", (ALNUM + "./", 53)),
    "password_hash_argon2": whole("$argon2id" + "$v=19$m=65536,t=3,p=4$", (BASE64, 22), "$", (BASE64, 43)),
    "password_hash_django": whole("pbkdf2_" + "sha256$600000$", (ALNUM, 22), "$", (BASE64, 43), "="),
}
"""Secrets that are told by their shape, wherever they stand."""

NAMED: dict[str, tuple[tuple[str, ...], Callable[[random.Random], str]]] = {
    "password": (("password", "DB_PASSWORD", "userPassword", "passwd", "spring.datasource.password"), password),
    "passphrase": (("passphrase", "ssh_passphrase", "keyPassphrase"), password),
    "pwd": (("pwd", "mysql_pwd", "adminPwd"), password),
    "client_secret": (("client_secret", "clientSecret", "CLIENT-SECRET"), lambda rng: signs(rng, ALNUM, 32)),
    "app_secret": (("app_secret", "FACEBOOK_APP_SECRET", "secret"), lambda rng: signs(rng, HEX, 32)),
    "secret_key": (("SECRET_KEY", "secretKey", "django.secret_key"), lambda rng: signs(rng, URL64, 50)),
    "aws_secret": (
        ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "secretAccessKey"), lambda rng: signs(rng, BASE64, 40)),
    "api_key": (("api_key", "apiKey", "API_KEY", "x-api-key", "apikey", "DD-API-KEY"), lambda rng: signs(rng, HEX, 32)),
    "app_key": (("DD_APP_KEY", "appKey"), lambda rng: signs(rng, HEX, 40)),
    "heroku_api_key": (("HEROKU_API_KEY", "heroku_api_key"), uuid),
    "cloudflare_api_token": (("CLOUDFLARE_API_TOKEN", "cf_api_token"), lambda rng: signs(rng, URL64, 40)),
    "twilio_auth_token": (("TWILIO_AUTH_TOKEN", "authToken"), lambda rng: signs(rng, HEX, 32)),
    "okta_token": (("OKTA_API_TOKEN", "okta_token"), lambda rng: "00" + signs(rng, URL64, 40)),
    "algolia": (("ALGOLIA_ADMIN_KEY", "algolia_api_key"), lambda rng: signs(rng, HEX, 32)),
    "access_token": (("access_token", "accessToken", "ACCESS_TOKEN"), lambda rng: signs(rng, URL64, 40)),
    "refresh_token": (("refresh_token", "refreshToken"), lambda rng: signs(rng, URL64, 40)),
    "auth_token": (("auth_token", "X-Auth-Token", "_authToken"), lambda rng: signs(rng, ALNUM, 36)),
    "private_token": (("PRIVATE-TOKEN", "private_token"), lambda rng: signs(rng, ALNUM, 20)),
    "bot_token": (("SLACK_BOT_TOKEN", "bot_token"), lambda rng: signs(rng, ALNUM, 30)),
    "encryption_key": (("encryption_key", "FERNET_KEY", "encryptionKey"), lambda rng: signs(rng, BASE64, 43) + "="),
    "signing_key": (("signing_key", "SIGNING_KEY", "jwtSigningKey"), lambda rng: signs(rng, BASE64, 43)),
    "account_key": (("AccountKey", "storage_account_key"), lambda rng: signs(rng, BASE64, 86) + "=="),
    "session_id": (
        ("session_id", "sessionid", "PHPSESSID", "JSESSIONID", "sessionId"), lambda rng: signs(rng, HEX, 32)),
    "csrf": (("csrf_token", "csrfmiddlewaretoken", "X-CSRFToken", "xsrf_token"), lambda rng: signs(rng, ALNUM, 64)),
    "authorization": (("authorization", "Authorization", "proxy-authorization"), lambda rng: signs(rng, ALNUM, 32)),
    "otp": (("otp", "otp_code", "mfa_code", "verification_code"), lambda rng: signs(rng, string.digits, 6)),
    "pin": (("pin", "card_pin", "pinCode"), lambda rng: signs(rng, string.digits, 4)),
    "cvv": (("cvv", "card_cvc", "cvv2"), lambda rng: signs(rng, string.digits, 3)),
    "ssn": (("ssn", "social_security_number"), lambda rng: f"{signs(rng, '12345', 3)}-{signs(rng, '1234', 2)}-1234"),
    "jwt_secret": (("JWT_SECRET", "jwtSecret"), lambda rng: signs(rng, ALNUM + "!@", 24)),
    "webhook_secret": (("webhook_secret", "GITHUB_WEBHOOK_SECRET"), lambda rng: signs(rng, ALNUM, 30)),
    "credentials": (("credentials", "db_credentials"), lambda rng: signs(rng, ALNUM, 20)),
    "license_key": (("license_key", "LICENSE_KEY"), lambda rng: signs(rng, UPPER, 25)),
    "service_key": (("stripe_key", "OPENAI_KEY", "mapsKey", "SENDGRID_KEY"), lambda rng: signs(rng, ALNUM, 32)),
}  # fmt: skip
"""Secrets that are told by their name: names, and a value."""
