"""Store and drain against a model: whatever happens in whatever order, each event is stored once.

Frames of several lanes arrive out of order, with gaps, twice, and again after roll-overs; drains die at every
effect, find the disk full, or are stopped and go on when others have taken over; the bus forgets everything
or is restored to an older state with ids that run backwards; producers die and their spools are adopted;
partitions are added on the way.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from monitoring.pipeline import settings as product_settings
from monitoring.pipeline.errors import StoreFull
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.store.catalog import Catalog
from monitoring.pipeline.store.marks import Mark
from monitoring.pipeline.store.partition import Limits
from monitoring.pipeline.store.segment import open_readonly, read_mark
from tests.faults import workload
from tests.faults.checker import check
from tests.faults.evidence import Letter
from tests.faults.evidence import partitions as segments_of
from tests.faults.journal import FIELDS, Journal, content_sha, event_key, raw_sha
from tests.faults.world import Bus, Committed, Crash, Fuse, Hand, Producer
from tests.frames import T0, lane_id

EXAMPLES = int(os.environ.get("FAULT_EXAMPLES", "25"))
STEPS = int(os.environ.get("FAULT_STEPS", "50"))
LIMITS = Limits(segment_events=12, segment_bytes=1 << 30, segment_age_seconds=1e9, disk_reserve_bytes=0)
HANDS = 3
DAY_NS = 86_400 * 1_000_000_000

numbers = strategies.integers(0, 1 << 20)
fuses = strategies.one_of(strategies.none(), strategies.none(), strategies.integers(0, 14))
errors = strategies.sampled_from([Crash, Crash, Crash, StoreFull])


class Machine(RuleBasedStateMachine):
    """The rules are what may happen; the invariants are what must hold all the time."""

    def __init__(self) -> None:
        super().__init__()
        shared_memory = Path("/dev/shm")  # the commits' fsyncs cost nothing there
        self.root = Path(tempfile.mkdtemp(dir=shared_memory if shared_memory.is_dir() else None))
        (self.root / "journals").mkdir()
        self.fuse = Fuse()
        self.bus = Bus(self.fuse)
        self.now = [T0]
        self.seconds = 0.0
        self.producers: list[Producer] = []
        self.journals: list[Journal] = []
        self.snapshots: list[tuple[object, ...]] = []
        self.unsettled: list[tuple[int, Committed]] = []
        self.hands: list[Hand] = []

    @initialize(partitions=strategies.integers(1, 2))
    def start(self, partitions):
        self.catalog = Catalog.create_or_open(self.root / "data" / "catalog.db", partitions=partitions)
        chosen = product_settings.load({"MONITORING_DATA_DIR": str(self.root / "data")}).replace(bus_url="unix:///none")
        self.hands = [Hand(chosen, LIMITS, self.bus, self.fuse, self.now) for _ in range(HANDS)]
        self.open_lane(0)

    def teardown(self):
        try:
            if self.hands:
                self.quiesce()
                self.everything_once()
        finally:
            for hand in self.hands:
                hand.close()
            if self.hands:
                self.catalog.close()
            for journal in self.journals:
                journal.close()
            try:
                if self.hands:  # all files are closed: the independent checker may look at them
                    report = check(self.root / "data", self.root / "journals")
                    assert report.findings == {}, (report.findings, report.examples)
            finally:
                shutil.rmtree(self.root)

    # ------------------------------------------------------------------ producers

    @rule(number=numbers)
    @precondition(lambda self: len(self.producers) < 5)
    def open_lane(self, number):
        known = self.catalog.partitions("logs")
        index = len(self.producers)
        self.producers.append(Producer(lane_id(index), known[number % len(known)]))
        self.journals.append(Journal(self.root / "journals", f"l{index}"))

    @rule(
        number=numbers, events=strategies.integers(1, 5), broken=strategies.booleans(), shed=strategies.integers(0, 2)
    )
    def seal(self, number, events, broken, shed):
        index = number % len(self.producers)
        producer, journal = self.producers[index], self.journals[index]
        first = journal.next
        made = [workload.event(0, journal.producer, first + offset) for offset in range(events)]
        journal.acknowledge(journal.intend(map(content_sha, made)))
        bad: list[Rejected] = []
        if broken:
            bad = [workload.rejected(0, journal.producer, journal.next)]
            journal.acknowledge(journal.intend([raw_sha(bad[0].raw)], rejected=True))
        dropped = {"buffer_full": shed} if shed else None
        producer.frames.append(producer.lane.seal(made, bad, now_ns=self.now[0], dropped=dropped))
        producer.keys.append([event_key(journal.producer, number) for number in range(first, journal.next)])

    @rule(number=numbers, fate=strategies.sampled_from(["arrives", "arrives", "lost", "reply lost"]))
    def send(self, number, fate):
        self._send(self.producers[number % len(self.producers)], fate)

    def _send(self, producer, fate="arrives"):
        for frame in producer.lane.unsent(3, 1 << 30):
            entry_id = None if fate == "lost" else self.bus.publish(producer.partition, frame)
            producer.lane.sent(frame.seq, entry_id if fate == "arrives" else None, self.seconds)
            producer.sent = max(producer.sent, frame.seq)

    @rule(number=numbers)
    def hear(self, number):
        self._hear(self.producers[number % len(self.producers)])

    def _hear(self, producer):
        producer.lane.committed(self.bus.low(producer.lane))

    @rule(number=numbers)
    def doubt(self, number):
        self.seconds += 6.0
        self._doubt(self.producers[number % len(self.producers)])

    def _doubt(self, producer):
        doubted = producer.lane.doubt(self.seconds)
        if doubted is None:
            return
        if doubted.entry_id is not None and self.bus.shows(producer.partition, doubted.entry_id):
            producer.lane.seen(doubted.frame.seq, self.seconds)
        else:
            entry_id = self.bus.publish(producer.partition, doubted.frame)
            producer.lane.sent(doubted.frame.seq, entry_id, self.seconds)

    @rule(number=numbers, surplus=strategies.integers(0, 3))
    def producer_dies_and_its_spool_is_adopted(self, number, surplus):
        producer = self.producers[number % len(self.producers)]
        spooled_from = max(1, producer.lane.low + 1 - surplus)
        if spooled_from <= len(producer.frames):
            producer.adopt(spooled_from)

    # ------------------------------------------------------------------ the bus

    @rule(number=numbers, which=numbers)
    def an_old_frame_arrives_again(self, number, which):
        producer = self.producers[number % len(self.producers)]
        if producer.sent:
            self.bus.publish(producer.partition, producer.frames[which % producer.sent])

    @rule(
        partition=strategies.integers(0, 3), order=strategies.lists(strategies.integers(0, 9), min_size=1, max_size=9)
    )
    def frames_change_places(self, partition, order):
        self.bus.scramble(partition, order)

    @rule(clock=strategies.integers(1, 3000))
    def the_bus_forgets(self, clock):
        self.bus.forget(clock)

    @rule()
    def the_bus_is_copied(self):
        self.snapshots = [*self.snapshots[-2:], self.bus.snapshot()]

    @precondition(lambda self: self.snapshots)
    @rule(number=numbers)
    def the_bus_is_restored(self, number):
        self.bus.restore(self.snapshots[number % len(self.snapshots)])

    @rule(days=strategies.floats(-3, 3))
    def the_clock_is_set(self, days):
        self.now[0] += int(days * DAY_NS)
        self.now[0] = max(T0 - 3 * DAY_NS, min(T0 + 3 * DAY_NS, self.now[0]))

    # ------------------------------------------------------------------ drains

    @rule(
        hand=strategies.integers(0, HANDS - 1),
        number=numbers,
        count=strategies.integers(1, 8),
        fuse=fuses,
        error=errors,
    )
    def drain(self, hand, number, count, fuse, error):
        self.fuse.light(fuse, error)
        self.hands[hand].step(self._some_partition(number), count)
        self.fuse.light(None)

    @rule(
        hand=strategies.integers(0, HANDS - 1),
        number=numbers,
        fuse=strategies.integers(0, 9),
        times=strategies.integers(3, 8),
    )
    def drain_dies_again_and_again(self, hand, number, fuse, times):
        for _ in range(times):
            self.fuse.light(fuse)
            self.hands[hand].step(self._some_partition(number), 4)
        self.fuse.light(None)

    @rule(hand=strategies.integers(0, HANDS - 1), number=numbers, fuse=fuses, error=errors)
    def roll_over(self, hand, number, fuse, error):
        self.fuse.light(fuse, error)
        self.hands[hand].roll_over(self._some_partition(number))
        self.fuse.light(None)

    @rule(hand=strategies.integers(0, HANDS - 1), number=numbers)
    def drain_commits_and_is_stopped(self, hand, number):
        committed = self.hands[hand].commit(self._some_partition(number), 5)
        if committed is not None:
            self.unsettled.append((hand, committed))

    @precondition(lambda self: self.unsettled)
    @rule(number=numbers)
    def a_stopped_drain_goes_on(self, number):
        hand, committed = self.unsettled.pop(number % len(self.unsettled))
        self.hands[hand].settle_late(committed)

    @rule(hand=strategies.integers(0, HANDS - 1), number=numbers)
    def drain_releases(self, hand, number):
        self.hands[hand].release(self._some_partition(number))

    @rule(hand=strategies.integers(0, HANDS - 1))
    def drain_dies(self, hand):
        self.hands[hand].die()

    @precondition(lambda self: len(self.catalog.partitions("logs")) < 4)
    @rule()
    def a_partition_is_added(self):
        self.catalog.add_partitions("logs", len(self.catalog.partitions("logs")) + 1)

    def _some_partition(self, number):
        known = self.catalog.partitions("logs")
        return known[number % len(known)]

    # ------------------------------------------------------------------ what must hold

    @precondition(lambda self: self.hands)
    @invariant()
    def marks_rows_and_watermarks_agree(self):
        marks, stored, suspects = self._store()
        for producer in self.producers:
            mark = marks.get((producer.partition, producer.lane.lane))
            applied = set() if mark is None else {*range(1, mark.low + 1), *mark.above}
            low = 0 if mark is None else mark.low
            assert self.bus.low(producer.lane) <= low, "the watermark is beyond what is stored"
            assert producer.lane.low <= low, "a frame was released before it was stored"
            assert mark is None or (mark.missing, mark.residual) == (0, 0), mark
            for seq, keys in enumerate(producer.keys, 1):
                counts = {stored[key] for key in keys}
                if (producer.lane.lane, seq) in suspects and seq not in applied:
                    assert counts <= {0, 1}, f"frame {seq} is stored {counts} times"
                else:
                    assert counts == {int(seq in applied)}, f"frame {seq} is stored {counts} times, marks say {applied}"

    def _store(self):
        marks: dict[tuple[int, str], Mark] = {}
        stored: Counter[str] = Counter()
        suspects: set[tuple[str, int]] = set()
        for number, paths in segments_of(self.root / "data").items():
            for path in paths:
                with contextlib.closing(open_readonly(path)) as connection:
                    stored.update(key for (key,) in connection.execute("SELECT request_id FROM log"))
                    for row in connection.execute("SELECT kind, lane, seq, reason, raw FROM dead_letter"):
                        letter = Letter(*row)
                        assert letter.kind in ("input", "poison"), "nothing here is broken or stale"
                        events, raws = letter.contents()
                        stored.update(values[FIELDS.index("request_id")] for values in events)
                        stored.update(raw.partition(b" ")[0].decode() for raw in raws)
                    if path == paths[-1]:
                        columns = (
                            "low, through, accounted, missing, window, committed, dead_lettered, emitted, dropped, born"
                        )
                        for lane, *values in connection.execute(f"SELECT lane, {columns} FROM mark"):
                            marks[number, lane] = read_mark(tuple(values))
                        suspects.update(connection.execute("SELECT lane, seq FROM poison"))
        return marks, stored, suspects

    def quiesce(self):
        """No more faults: producers and drains go on until all lanes are idle."""
        self.fuse.light(None)
        for hand in self.hands:
            hand.die()  # those that were stopped and fenced would find out as they renew
        for _ in range(sum(len(producer.frames) for producer in self.producers) + 10):
            self.seconds += 6.0
            for producer in self.producers:
                self._send(producer)
                self._doubt(producer)
            for partition in self.catalog.partitions("logs"):
                for _ in range(200):
                    if self.hands[0].step(partition, 50) == "idle":
                        break
            for producer in self.producers:
                self._hear(producer)
            if all(producer.lane.idle for producer in self.producers) and not any(self.bus.streams.values()):
                return
        raise AssertionError(f"it does not come to rest: {[producer.lane for producer in self.producers]}")

    def everything_once(self):
        _, stored, suspects = self._store()
        emitted = Counter(key for producer in self.producers for keys in producer.keys for key in keys)
        assert stored == emitted, f"lost {emitted - stored}, doubled {stored - emitted}"
        assert not suspects, "what is stored is still suspected"


TestModel = Machine.TestCase
TestModel.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
