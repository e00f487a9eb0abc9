"""Keys and the file they live in."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.errors import PermanentError, StoreCorrupt
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.keys import ROLES, Keys, allows, ensure_admin_key

SECOND = 10**9


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> Keys:
    return Keys(Control(tmp_path / "control.db"), now_ns=clock)


def test_a_key_is_told_once_and_only_its_hash_is_stored(keys: Keys, tmp_path: Path) -> None:
    key, text = keys.create("shipper", "ingest")
    mark, prefix, secret = text.split("_")
    assert (mark, prefix) == ("mon", key.prefix)
    assert len(bytes.fromhex(secret)) * 8 >= 128
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert secret.encode() not in stored
    assert hashlib.sha256(text.encode()).digest() in stored
    assert keys.verify(text) == key


def test_the_file_is_readable_by_its_owner_only(keys: Keys, tmp_path: Path) -> None:
    keys.create("x", "viewer")
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o600}


def test_commits_are_fsynced(tmp_path: Path) -> None:
    control = Control(tmp_path / "control.db")
    with control.transaction() as connection:
        assert connection.pragma("synchronous") == 2
        assert connection.pragma("journal_mode") == "wal"


def test_a_changed_secret_is_refused(keys: Keys) -> None:
    _, text = keys.create("x", "viewer")
    last = "0" if text[-1] != "0" else "1"
    assert keys.verify(text[:-1] + last) is None
    assert keys.verify(text + "0") is None
    assert keys.verify(text[:-1]) is None
    assert keys.verify(text.upper()) is None


@given(text=st.text())
def test_no_text_makes_verification_fail_otherwise_than_with_none(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    keys = Keys(Control(tmp_path_factory.getbasetemp() / "any.db"))
    assert keys.verify(text) is None
    assert keys.verify(f"mon_{text}_{text}") is None


def test_a_revoked_key_is_refused_and_its_first_revocation_time_stays(keys: Keys, clock: Clock) -> None:
    key, text = keys.create("x", "viewer")
    assert keys.revoke(key.prefix) is not None
    revoked = clock.now
    clock.now += SECOND
    again = keys.revoke(key.id)
    assert again is not None
    assert again.revoked == revoked
    assert again.state(clock.now) == "revoked"
    assert keys.verify(text) is None


def test_an_expired_key_is_refused_from_that_moment_on(keys: Keys, clock: Clock) -> None:
    _, text = keys.create("x", "viewer", expires=clock.now + SECOND)
    assert keys.verify(text) is not None
    clock.now += SECOND
    assert keys.verify(text) is None


def test_last_used_is_kept_to_the_minute(keys: Keys, clock: Clock) -> None:
    key, text = keys.create("x", "viewer")
    assert key.last_used is None
    first = clock.now
    for _ in range(59):
        keys.verify(text)
        clock.now += SECOND
    found = keys.get(key.id)
    assert found is not None
    assert found.last_used == first
    clock.now += SECOND
    keys.verify(text)
    found = keys.get(key.id)
    assert found is not None
    assert found.last_used == clock.now


@pytest.mark.parametrize(("name", "role"), [("", "viewer"), ("x" * 101, "viewer"), ("a\nb", "viewer"), ("x", "root")])
def test_a_bad_name_or_role_is_refused_by_name(keys: Keys, name: str, role: str) -> None:
    with pytest.raises(PermanentError, match=r"^(name|role): expected"):
        keys.create(name, role)


def test_each_role_may_do_what_those_before_it_may() -> None:
    assert ROLES == ("ingest", "viewer", "operator", "admin")
    for have, role in enumerate(ROLES):
        for need, needed in enumerate(ROLES):
            assert allows(role, needed) == (have >= need)


def test_the_admin_key_is_made_once_with_mode_0600(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    text = ensure_admin_key(data)
    file = data / "admin.key"
    assert file.read_text().strip() == text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ensure_admin_key(data) == text
    found = Keys(Control(data / "control.db")).verify(text)
    assert found is not None
    assert found.role == "admin"
    assert len(Keys(Control(data / "control.db")).all()) == 1
    assert sorted(path.name for path in data.iterdir() if "admin" in path.name) == ["admin.key"]


def test_all_who_start_at_the_same_time_get_the_same_admin_key(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; "
        "from monitoring.pipeline.store.keys import ensure_admin_key; print(ensure_admin_key(Path(sys.argv[1])))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "d")], stdout=subprocess.PIPE) for _ in range(6)
    ]
    texts = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0] * 6
    assert len(texts) == 1
    assert len(Keys(Control(tmp_path / "d" / "control.db")).all()) == 1


def test_a_lost_control_db_gets_the_admin_key_again(tmp_path: Path) -> None:
    text = ensure_admin_key(tmp_path)
    for file in tmp_path.glob("control.db*"):
        file.unlink()
    assert ensure_admin_key(tmp_path) == text
    assert Keys(Control(tmp_path / "control.db")).verify(text) is not None


def test_a_revoked_admin_key_is_replaced_at_the_next_start(tmp_path: Path) -> None:
    text = ensure_admin_key(tmp_path)
    keys = Keys(Control(tmp_path / "control.db"))
    keys.revoke(keys.all()[0].id)
    fresh = ensure_admin_key(tmp_path)
    assert fresh != text
    assert keys.verify(text) is None
    assert keys.verify(fresh) is not None


def test_an_admin_key_file_that_holds_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "admin.key").write_text("hello")
    with pytest.raises(PermanentError, match=r"admin\.key does not hold a key: remove it"):
        ensure_admin_key(tmp_path)


def test_a_file_of_a_later_release_is_refused(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "control.db"))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(StoreCorrupt, match="version 99"):
        Control(tmp_path / "control.db")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "control.db").write_bytes(b"this is no database at all, not even a bit" * 100)
    with pytest.raises(StoreCorrupt, match="damaged"):
        Control(tmp_path / "control.db")


def test_a_transaction_that_raises_leaves_nothing(keys: Keys, tmp_path: Path) -> None:
    control = Control(tmp_path / "control.db")
    with pytest.raises(ZeroDivisionError), control.transaction() as connection:
        connection.execute("DELETE FROM key")
        connection.execute("INSERT INTO key VALUES('a','b',x'00','c','d',1,NULL,NULL,NULL,NULL)")
        raise ZeroDivisionError
    assert keys.all() == []
    with control.transaction() as connection:
        connection.execute("INSERT INTO key VALUES('a','b',x'00','c','d',1,NULL,NULL,NULL,NULL)")
    assert len(keys.all()) == 1
