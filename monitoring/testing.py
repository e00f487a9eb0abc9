"""For tests of applications that use monitoring: `with capture() as captured:`."""

from __future__ import annotations

from monitoring.producers.testing import Capture, CapturedEvent, capture

__all__ = ["Capture", "CapturedEvent", "capture"]
