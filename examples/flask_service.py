"""A Flask service that is observed: `python examples/flask_service.py`, on PORT (8001).

curl 127.0.0.1:8001/orders/1041      one record, and a line of its own with the same request id
curl 127.0.0.1:8001/orders/0         an exception, with what was going on
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask

from monitoring import error_context, get_logger, set_user
from monitoring.producers.flask import FlaskMonitoring
from monitoring.startup import start_monitoring_with_config

log = get_logger("shop.orders")
app = Flask("shop")
FlaskMonitoring(app)


@app.get("/orders/<int:order>")
def show(order: int) -> dict[str, Any]:
    """An order, as its customer sees it."""
    set_user(f"customer-{order % 7}")
    with error_context(order=order):
        parcels = 12 // order
    log.info("order shown", order=order, parcels=parcels)
    return {"order": order, "parcels": parcels}


if __name__ == "__main__":
    start_monitoring_with_config(service="shop")
    app.run(port=int(os.environ.get("PORT", "8001")))
