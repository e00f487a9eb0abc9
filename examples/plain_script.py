"""A script whose logs, errors and timings arrive: `python examples/plain_script.py [FILE]`.

It adds up the orders in a shop's log; a line that it cannot read is logged with all that is known about it.
"""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

from monitoring import bind, counter, error_context, get_logger, log_function, timer
from monitoring.startup import start_monitoring_with_config, stop_monitoring

log = get_logger(__name__)

ORDERS = counter("example_orders_total", "Orders that were found.", labels=("currency",))
READING = timer("example_reading_seconds", "How long the reading of a file took.")
SHOP_LOG = Path(__file__).with_name("shop.log")


@log_function
def revenue(path: Path) -> dict[str, float]:
    """What was ordered, by currency. The decorator logs the call: arguments, duration, size of the result."""
    found: dict[str, float] = {}
    with READING, path.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                with error_context(file=path.name, line=number):  # part of whatever error passes through here
                    total, currency = total_of(line)
            except ValueError:
                log.exception("the line is left out")
            else:
                found[currency] = found.get(currency, 0.0) + total
    found.pop("", None)
    return found


def total_of(line: str) -> tuple[float, str]:
    """The amount and the currency that a line ends with, as in `total 129.90 EUR`; 0 and "" where it has none."""
    _, has_total, rest = line.rpartition(" total ")
    if not has_total:
        return 0.0, ""
    amount, currency = rest.split()
    ORDERS.inc(currency=currency)
    return float(amount), currency


def main() -> int:
    """Read the file that is named, or the one beside this script."""
    start_monitoring_with_config(service="plain-script")
    bind(batch=uuid.uuid4().hex[:8])  # on every line from here on
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SHOP_LOG
    try:
        found = revenue(path)
        log.info("revenue of %s", path.name, **found)
        print(found)
        return 0
    except OSError:  # log_function has logged it
        return 1
    finally:
        stop_monitoring(timeout_seconds=2.0)


if __name__ == "__main__":
    sys.exit(main())
