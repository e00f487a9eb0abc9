"""Passwords in commands: of a shell, of SQL, of a protocol, of a program's source."""

from __future__ import annotations

from monitoring.pipeline.redact import checks
from monitoring.pipeline.redact.shape import Shape, Where

__all__ = ["COMMANDS"]

_ARGUMENTS = r"\s(?:[^\n|;]*?\s)??"
"""What stands between a program and its password, as little as there is: a line may hold several commands."""
_GIVEN = r"""["']?([^\s"'<>|;&\\]+)"""

COMMANDS: tuple[Shape, ...] = (
    Shape("command_password", "password on a command line (curl, wget, mysql, redis-cli, sshpass, docker login, ...)",
          r"""(?:^|[\s"'\x1e]|\\[nt])(?:-u|--user|--proxy-user)(?:[ =]|\\?["'])""",
          r"""(?:-u|--user|--proxy-user)(?: +|=|["'], ?)?["']?[^\s:"']+:([^\s"']+)""",
          word=False, check=checks.no_ids),
    Shape("command_password", "", r"""(?:mysql[a-z]*|mariadb[a-z-]*|mycli)\s[^\n|;\x1e]*-p[^\s"\x1e]""",
          rf"""(?:mysql[a-z]*|mariadb[a-z-]*|mycli){_ARGUMENTS}-p([^\s"'-][^\s"']*)""", Where.LINE),
    Shape("command_password", "", r"(?:sshpass|redis-cli|login|ldap[a-z]{3,8}|7z|zip)\s[^\n|;\x1e]*-[pawP]",
          rf"(?:sshpass\s+-p\s*|redis-cli{_ARGUMENTS}-a\s+|(?:un)?zip{_ARGUMENTS}-P\s+|7z{_ARGUMENTS}-p"
          rf"|(?:docker|podman|helm|oc|az){_ARGUMENTS}login{_ARGUMENTS}-p\s+|ldap[a-z]{{3,8}}{_ARGUMENTS}-w\s+){_GIVEN}",
          Where.LINE, check=checks.no_placeholder),
    Shape("command_password", "", r"(?:mongo[a-z]*|cqlsh)\s[^\n|;\x1e]*-p\s",
          rf"""(?:mongo[a-z]*|cqlsh){_ARGUMENTS}-p\s+["']?([^\s"'<>|;&\\-][^\s"'<>|;&\\]*)""",
          Where.LINE, check=checks.no_placeholder),
    Shape("command_password", "", r"sqlplus\s[^\n|;\x1e]*[A-Za-z0-9_]/",
          r"""sqlplus\s+(?:-\S+\s+)*[^\s/]+/([^\s@/"']+)""", Where.LINE, check=checks.no_placeholder),
    Shape("command_password", "", r"wandb\s+login\s", r"wandb\s+login\s+(?:-\S+\s+)*([0-9a-f]{40})\b", Where.LINE),
    Shape("command_password", "", r"-pass(?:in|out|word)?\s+pass:",
          rf"-(?:pass|passin|passout|password)\s+pass:{_GIVEN}", word=False, check=checks.no_placeholder),
    Shape("sql_password", "password in an SQL statement", r"identified\s+(?:with|by)",
          r"""(?i:identified\s+(?:with\s+[^\s]+\s+)?(?:by|as)\s+(?:password\s+)?)["']([^"'\n]+)["']""", Where.WORD),
    Shape("sql_password", "", r"""password\s*\(?\s*\\*["']""",
          r"""\b(?:PASSWORD(?:\s+|\()|(?i:with\s+(?:encrypted\s+)?password)\s+)["']([^"'\n]+)["']""",
          Where.WORD, word=False, check=checks.no_placeholder),
    Shape("cookie", "cookies on curl's command line", r"curl\s[^\n|;\x1e]*(?:-b|--cookie)[ =]",
          rf"""curl{_ARGUMENTS}(?:-b|--cookie)[ =]["']?([^\s"'=]+=[^"'\n]+)""", Where.LINE),
    Shape("netrc_password", "password in .netrc", r"login\s+[^\s\x1e]+\s+password",
          r"login\s+[^\s]+\s+password\s+([^\s]+)", Where.LINE),
    Shape("protocol_password", "password in a command of Redis or SMTP", r"""auth\\*["']""",
          r"""["'](?i:auth)["'],?(?:\s*["'][^"'\n]*["'],?)?\s*["']([^"'\n]+)["']""", Where.WORD, word=False),
    Shape("protocol_password", "", "AUTH (?:PLAIN|LOGIN|XOAUTH2|CRAM-MD5) ",
          "AUTH (?:PLAIN|LOGIN|XOAUTH2|CRAM-MD5) ([A-Za-z0-9+/]{8,}={0,2})"),
    Shape("protocol_password", "", "requirepass|masterauth",
          rf"""(?i:requirepass|masterauth)["']?[\s=:]+{_GIVEN}""", Where.WORD, check=checks.no_placeholder),
    Shape("auth_pair", "password given to a client (`auth=(user, password)`, HTTPBasicAuth)",
          r"""auth\\*["']?\s*[:=]?\s*\(""",
          r"""(?i:auth)["']?\s*[:=]?\s*\(\s*[bu]?["'][^"'\n]*["']\s*,\s*[bu]?["']([^"'\n]+)["']""",
          Where.WORD, word=False),
)  # fmt: skip
