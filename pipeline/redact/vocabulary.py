"""The words that sensitive names are made of, and those that make such a name harmless."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ABOUT", "CONCEPTS", "GLUED", "KEY_OWNERS", "PART", "Concept"]


class Concept(NamedTuple):
    """Words, in a row, that name a secret.

    `strong`: the value is hidden whatever it looks like. `loose`: any words may follow but those of `ABOUT`, else only
    those of `PART`. `not_after`: words that must not stand just before. `owned`: some word must stand before.
    """

    kind: str
    phrases: tuple[str, ...]
    strong: bool = True
    loose: bool = True
    not_after: frozenset[str] = frozenset()
    owned: bool = False


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in text.split(","))


ABOUT = _set(
    "about accepted action active age agent algo algorithm algorithms allowed arn at attempt attempts available "
    "banner bits bucket bytes cache cached category change changed changes char chars check checked checker checks "
    "class cleanup column complexity consent correct count counter counts created date days decision deleted dialog "
    "dir directory disabled domain duration enabled encoder encryption endpoint engine entropy error errors event "
    "exists exp expected expiration expire expired expires expiring expiry fail failed failure failures feature field "
    "fields file filename files fingerprint flow folder forgot form format found generated generator grace granted "
    "group handler has hasher hashers help hint history host hours httponly id ids incorrect index input interval "
    "invalid is issued issuer iterations jar kind label labels last latency leeway len length level lifetime limit "
    "limits link loc location lock locked log logged manager management match matched matches max maximum message "
    "method methods min minimum minutes mismatch missing mode model modified mount mounts ms name named names "
    "namespace needed notification ok on operation option options owner page panel param params parser path paths "
    "pattern per permission permissions placeholder plugin policies policy pool position prefix presence present "
    "prompt prompts provider providers quota rate ratio reason recovery ref reference references refs regex rejected "
    "reminder removed request requested requests required requirement requirements requires reset resets resource "
    "response result revoked role rotate rotated rotation rounds rule rules samesite santa sauce schema scope scopes "
    "score screen seconds secure seen selector server service set setting settings size source spec speed stale state "
    "states stats status stdin storage store stores strategy strength success suffix support supported sync table "
    "task template threshold time timeout timestamp total ttl type types unset updated uri uris url urls usage usages "
    "used username valid validated validation validator validators validity verification verified verify version "
    "versions view visible wrong"
)
"""Words behind a secret's name that make it something about the secret."""

PART = _set(
    "b64 backup base base64 code codes confirm confirmation current data decoded dev encoded env hash header hex jwt "
    "key live new old plain plaintext prev previous primary prod production raw secondary secret secrets staging str "
    "string text val value values"
)
"""Words behind an ambiguous name that leave it what it is; numbers do too."""

_ASKING = _set(
    "allow allows bad can count disable disables enable enables expect expected expired forgot has hide incorrect "
    "invalid is length max min missing must need needs no num number require required requires should show total "
    "unknown use used uses using want without wrong"
)
"""Words before a secret's name that ask about it."""

_NO_TOKEN = _set(
    "added audio batch begin bos cached cancel cancellation chunk class cls code completion context continuation "
    "cost cursor decode decoded decoder decoding delimiter draft dummy each embedding end eos eot fence fencing "
    "first free generated generation image img inter input json k last lexer mask mean model ms n next or out output "
    "pad padding page paging pagination parse parser per prev previous prompt reasoning sec second seconds sep "
    "separator special start starts stop symbol sync syntax text think thinking time top unk video vocab word words"
)
"""Words before `token` that make it a piece of text or a place in a list."""

_NO_KEY = _set(
    "artifact attribute blob bucket business cache checkpoint column composite config cursor dataset dedup "
    "deduplication dict event experiment feature field file flag foreign group hash host hot idempotency idempotent "
    "image index job join label lock lookup map message metric natural object order param partition primary prompt "
    "pub public publishable query queue range redis registry request response result row routing run s3 sequence "
    "shard sort sorting surrogate tag task trace translation unique"
)
"""Words before `key` that make it an address or an identity."""

_OWNERS = (
    "access account activation admin aes api app application auth authentication authorization client consumer "
    "cookie dec decrypt decryption deploy deployment developer device django enc encrypt encryption fernet function "
    "functions gpg hmac ingest ingestion instrumentation integration join jwt license master pgp preshared priv "
    "private provisioning rails recovery registration root rsa secret security server service session shared sign "
    "signing ssh storage subscription symmetric token unseal user vault webhook wg wireguard write"
)
_SERVICES = (
    "adyen airtable alchemy algolia amplitude anthropic asana aws azure binance bitbucket bittrex box braintree "
    "bugsnag circleci claude cloudflare codecov cohere coinbase contentful datadog dd deepseek digitalocean discord "
    "docker dropbox elastic elasticsearch etherscan facebook figma firebase gcp gemini giphy github gitlab google "
    "grafana groq heroku honeycomb hubspot huggingface infura instagram intercom jira kraken kucoin langchain "
    "langfuse langsmith linear linkedin mailchimp mailgun mailjet mapbox maps meili meilisearch messagebird mistral "
    "mixpanel newrelic newsapi nexmo notion npm okta openai opsgenie openweather pagerduty paypal pinecone plaid "
    "plivo postmark pypi qdrant rapidapi razorpay replicate rollbar salesforce segment sendgrid sentry shopify "
    "slack snyk sonar splunk square stripe sumologic telegram tmdb together travis trello twilio twitter typesense "
    "vonage wandb weather weaviate zendesk"
)
KEY_OWNERS = (*_OWNERS.split(), *_SERVICES.split())
"""Words before `key` that make it a secret; services whose credential is known as their key among them."""

CONCEPTS: tuple[Concept, ...] = (
    Concept(
        "password",
        _phrases("password, passwords, passwd, passphrase, passphrases, pass phrase, pass word, passcode, pwd, psw, "
                 "pw, psk, passwort, kennwort, senha, contrasena, contraseña, mot de passe, wachtwoord, parola, haslo, "
                 "hasło, пароль, 密码, 密碼, "
                 "비밀번호, パスワード"),
        not_after=_ASKING),
    Concept("password", ("pass",), loose=False, not_after=_ASKING | _set("backward by first forward one second two")),
    Concept(
        "secret", _phrases("secret id, secret, secrets, fernet, pepper"),
        not_after=_ASKING | _set("existing open pull top")),
    Concept("credentials", _phrases("credential, credentials, cred, creds"), loose=False, not_after=_ASKING),
    Concept("private_key", _phrases("private key, priv key, ssh key, rsa key, pgp key, gpg key"), not_after=_ASKING),
    Concept("api_key", (*(f"{owner} key" for owner in KEY_OWNERS), "api keys", "access keys"), not_after=_ASKING),
    Concept("api_key", ("key",), strong=False, loose=False, not_after=_NO_KEY, owned=True),
    Concept(
        "token",
        _phrases("token, jwt, bearer, assertion, saml response, saml request, samlresponse, samlrequest"),
        loose=False, not_after=_NO_TOKEN | _ASKING),
    Concept("token", _phrases("token, tokens, pat"), strong=False, not_after=_NO_TOKEN | _ASKING),
    Concept("token", _phrases("authorization code, device code, code verifier, oauth verifier"), loose=False),
    Concept(
        "authorization",
        _phrases("authorization, authorisation, auth header, x auth, basic auth, http auth, proxy auth"),
        loose=False, not_after=_ASKING),
    Concept("authorization", _phrases("auth, authentication"), strong=False, loose=False),
    Concept("cookie", _phrases("cookie, cookies"), loose=False, not_after=_ASKING),
    Concept(
        "session",
        _phrases("session id, session key, session hash, sess id, sessid, phpsessid, jsessionid, connect sid"),
        loose=False, not_after=_ASKING),
    Concept("session", _phrases("session, sid, sess"), strong=False, loose=False),
    Concept("csrf", _phrases("csrf, xsrf, csrfmiddlewaretoken, authenticity token"), not_after=_ASKING),
    Concept(
        "otp",
        _phrases("otp, totp, hotp, one time password, one time code, mfa code, verification code, two factor code, "
                 "sms code, security code, backup code, backup codes, recovery code, recovery codes, auth code, "
                 "access code, pin code, activation code, login code"),
        loose=False, not_after=_ASKING),
    Concept(
        "pin", ("pin",),
        loose=False, not_after=_ASKING | _set("bcm board clock data gpio i2c input led output pwm reset spi")),
    Concept(
        "card",
        _phrases("card number, card no, card num, cc number, cc num, ccnum, credit card, debit card, card pan, pan, "
                 "cvv, cvc, cvn"),
        loose=False),
    Concept(
        "ssn", _phrases("ssn, social security number, social security, social insurance number"), loose=False),
    Concept("seed_phrase", _phrases("mnemonic, seed phrase, recovery phrase, seed words"), loose=False),
    Concept(
        "signature", _phrases("x amz signature, x goog signature, x amz credential, x goog credential"), loose=False),
)  # fmt: skip
"""All names that are sensitive, in order of preference at the same place of a name."""

GLUED = tuple(
    (kind, tuple(ends.split()))
    for kind, ends in (
        ("password", "adminpw bindpw dbpass dbpw keypass passcode passphrase passwd password passwort pwd requirepass "
                     "rootpw storepass userpass userpw"),
        ("secret", "secret"),
        ("private_key", "privatekey privkey sshkey"),
        ("api_key", "accesskey accountkey apikey appkey authkey clientkey encryptionkey instrumentationkey licensekey "
                    "masterkey secretkey sharedkey signingkey subscriptionkey"),
        ("token", "accesstoken apitoken authtoken bearertoken bottoken deploytoken devicetoken githubtoken gitlabtoken "
                  "idtoken invitetoken logintoken oauthtoken pushtoken refreshtoken resettoken securitytoken "
                  "sessiontoken slacktoken usertoken webtoken"),
        ("csrf", "csrftoken xsrftoken"),
        ("authorization", "authorization"),
        ("card", "cardno cardnumber ccnumber creditcard"),
        ("session", "sessid sessionid sessionkey"),
        ("cookie", "authcookie sessioncookie setcookie"),
    )
)  # fmt: skip
"""Words written together in lower case, and how they end: `mysqlpassword`, `useraccesstoken`."""
