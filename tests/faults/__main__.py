"""The long form: `make test-faults`.

python -m tests.faults --faults 300 --events 5000000 --seed 1
python -m tests.faults --directory DIR          go on with the campaign that lies there
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.bus import Bus
from tests.faults.campaign import Campaign, Outcome
from tests.faults.cluster_bus import ClusterBus
from tests.faults.cluster_kinds import possible_of_cluster
from tests.faults.kinds import possible


def main() -> int:
    """Run a campaign, print what came of it; 1 on any finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=int, default=1200, help="events a second of each of the two producers")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end after so long with what there is")
    parser.add_argument("--directory", type=Path, help="kept, and gone on with where it holds a campaign")
    parser.add_argument("--only", default="", help="only the kinds of faults whose names contain this")
    parser.add_argument("--again", type=float, default=0.25, help="share of faults that a second one follows at once")
    parser.add_argument("--cluster", action="store_true", help="the bus is a cluster of six nodes, with its own faults")
    options = parser.parse_args()
    root = options.directory or Path(tempfile.mkdtemp(prefix="faults-"))
    campaign = Campaign(
        root,
        seed=options.seed,
        rate=options.rate,
        only=options.only,
        again=options.again,
        say=lambda line: print(line, flush=True),
        bus=ClusterBus if options.cluster else Bus,
        kinds=possible_of_cluster if options.cluster else possible,
    )
    if options.cluster and campaign.product.bus.networks.why:
        print(f"no faults of the network: {campaign.product.bus.networks.why}")
    outcome = campaign.run(
        faults=options.faults, events=options.events, deadline=time.monotonic() + options.minutes * 60
    )
    _print(outcome)
    if options.cluster:
        print(f"failovers that forgot acknowledged entries: {campaign.product.bus.forgotten}")
    if outcome.sound and options.directory is None:
        campaign.product.unmount()
        shutil.rmtree(root)
    else:
        print(f"everything lies in {root}")
    return 0 if outcome.sound else 1


def _print(outcome: Outcome) -> None:
    print(f"{'fault':40} {'times':>6} {'median s':>9} {'most s':>7}")
    for kind, seconds in sorted(outcome.recoveries.items()):
        print(f"{kind:40} {len(seconds):6} {statistics.median(seconds):9.1f} {max(seconds):7.1f}")
    print(json.dumps({"seed": outcome.seed, "faults": outcome.done, **outcome.report}, indent=2, default=str))


if __name__ == "__main__":
    sys.exit(main())
