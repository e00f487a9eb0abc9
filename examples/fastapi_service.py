"""A FastAPI service that is observed: `python examples/fastapi_service.py`, on PORT (8002).

curl 127.0.0.1:8002/items/7          one record, and a line of its own with the same request id
curl 127.0.0.1:8002/items/7/stock    asks itself for the item: two requests, one trace
"""

from __future__ import annotations

import os
from typing import Any

import httpx
import uvicorn
from fastapi import BackgroundTasks, FastAPI, Request

from monitoring import get_logger, set_user
from monitoring.producers.asgi import MonitoringMiddleware
from monitoring.startup import start_monitoring_with_config

log = get_logger("catalog")
app = FastAPI()
app.add_middleware(MonitoringMiddleware)


@app.get("/items/{item}")
async def show(item: int, tasks: BackgroundTasks) -> dict[str, int]:
    """An item; that it was seen is noted once the answer has gone."""
    set_user("guest")
    tasks.add_task(log.info, "item seen", item=item)
    return {"item": item}


@app.get("/items/{item}/stock")
async def stock(item: int, request: Request) -> dict[str, Any]:
    """What another service says; the ids go along."""
    async with httpx.AsyncClient(base_url=str(request.base_url)) as client:
        answer = await client.get(f"/items/{item}")
    log.info("stock looked up", item=item)
    return {**answer.json(), "left": 3}


if __name__ == "__main__":
    start_monitoring_with_config(service="catalog")
    uvicorn.run(app, port=int(os.environ.get("PORT", "8002")))
