// A running instance for browser tests: its own data directory, a free port, events of several services.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const STARTS_SECONDS = 60; // a cold start takes five; CI shares its cores
const LEVELS = ["DEBUG", "INFO", "INFO", "INFO", "WARNING", "ERROR"];
const SERVICES = ["api", "trainer", "gateway", "billing"];
const TRACE = 'Traceback (most recent call last):\n  File "/srv/app/views.py", line 88, in complete\n    return client.complete(prompt)\nConnectionError: upstream refused';

function freePort() {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

export async function until(what, condition, seconds = STARTS_SECONDS) {
  const ends = Date.now() + seconds * 1000;
  for (;;) {
    const found = await condition().catch(() => false);
    if (found) return found;
    if (Date.now() > ends) throw new Error(`${what}: not within ${seconds} s`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

export class Instance {
  static async start() {
    const data = await mkdtemp(join(tmpdir(), "monitoring-browser-"));
    const port = await freePort();
    const found = new Instance();
    Object.assign(found, { data, url: `http://127.0.0.1:${port}`, said: "" });
    found.child = found.python(["-m", "monitoring", "up"], { MONITORING_PORT: String(port), MONITORING_DISK_RESERVE: "0", MONITORING_ALLOW_PRIVATE_WEBHOOKS: "true" });
    for (const stream of [found.child.stdout, found.child.stderr]) stream.on("data", (piece) => (found.said += piece));
    try {
      await until("the instance is ready", async () => (await fetch(`${found.url}/readyz`)).ok);
    } catch (error) {
      await found.stop();
      throw new Error(`${error.message}\n${found.said}`);
    }
    found.key = (await readFile(join(data, "admin.key"), "utf8")).trim();
    return found;
  }

  /** A process of the product's Python on this instance's data. */
  python(command, more = {}) {
    const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(MONITORING_|REDIS_URL)/.test(name)));
    const python = process.env.PYTHON ?? join(ROOT, ".venv", "bin", "python");
    return spawn(python, command, { cwd: ROOT, env: { ...environment, PYTHONPATH: ROOT, MONITORING_DATA_DIR: this.data, ...more }, stdio: ["ignore", "pipe", "pipe"] });
  }

  /** Run such a process to its end. */
  async run(command) {
    const child = this.python(command);
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece) => (said += piece));
    const code = await new Promise((done) => child.once("exit", done));
    if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${said}`);
  }

  /** The demo into this instance: its past now, and then it goes on until `stop`. How many events its past had. */
  async play(options) {
    this.demo = this.python(["-m", "monitoring", "demo", "--forever", ...options]);
    let said = "";
    for (const stream of [this.demo.stdout, this.demo.stderr]) stream.on("data", (piece) => (said += piece));
    const events = await until("the demo's past is played", () => {
      if (this.demo.exitCode !== null) throw new Error(said);
      return Promise.resolve(/past: 100% of .*, ([\d,]+) events/.exec(said)?.[1].replaceAll(",", ""));
    }, 300);
    await until("what was played is stored", async () => {
      const { totals, metrics } = (await this.ask("GET", "/api/v1/status")).json;
      return totals.in_flight < 1000 && metrics.in_flight < 1000;
    }, 300);
    return Number(events);
  }

  async stop() {
    for (const [child, signal] of [[this.demo, "SIGINT"], [this.child, "SIGTERM"]]) {
      if (!child || child.exitCode !== null) continue;
      const ended = new Promise((done) => child.once("exit", done));
      child.kill(signal);
      await ended;
    }
    await rm(this.data, { recursive: true, force: true });
  }

  async ask(method, path, body) {
    const answer = await fetch(this.url + path, { method, headers: { Authorization: `Bearer ${this.key}` }, body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body) });
    return { status: answer.status, json: await answer.json().catch(() => null) };
  }

  /** Send events and wait until a search finds the last of them. */
  async send(events) {
    const mark = `mark${Math.random().toString(36).slice(2)}`;
    const all = [...events, { message: mark, level: "debug", service: "test" }];
    const { status } = await this.ask("POST", "/api/v1/logs", all.map((one) => (typeof one === "string" ? one : JSON.stringify(one))).join("\n"));
    if (status !== 202) throw new Error(`events were answered ${status}`);
    await until("events are searchable", async () => (await this.ask("GET", `/api/v1/logs?query=${mark}`)).json.events.length === 1);
  }

  /** An hour of four services, some lines that are no events, a metric, and a fine-tuning job. */
  async fill() {
    const now = Date.now() / 1000;
    const events = Array.from({ length: 1500 }, (_, at) => ({
      timestamp: now - 3500 + at * 2.3,
      level: LEVELS[at % LEVELS.length],
      service: SERVICES[at % SERVICES.length],
      host: `host-${at % 3}`,
      logger: "app.http",
      message: at % 7 === 0 ? `upstream connection refused to 10.0.3.${at % 250}` : `GET /v1/chat/${at} 200`,
      trace_id: at.toString(16).padStart(32, "0"),
      duration_ms: (at * 37) % 900,
      http: { status: at % 7 === 0 ? 502 : 200 },
      ...(at % LEVELS.length === 5 ? { exception: { type: "ConnectionError", message: "upstream refused", stacktrace: TRACE } } : {}),
    }));
    const job = { logger: "monitoring.llm", service: "trainer", run_id: "run1", model: "support-bot", total_steps: 100 };
    const steps = Array.from({ length: 50 }, (_, at) => ({ ...job, timestamp: now - 600 + at, message: `step ${at}`, "event.name": "llm.fine_tuning.step", step: at, metrics: { loss: 2 / (at + 1) } }));
    const ended = { ...job, timestamp: now - 500, message: "ended", level: "error", "event.name": "llm.fine_tuning.ended", outcome: "failed", step: 49, metrics: { loss: 0.04 }, error: "NaN" };
    const evaluation = { logger: "monitoring.llm", timestamp: now - 300, message: "evaluation", "event.name": "llm.evaluation.ended", suite: "mmlu-mini", model: "support-bot", outcome: "passed", scores: { accuracy: 0.74 }, run_id: "run2" };
    await this.send([...events, ...steps, ended, evaluation, "this is no event"]);
    await this.ask("POST", "/api/v1/metrics", [{ name: "shop_orders", kind: "counter", value: 3, labels: { kind: "web" } }]);
  }
}
