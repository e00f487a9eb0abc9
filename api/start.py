"""The page at `/`: what this is and a first request, until the dashboard is there. No script, no inline style."""

from __future__ import annotations

from flask import Response, request
from markupsafe import escape

from monitoring.api.routes import Answer, Call

__all__ = ["page", "style"]

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>monitoring</title>
<link rel="stylesheet" href="{base}start.css">
</head>
<body>
<main>
<h1>monitoring</h1>
<p>This is the HTTP API of a running instance. The dashboard will stand here.</p>
<h2>A first line in and out</h2>
<p>The admin key is in the file <code>admin.key</code> of the data directory;
<code>monitoring keys create NAME --role ingest</code> makes one for a service.</p>
<pre><code>export KEY="$(cat "$MONITORING_DATA_DIR/admin.key")"
curl -H "Authorization: Bearer $KEY" {base}api/v1/logs \\
  --data-binary '{{"message": "hello", "level": "info", "service": "web"}}'
curl -H "Authorization: Bearer $KEY" "{base}api/v1/logs?query=hello&amp;start=-15m"</code></pre>
<h2>Where to look</h2>
<ul>
<li><a href="{base}healthz">/healthz</a> says whether this process lives,
<a href="{base}readyz">/readyz</a> whether bus, store and drains do.</li>
<li><code>monitoring status</code> shows lag, rates, drops and dead letters;
<code>monitoring logs QUERY</code> searches.</li>
<li>Every endpoint is described in <code>docs/api.md</code> of the source.</li>
</ul>
</main>
</body>
</html>
"""

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 46rem; margin: 4rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.8rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
pre { overflow-x: auto; padding: 1rem; border: 1px solid #8884; border-radius: 6px; background: #8881; }
code { font: 0.9em ui-monospace, monospace; }
"""


def page(call: Call) -> Answer:
    """The start page."""
    return Response(_PAGE.format(base=escape(request.base_url)), mimetype="text/html")


def style(call: Call) -> Answer:
    """The start page's style sheet."""
    return Response(_STYLE.strip() + "\n", mimetype="text/css")
