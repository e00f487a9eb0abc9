"""One host works in a data directory; another one that comes is told so, and a reboot is none."""

from __future__ import annotations

import pytest

from monitoring.pipeline.store.host import BEAT_SECONDS, WATCH_SECONDS, HostMark, OtherHost


def _never(seconds):
    raise AssertionError("there is nobody to watch")


def test_a_host_that_lives_keeps_others_out_and_one_that_is_gone_does_not(tmp_path):
    one, two = HostMark(tmp_path, boot="boot-1", name="alpha"), HostMark(tmp_path, boot="boot-2", name="beta")
    one.move_in(sleep=_never)
    one.beat(0.0)
    slept = []

    def meanwhile(seconds):
        slept.append(seconds)
        one.beat(seconds)

    with pytest.raises(OtherHost, match=r"host alpha works in .*MONITORING_URL"):
        two.move_in(sleep=meanwhile)
    assert slept == [WATCH_SECONDS] and WATCH_SECONDS > 2 * BEAT_SECONDS
    two.move_in(sleep=slept.append)  # it has died, or this is the same host after a reboot
    two.beat(100.0)
    HostMark(tmp_path, boot="boot-2", name="another container of this host").move_in(sleep=_never)
    with pytest.raises(OtherHost, match="beta"):
        one.beat(200.0)  # it stood still, and has been replaced


def test_a_mark_that_says_nothing_or_a_system_that_tells_no_boot_holds_up_nobody(tmp_path):
    for text in (b"", b"[]", b"{}", b"\xff"):
        (tmp_path / "host").write_bytes(text)
        HostMark(tmp_path, boot="boot-1").move_in(sleep=_never)
    HostMark(tmp_path, boot="boot-1").beat(0.0)
    silent = HostMark(tmp_path, boot="")
    silent.move_in(sleep=_never)
    silent.beat(1.0)
