"""The outbox of a segment: what is not committed in the metric store is kept, whatever becomes of the segment."""

from __future__ import annotations

from monitoring.pipeline.derived.definition import definition_of
from tests.frames import event
from tests.logstore import LogStore


def test_frames_that_are_not_committed_go_along_at_roll_over_and_their_lane_goes_on(tmp_path):
    with LogStore(tmp_path) as store:
        writer = store.partitions[0]

        def kept():
            assert writer.deriving is not None
            return writer.deriving

        writer.derive([definition_of({"name": "events", "kind": "counter", "query": "*"})])
        store.add([event(1)])
        store.add([event(2)])
        before = kept().outbox.after(0, -1)
        kept().release(before[0].lane, 1)
        store.roll_over()
        store.add([event(3)])
        after = kept().outbox.after(1, -1)
        assert after[:1] == before[1:]
        assert [(frame.lane, frame.seq) for frame in after] == [(before[0].lane, seq) for seq in (2, 3)]
        assert after[-1].counters["emitted"] == 3
        kept().release(before[0].lane, 3)
        store.add([event(4)])
        assert [(frame.seq, frame.released_below) for frame in kept().outbox.after(0, -1)] == [(4, 4)]
