// The dashboard in a real browser on a real instance, while the demo plays: `make test-browser`, its long form with
// PAYLOADS=500 script injections, ROWS=100000 rows in the table, ALERT=1 for a whole life of the demo's own alert.
// SHOTS=folder keeps a picture of every page. One file a page of the dashboard: each action on it is done once at least.
import "./pages.mjs";
import "./frame.mjs";
import "./overview.mjs";
import "./logs.mjs";
import "./metrics.mjs";
import "./runs.mjs";
import "./alerts.mjs";
import "./quiet.mjs";
import "./pipeline.mjs";
import "./admin.mjs";
import "./long.mjs";
