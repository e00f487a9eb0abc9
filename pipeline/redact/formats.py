"""Secrets that a standard or a habit gives their form, whoever issued them."""

from __future__ import annotations

from monitoring.pipeline.redact import checks
from monitoring.pipeline.redact.checksums import IBAN_LENGTHS
from monitoring.pipeline.redact.opacity import has_random_run
from monitoring.pipeline.redact.shape import Shape, Where

__all__ = ["FORMATS"]

_BEGIN = "-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
_KEY = r"PRIVATE(?: |%20|\+)KEY"
_BODY = r"(?:[^-]|-{1,3}[^-])*-{4,5} ?END [A-Z0-9 ]{0,40}KEY(?: BLOCK)? ?-{4,5}"
"""Up to the end of this key; it stops at the beginning of any other block."""
_FILLER = r"""(?:\s|\\+[nrt]|["',+|>]|&#10;|%0[aAdD])*"""
"""What separates the lines of a key in a log: newlines, escaped or not, and the signs of lists of strings."""
_CUT = (
    rf"(?:{_FILLER}(?:(?:Proc-Type|DEK-Info|Version|Comment): ?[^\n\\]{{0,200}}|[A-Za-z0-9+/=]{{16,}}))*"
    rf"(?:{_FILLER}[A-Za-z0-9+/]+={{1,2}})?"
)
"""A key whose end is missing goes as far as its lines do."""
_DER = (
    "(?:MII[A-Z][vwp][A-Za-z]IBADANBgkqhkiG9w0BAQEFAASC|MII[A-Za-z]{3}IBAAKC[A-Z0-9]|MIG[HT]AgEAM|MHcCAQEEI|MC4CAQAwB"
    "|b3BlbnNzaC1rZXktdjE|LS0tLS1CRUdJTi(?:BQUklWQVRF|BSU0Eg|BFQyBQ|BPUEVOU1NI|BFTkNSWVBU|BEU0Eg|BQR1AgUFJJ))"
)
"""How private keys begin in base 64: PKCS 8 and PKCS 1 of RSA, EC, Ed25519, OpenSSH, and a PEM file encoded again."""

_KEYS = (
    Shape("private_key", "private key in PEM (RSA, EC, OpenSSH, PGP, ...), whole or cut short, with newlines or `\\n`",
          _KEY, _BEGIN + _BODY, word=False),
    Shape("private_key", "", _KEY, _BEGIN + _CUT, word=False),
    Shape("private_key", "", _KEY, "-{4,5}BEGIN(?:%20|[+])[A-Z0-9%+]{0,60}KEY-{4,5}[A-Za-z0-9+/=%]*", word=False),
    Shape("private_key", "", _DER, rf"{_DER}(?:(?:\s|\\+[nr])?[A-Za-z0-9+/]{{4,}})*={{0,2}}", Where.EDGE),
    Shape("private_key", "", r"""["'\\]d\\*["']\s*:\s*\\*["'][A-Za-z0-9_-]{40}""",
          r"""["']d["']\s*:\s*["']([A-Za-z0-9_-]{40,})["']""", word=False),
    Shape("putty_key", "private part of a PuTTY key", "Private-Lines:",
          rf"Private-Lines: ?[0-9]+((?:{_FILLER}(?:Private-MAC|Private-Hash|[A-Za-z0-9+/=]{{2,}}):? ?)*)"),
    Shape("jwt", "JSON web token: signed, unsigned, encrypted (JWE), or encoded twice", "eyJ",
          r"eyJ[A-Za-z0-9_-]{8,}\.{1,2}[A-Za-z0-9_-]{8,}(?:\.{1,2}[A-Za-z0-9_-]+)*", Where.TOKEN),
    Shape("paseto", "PASETO token", r"v[1-4]\.(?:local|public)\.",
          r"v[1-4]\.(?:local|public)\.[A-Za-z0-9_.-]{40,}", Where.TOKEN),
    Shape("jwt", "", "ZXlK", "ZXlK[A-Za-z0-9+/]{40,}={0,2}", Where.TOKEN),
)  # fmt: skip

_SCHEMES = (
    Shape("bearer", "token after `Bearer`", "bearer",
          r"""(?i:bearer)(?:\s+|%20|\+|[:=]\s?)["']?([A-Za-z0-9._~+/|%-]{8,}=*)""", Where.WORD,
          check=checks.token_of_bearer),
    Shape("basic", "user and password after `Basic`, in base 64", r"basic(?:\s|%20|\+|:|\\[nrt])",
          r"(?i:basic)(?:\s+|%20|\+|:\s?)([A-Za-z0-9+/_-]{6,}(?:=|%3[dD]){0,2})", Where.WORD,
          check=checks.user_and_password),
    Shape("auth_scheme", "token after `SSWS`, `GenieKey`, `Splunk`, `Bot`, `ApiKey`, `Token`, `Negotiate`, `NTLM`",
          "(?:SSWS|GenieKey|Splunk|ApiKey|Negotiate|NTLM|Bot|Token) [a-z0-9._~+/-]{20}",
          r"(?:SSWS|GenieKey|Splunk|Bot|(?i:ApiKey|Token|Negotiate|NTLM)) ([A-Za-z0-9._~+/-]{20,}=*)", Where.WORD,
          check=has_random_run),
    Shape("auth_scheme", "", "(?:SSWS|GenieKey|Splunk|ApiKey|Negotiate|NTLM|Bot|Token) [a-z0-9._~+/-]{20}",
          r"(?:SSWS|GenieKey|Splunk) ([0-9a-fA-F-]{32,36})\b", Where.WORD),
    Shape("aws_sigv4", "signature of a signed AWS request", "AWS4-HMAC-SHA256",
          r"AWS4-HMAC-SHA256 (Credential=[^\s,]+,\s*SignedHeaders=[^\s,]+,\s*Signature=[0-9a-f]+)"),
    Shape("aws_sigv4", "", "AWS [A-Z0-9]{16}", r"AWS ([A-Z0-9]{16,}:[A-Za-z0-9+/]{27,}=)", Where.EDGE),
    Shape("oauth_code", "authorization code in an address", "[?&]code(?:=|%3[dD])[A-Za-z0-9_./%~-]{20}",
          "[?&]code(?:=|%3[dD])([A-Za-z0-9_./%~-]{20,})", word=False, check=checks.encoded),
)  # fmt: skip

_HOST = r"[A-Za-z0-9\[_%{$-]"
_URL = r"""://(?:[^\s"'<>\\\x1e]|\\[^\x1e])*@"""
_URL_ENCODED = "%3[aA]%2[fF]%2[fF]"

_ADDRESSES = (
    Shape("url_password", "password (or a token in the user's place) in an address of any scheme, DSN or URL",
          _URL, rf"""://([^\s/?#@:"'<>\[\\]{{20,}}(?::[^\s/?#"'<>@]*)?)@{_HOST}""", Where.LINE,
          word=False, check=checks.token_as_user),
    Shape("url_password", "", _URL, rf"""://[^\s/?#@:"'<>\[\\]*:([^\s/?#"'<>]+)@{_HOST}""", Where.LINE,
          word=False, check=checks.password_of_url),
    # The password has / ? or # in it; what begins with digits and one of these is a port and its path.
    Shape("url_password", "", _URL,
          r"""://[^\s/?#@:"'<>\[\\]*:([^\s"'<>/?#,]*[^\s"'<>/?#,0-9][^\s"'<>/?#,]*[/?#][^\s"'<>]*)@[A-Za-z0-9_-]""",
          Where.LINE, word=False, check=checks.password_of_url),
    Shape("url_password", "", _URL_ENCODED,
          _URL_ENCODED + "[A-Za-z0-9._~-]*(?:%3[aA]|:)([A-Za-z0-9._~%!$*-]+?)%40[A-Za-z0-9]", word=False),
    Shape("url_password", "", r"""[A-Za-z0-9_.-]:[^\s:/@"'<>,;\\\x1e]+@(?:tcp\(|[A-Za-z0-9.-]*:[0-9])""",
          r"""[A-Za-z0-9_.-]+:([^\s:/@"'<>,;]+)@(?:tcp\(|[A-Za-z0-9.-]+:[0-9]{2,5}\b)""", Where.LINE,
          check=checks.no_placeholder),
    Shape("url_password", "", r"thin:[^/@\s\x1e]+/", r"""thin:[^/@\s]{1,64}/([^@\s"']+)@""", Where.LINE),
)  # fmt: skip

_HASHES = (
    Shape("password_hash", "hash of a password (bcrypt, argon2, scrypt, crypt, PBKDF2, LDAP)",
          r"\$(?:2[abxy]|argon2|scrypt|pbkdf2|apr1|y|[1567])[a-z0-9-]*\$",
          r"""\$(?:2[abxy]|argon2[a-z]{0,2}|scrypt|pbkdf2[a-z0-9-]*|apr1|y|[1567])\$[^\s"'<>;\\)\]]{20,}""",
          word=False),
    Shape("password_hash", "", "pbkdf2[_:]sha|scrypt:[0-9]",
          r"""(?:pbkdf2[_:]sha[0-9]+[:$][0-9]+|scrypt:[0-9:]+)\$[^\s"'$]+\$[A-Za-z0-9+/=]{20,}""", word=False),
    Shape("password_hash", "", r"\{S?SHA[0-9]*\}", r"\{S?SHA[0-9]*\}[A-Za-z0-9+/]{20,}={0,2}", word=False),
)  # fmt: skip

_COUNTRY = f"(?:{'|'.join(IBAN_LENGTHS)})"

_NUMBERS = (
    Shape("card", "payment card number that passes Luhn, with an issuer's prefix and length",
          r"(?:^|[^0-9.A-Za-z]|\\[nrtbf]|\\u00[01][0-9a-f]|\[[0-9;]*m|%[0-9A-Fa-f]{2})"
          "(?:(?:2[2-7]|[3-8][0-9])[0-9]{12}"
          "|(?:2[2-7]|[3-8][0-9])[0-9]{2}[ -][0-9]{4}[ -]?[0-9]{2}[ -]?[0-9]{2})",
          "(?:[0-9]{14,16}|[0-9]{4}(?: [0-9]{4}){3}|[0-9]{4}(?:-[0-9]{4}){3}"
          "|[0-9]{4} [0-9]{6} [0-9]{4,5}|[0-9]{4}-[0-9]{6}-[0-9]{4,5})", check=checks.card),
    Shape("iban", "bank account number (IBAN) that passes its check",
          f"{_COUNTRY}[0-9]{{2}} ?[A-Z0-9]{{4}} ?[A-Z0-9]{{4}}",
          rf"{_COUNTRY}[0-9]{{2}}(?: ?[A-Z0-9]{{4}}){{2,7}}(?: ?[A-Z0-9]{{1,3}})?\b", Where.EDGE, check=checks.iban),
)  # fmt: skip

_OTHERS = (
    Shape("generic_key", "another random word after `sk_`, `key_`, `secret_`, `token_`, `pat_`, `live_` and the like",
          "(?:sk|rk|pat|secret|token|apikey|key|live|priv|auth|access)[_-](?:[a-z0-9]{1,8}[_-])?[A-Za-z0-9]{20}",
          "(?:[a-z0-9]{1,12}[_-]){0,2}(?:sk|rk|pat|secret|token|apikey|key|live|priv|auth|access)[_-]"
          "(?:[a-z0-9]{1,8}[_-])?[A-Za-z0-9]{20,}", Where.EDGE, check=checks.generic),
)  # fmt: skip

FORMATS: tuple[Shape, ...] = (*_KEYS, *_SCHEMES, *_ADDRESSES, *_HASHES, *_NUMBERS, *_OTHERS)
