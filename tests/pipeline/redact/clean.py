"""Log lines with nothing to hide, of many programs, chosen to look like secrets where honest logs do.

`LINES` (clean.txt) were written by hand; `generated` fills templates with random ids, digests, numbers and names.
`DOCUMENTS` are attributes as services log them.
"""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monitoring.pipeline.redact.checksums import is_card

__all__ = ["DOCUMENTS", "LINES", "documents", "generated"]

LINES: tuple[str, ...] = tuple((Path(__file__).parent / "clean.txt").read_text().splitlines())

DOCUMENTS: tuple[dict[str, Any], ...] = (
    {"user_id": 7, "path": "/api/v1/tokens/12", "duration_ms": 31, "status": 200},
    {"model": "gpt-4o", "usage": {"prompt_tokens": 900, "completion_tokens": 120, "total_tokens": 1020}},
    {"usage": {"prompt_tokens_details": {"cached_tokens": 512, "audio_tokens": 0}}},
    {"max_tokens": 4096, "token_count": 12, "tokens": [1, 15043, 29892], "tokens_per_second": 52.25},
    {"token": 15043, "logprob": -0.3111111111111111, "text": " the"},
    {"eos_token": "</s>", "pad_token": "[PAD]", "bos_token_id": 1, "tokenizer": "meta-llama/Llama-3.1-8B"},
    {"next_token": "eyJsYXN0IjoxMjN9", "page_token": "CAUQAA", "continuation_token": "abc"},
    {"cache_key": "user:42", "primary_key": "id", "key": "orders/2025/10/10", "hit": True},
    {"idempotency_key": "6f1a3c1e-8f0f-4a52-9d5e-2b7a9f1c3d4e", "partition_key": "2025-10-10"},
    {"password": None, "secret": "", "token": None, "has_password": True, "authenticated": False},
    {"password_reset_sent": True, "password_age_days": 31, "password_policy": {"min_length": 12, "digits": True}},
    {"secret_name": "prod/db", "secret_count": 3, "secret_path": "secret/data/app", "secret_version": 4},
    {"cookie_consent": True, "cookie_count": 4, "cookies_enabled": True},
    {"session_duration": 3600, "session_count": 12, "sessions": 4},
    {"author": "alice", "authority": "api.example.com", "auth_method": "oauth2", "authenticated": True},
    {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7", "sampled": True},
    {"commit": "9fceb02d0ae598e95dc970b74767f19372d61af8", "digest": "sha256:" + "0123456789abcdef" * 4},
    {"request_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "parent": "req_011CSHoEeqs5C35K2UUqR7Fy"},
    {"order": 4111111111111112, "epoch_us": 1760104536123456, "loss": 0.4111111111111111, "id": 1425431246283378708},
    {"email": "bob@example.com", "phone": "+49 30 1234567", "url": "https://example.com/a?page=2&sort=asc"},
    {"errors": {"email": ["already taken"]}, "fields": ["username", "email"]},
    {"passed": 12, "failed": 0, "skipped": 1, "pass_rate": 0.92},
    {"private_key_path": "/etc/ssl/private/server.key", "public_key": "ssh-ed25519"},
    {"env": [{"name": "LANG", "value": "C"}, {"name": "TOKEN_LIMIT", "value": "4096"}]},
    {"headers": {"host": "api.example.com", "user-agent": "curl/8.4.0", "accept": "*/*"}},
    {"argv": ["python", "-m", "train", "--max-tokens", "512", "--tokenizer", "bert-base-uncased"]},
    {"gpu": {"util": 93, "mem_mb": 40536, "name": "NVIDIA H100 80GB HBM3"}, "node": "ip-10-0-1-23"},
    {"sql": "SELECT id, password FROM users WHERE token = $1", "rows": 1},
    {"pin_memory": True, "spin": 3, "pan": 45, "pincode": "110001"},
    {"image_hash": "rL0Y20zC+Fzt72VPzMSk2A==", "integrity": "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
)

_TEMPLATES = (
    "trace_id={hex32} span_id={hex16} took={ms}ms",
    "traceparent: 00-{hex32}-{hex16}-01",
    "request {uuid} finished with {status} in {ms} ms",
    "commit {hex40} by {word} on branch {word}/{word}-{n}",
    "pulled {word}@sha256:{hex64}",
    "etag={hex32} size={n}",
    "pod/{word}-{hex10}-{low5} restarted {n} times",
    "user_id={n} order={digits16} total={float}",
    "loss={float} grad_norm={float} lr={float} step={n}",
    "prompt_tokens={n} completion_tokens={n} total_tokens={n} cost={float}",
    "cache hit key={word}:{n}:{word} ttl={n}",
    "cache_key={hex64} hit=true",
    "span {hex16} parent {hex16} service={word}",
    '{{"level":"info","msg":"{word} {word}","request_id":"{uuid}","ms":{ms}}}',
    '{ip} - - [10/Oct/2025:13:55:36 +0000] "GET /{word}/{n}?page={n} HTTP/1.1" {status} {n}',
    "GET https://{word}.example.com/{word}/{uuid}?limit={n}&offset={n} {status} {ms}ms",
    'File "/app/{word}/{word}.py", line {n}, in {word}',
    "s3://{word}-bucket/{word}/{hex32}/part-{n}.parquet",
    "message_id=<{hex16}.{n}@mail.example.com>",
    "msg_01{mixed22} stop_reason=end_turn output_tokens={n}",
    "chatcmpl-{mixed28} model={word}-{n}",
    "image sha1 {base28} uploaded by {word}",
    "sha256-{base43}= verified",
    "ulid 01{crock24} enqueued",
    "epoch_us={us} epoch_ns={us}{d3}",
    "sequence {digits19} committed at offset {n}",
    "kafka partition {word}-{n} offset {n} lag {n} group {uuid}",
    "peer {hex40}:{n} connected",
    "git {hex7}..{hex7} {word} -> {word}",
    "session {n} opened for {word} by uid={n}",
)


def generated(rng: random.Random, count: int) -> Iterator[str]:
    """So many lines from the templates."""
    for index in range(count):
        yield _Filler(rng).filled(_TEMPLATES[index % len(_TEMPLATES)])


def documents(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """So many attributes of requests and training steps."""
    for _ in range(count):
        fill = _Filler(rng)
        yield {
            "user_id": rng.randrange(10**6),
            "path": fill.filled("/{word}/{n}/{word}"),
            "request_id": fill.filled("{uuid}"),
            "trace_id": fill.filled("{hex32}"),
            "etag": fill.filled("{hex32}"),
            "usage": {"prompt_tokens": rng.randrange(4000), "completion_tokens": rng.randrange(900)},
            "loss": rng.random() * 5,
            "duration_ms": rng.randrange(3000),
            "tags": [fill.filled("{word}"), fill.filled("{word}-{n}")],
        }


class _Filler(dict[str, str]):
    """Random words, numbers and digests by name: `hex32`, `mixed22`, `digits16`."""

    _ALPHABETS = (
        ("hex", "0123456789abcdef"),
        ("mixed", string.ascii_letters + string.digits),
        ("low", string.ascii_lowercase + string.digits),
        ("base", string.ascii_letters + string.digits + "+/"),
        ("crock", "0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
        ("d", string.digits),
    )
    _WORDS = (
        "token",
        "password",
        "secret",
        "model",
        "cache",
        "worker",
        "auth",
        "key",
        "session",
        "cookie",
        "shard",
        "orders",
        "gateway",
        "trainer",
        "prompt",
        "batch",
        "tokenizer",
        "author",
        "checkout",
        "search",
    )

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def filled(self, template: str) -> str:
        """The template with fresh values."""
        pieces = []
        for text, name, _, _ in string.Formatter().parse(template):
            pieces += [text, self._made(name) if name else ""]
        return "".join(pieces)

    def _made(self, name: str) -> str:
        rng = self._rng
        if name == "digits16":
            while is_card(number := str(rng.randrange(10**15, 10**16))):
                pass
            return number
        simple = {
            "word": lambda: rng.choice(self._WORDS),
            "n": lambda: str(rng.randrange(1, 10 ** rng.randrange(1, 7))),
            "ms": lambda: str(rng.randrange(1, 3000)),
            "status": lambda: rng.choice(("200", "204", "301", "404", "500")),
            "float": lambda: repr(rng.random() * rng.choice((1, 6, 60))),
            "ip": lambda: ".".join(str(rng.randrange(1, 255)) for _ in range(4)),
            "us": lambda: str(1_760_000_000_000_000 + rng.randrange(10**13)),
            "uuid": lambda: "-".join(self._made(f"hex{size}") for size in (8, 4, 4, 4, 12)),
            "digits19": lambda: str(rng.randrange(10**18, 10**19)),
            "base28": lambda: base64.b64encode(rng.randbytes(20)).decode(),
        }
        if name in simple:
            return simple[name]()
        kind = name.rstrip(string.digits)
        return "".join(rng.choices(dict(self._ALPHABETS)[kind], k=int(name[len(kind) :])))
