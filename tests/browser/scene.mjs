// Two hours of a platform that serves language models, for pictures and for eyes: traffic in waves, a deploy that
// breaks the gateway half an hour ago, a disk that fills, fine-tuning jobs, evaluations, and alerts on them.
// The same at every call but for the time it ends at: now.
import { until } from "./instance.mjs";

const MINUTES = 120;
const BROKEN = { from: 34, until: 12 }; // minutes ago
// Metrics come every 10 s, as services send them; what is counted in a minute is a sixth of it each time.
const BOUNDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const ROUTES = [["POST", "/v1/chat/completions", 5], ["POST", "/v1/embeddings", 3], ["GET", "/v1/models", 2], ["POST", "/v1/files", 1]];
const MODELS = { "gpt-4.1-mini": 3, "support-bot-v3": 2, "claude-sonnet-4": 1 };
const HOSTS = ["node-1", "node-2", "node-3"];
const TRACE = 'Traceback (most recent call last):\n  File "/srv/gateway/app.py", line 212, in complete\n    answer = await self.upstream.send(request)\n  File "/usr/lib/python3/dist-packages/httpx/_client.py", line 1651, in send\n    response = await self._send(request)\n  File "/srv/gateway/upstream.py", line 88, in _send\n    raise UpstreamTimeout(self.model, self.seconds)\ngateway.upstream.UpstreamTimeout: support-bot-v3 did not answer within 10 s';

/** Numbers in [0, 1), the same every time (a linear congruential generator, the constants of Numerical Recipes). */
function dice(seed) {
  let state = seed;
  return () => (state = (state * 1664525 + 1013904223) % 4294967296) / 4294967296;
}

const broken = (ago) => ago <= BROKEN.from && ago > BROKEN.until;
const wave = (ago) => 1 + 0.35 * Math.sin(ago / 9) + 0.15 * Math.sin(ago / 2.3);

function durations(random, count, usual) {
  const counts = Array(BOUNDS.length + 1).fill(0);
  let sum = 0;
  for (let at = 0; at < count; at += 1) {
    const seconds = usual * Math.exp((random() + random() + random() - 1.5) * 1.2);
    const bound = BOUNDS.findIndex((one) => seconds <= one);
    counts[bound < 0 ? BOUNDS.length : bound] += 1;
    sum += seconds;
  }
  return { sum, counts, bounds: BOUNDS };
}

function metrics(now) {
  const random = dice(7);
  const all = [];
  for (let ago = MINUTES; ago >= 0; ago -= 1 / 6) {
    const timestamp = now - ago * 60;
    const put = (name, kind, value, labels, more = {}) => all.push({ name, kind, value, labels, timestamp, ...more });
    for (const [method, route, share] of ROUTES) {
      const total = Math.round(14 * share * wave(ago) * (0.9 + random() * 0.2));
      const failed = Math.round(total * (broken(ago) && share === 5 ? 0.16 : 0.004));
      const usual = (route.includes("chat") ? 0.9 : 0.12) * (broken(ago) ? 2.4 : 1);
      const service = { service: "gateway", host: HOSTS[share % 3] };
      put("http_server_request_duration_seconds", "histogram", durations(random, total - failed, usual), { method, route, status: "200" }, service);
      if (failed) put("http_server_request_duration_seconds", "histogram", durations(random, failed, 5), { method, route, status: "502" }, service);
    }
    put("http_server_request_duration_seconds", "histogram", durations(random, Math.round(20 * wave(ago + 5)), 0.06), { method: "GET", route: "/account", status: "200" }, { service: "billing", host: "node-2" });
    put("http_server_active_requests", "gauge", Math.round(12 * wave(ago) * (broken(ago) ? 3 : 1)), {}, { service: "gateway" });
    HOSTS.forEach((host, at) => {
      put("system_cpu_usage_ratio", "gauge", Math.min(0.97, 0.25 + at * 0.12 + 0.12 * wave(ago + at * 4) + random() * 0.05 + (broken(ago) ? 0.15 : 0)), {}, { host });
      put("system_memory_usage_ratio", "gauge", 0.48 + at * 0.07 + random() * 0.01 + (broken(ago) && at === 0 ? 0.1 : 0), {}, { host });
      put("system_disk_usage_ratio", "gauge", at === 2 ? 0.935 - ago * 0.0017 : 0.41 + at * 0.1, { mount: "/" }, { host });
      put("system_load1", "gauge", 2 + at + 2 * wave(ago + at) + random(), {}, { host });
      put("system_network_bytes", "counter", Math.round(1e7 * wave(ago + at * 3)), { direction: "received" }, { host });
      put("system_network_bytes", "counter", Math.round(2e7 * wave(ago + at * 3)), { direction: "sent" }, { host });
    });
    for (const service of ["gateway", "billing", "trainer", "retriever"]) put("process_resident_memory_bytes", "gauge", (service === "trainer" ? 6 : 0.6 + service.length / 20) * 1e9 * (1 + random() * 0.03), {}, { service });
    for (const [model, share] of Object.entries(MODELS)) {
      const calls = Math.round((6 + random()) * share * wave(ago));
      const labels = { model, provider: model.startsWith("gpt") ? "openai" : model.startsWith("claude") ? "anthropic" : "local" };
      const failed = broken(ago) && labels.provider === "local" ? Math.round(calls * 0.4) : 0;
      put("llm_requests", "counter", calls - failed, { ...labels, operation: "chat", outcome: "succeeded" }, { service: "gateway" });
      if (failed) put("llm_requests", "counter", failed, { ...labels, operation: "chat", outcome: "failed" }, { service: "gateway" });
      put("llm_request_duration_seconds", "histogram", durations(random, calls, 1.1 * (failed ? 4 : 1)), { ...labels, operation: "chat" }, { service: "gateway" });
      put("llm_time_to_first_token_seconds", "histogram", durations(random, calls, 0.3 * (failed ? 4 : 1)), { ...labels, operation: "chat" }, { service: "gateway" });
      put("llm_tokens", "counter", calls * 830, { model, type: "input" }, { service: "gateway" });
      put("llm_tokens", "counter", calls * 260, { model, type: "output" }, { service: "gateway" });
      if (labels.provider !== "local") put("llm_cost_usd", "counter", calls * (share === 1 ? 0.0108 : 0.0021), { model }, { service: "gateway" });
    }
    const hits = Math.min(0.82, 0.2 + (MINUTES - ago) / 130);
    for (const cache of ["prompts", "embeddings"]) {
      const lookups = Math.round(18 * wave(ago));
      put("llm_cache_requests", "counter", Math.round(lookups * hits), { cache, result: "hit" }, { service: "gateway" });
      put("llm_cache_requests", "counter", lookups - Math.round(lookups * hits), { cache, result: "miss" }, { service: "gateway" });
      put("llm_cache_entries", "gauge", Math.round(hits * 9000), { cache }, { service: "gateway" });
      put("llm_cache_capacity_entries", "gauge", 10000, { cache }, { service: "gateway" });
    }
  }
  return all;
}

function requests(now) {
  const random = dice(11);
  const pick = (all) => all[Math.floor(random() * all.length)];
  const events = [];
  for (let ago = MINUTES; ago > 0; ago -= 0.04 / wave(ago)) {
    const timestamp = now - ago * 60 + random();
    const [method, route] = pick(ROUTES);
    const failed = random() < (broken(ago) && route.includes("chat") ? 0.3 : 0.006);
    const release = ago < BROKEN.from && ago > BROKEN.until ? "2026.11.2" : "2026.11.1";
    const milliseconds = Math.round((failed ? 10_000 : route.includes("chat") ? 900 : 90) * (0.6 + random()));
    const base = { timestamp, host: pick(HOSTS), environment: "production", trace_id: Math.floor(random() * 2 ** 48).toString(16).padStart(32, "0") };
    const dose = random();
    if (dose < 0.62) {
      events.push({ ...base, service: "gateway", release, level: failed ? "error" : milliseconds > 1300 ? "warning" : "info", logger: "monitoring.request", message: `${method} ${route} ${failed ? 502 : 200}`, method, route, status: failed ? 502 : 200, duration_ms: milliseconds, ...(failed ? { exception: { type: "UpstreamTimeout", message: "support-bot-v3 did not answer within 10 s", stacktrace: TRACE } } : {}) });
    } else if (dose < 0.76) {
      events.push({ ...base, service: "retriever", release: "1.8.0", level: "info", logger: "retriever.search", message: `${Math.ceil(random() * 12)} passages for a question of ${Math.ceil(random() * 90)} tokens`, index: "handbook", duration_ms: Math.round(random() * 80) });
    } else if (dose < 0.88) {
      events.push({ ...base, service: "billing", release: "4.2.1", level: random() < 0.03 ? "warning" : "info", logger: "billing.usage", message: `usage of account ${1000 + Math.floor(random() * 60)} recorded`, tokens: Math.floor(random() * 4000), plan: pick(["team", "free", "enterprise"]) });
    } else if (dose < 0.96) {
      events.push({ ...base, service: "trainer", release: "0.9.3", level: "debug", logger: "trainer.data", message: `batch of ${32 * Math.ceil(random() * 4)} examples packed`, dataset: "tickets-2026-10" });
    } else {
      events.push({ ...base, service: "gateway", release, level: broken(ago) ? "error" : "info", logger: "gateway.pool", message: broken(ago) ? `upstream ${pick(["10.0.3.17", "10.0.3.18"])}:8000 refused the connection, ${Math.ceil(random() * 3)} of 3 tries` : `pool of ${Math.ceil(random() * 40)} connections is healthy`, upstream: "support-bot-v3" });
    }
  }
  return events;
}

function runs(now) {
  const random = dice(3);
  const events = [];
  const job = (model, run_id, began, steps, total, outcome) => {
    const base = { logger: "monitoring.llm", service: "trainer", host: "node-3", level: "info", model, run_id, base_model: "llama-3.1-8b", dataset: "tickets-2026-10", total_steps: total };
    const step = (MINUTES * 0.55 * 60) / total;
    events.push({ ...base, timestamp: now - began * 60, message: "fine-tuning started", "event.name": "llm.fine_tuning.started" });
    for (let at = 1; at <= steps; at += 1) {
      const loss = 0.42 + 1.9 * Math.exp(-at / 60) + (random() - 0.5) * 0.08;
      const evaluated = at % 10 === 0 ? { eval_loss: loss + 0.06 + at / 5000 } : {};
      events.push({ ...base, level: "debug", timestamp: now - began * 60 + at * step, message: `step ${at}`, "event.name": "llm.fine_tuning.step", step: at, metrics: { loss, learning_rate: 2e-4 * Math.min(1, at / 30) * (1 - at / (total * 1.1)), tokens_per_second: 11800 + random() * 900, ...evaluated } });
    }
    const last = { ...base, timestamp: now - began * 60 + steps * step + 1, step: steps, duration_seconds: steps * step, tokens: steps * 262144, metrics: { loss: 0.42 } };
    if (outcome === "failed") events.push({ ...last, level: "error", message: "loss is NaN", "event.name": "llm.fine_tuning.nonfinite", metrics: { loss: "NaN" } });
    if (outcome) events.push({ ...last, level: outcome === "failed" ? "error" : "info", message: `fine-tuning ${outcome}`, "event.name": "llm.fine_tuning.ended", outcome, ...(outcome === "failed" ? { error: "loss was NaN for 5 steps", metrics: { loss: "NaN" } } : {}) });
  };
  job("support-bot-v3", "ft-7c1e", 118, 300, 300, "succeeded");
  job("router-small", "ft-83b0", 70, 112, 300, "failed");
  job("support-bot-v4", "ft-91d4", 48, 218, 300, null);
  ["support-bot-v2", "support-bot-v3", "support-bot-v4"].forEach((model, at) => {
    for (let ago = 110; ago > 4; ago -= 26) {
      const accuracy = 0.64 + at * 0.05 + (110 - ago) / 2600 + (random() - 0.5) * 0.012;
      events.push({ logger: "monitoring.llm", service: "evaluator", level: "info", timestamp: now - (ago - at) * 60, message: `tickets-qa of ${model}`, "event.name": "llm.evaluation.ended", suite: "tickets-qa", dataset: "tickets-qa-2026", model, run_id: `ev-${at}-${ago}`, outcome: accuracy >= 0.7 ? "passed" : "failed", scores: { accuracy: Number(accuracy.toFixed(3)), groundedness: Number((accuracy + 0.12).toFixed(3)) } });
    }
  });
  return events;
}

const RULES = [
  { name: "Gateway answers errors", kind: "logs", severity: "critical", query: "service:gateway level:>=error", operator: ">=", threshold: 20, window: "40m", interval: "10s", annotations: { summary: "{{ value }} errors of the gateway in 40 minutes" } },
  { name: "A disk is nearly full", kind: "metric", interval: "10s", severity: "warning", expr: "round(100 * max by (host) (system_disk_usage_ratio), 0.1)", operator: ">=", threshold: 90, annotations: { summary: "The disk of {{ labels.host }} is {{ value }} % full" } },
];

/** Send it all, and wait until both alerts are active; the newer is acknowledged. */
export async function play(instance) {
  const now = Date.now() / 1000;
  const ask = async (method, path, body) => {
    const answer = await instance.ask(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path} was answered ${answer.status}: ${JSON.stringify(answer.json)}`);
    return answer.json;
  };
  const measured = metrics(now);
  for (let at = 0; at < measured.length; at += 2000) await ask("POST", "/api/v1/metrics", measured.slice(at, at + 2000));
  const events = [...requests(now), ...runs(now)];
  for (let at = 0; at < events.length; at += 2000) await ask("POST", "/api/v1/logs", events.slice(at, at + 2000));
  await until("all of it is searchable", async () => {
    const { buckets } = await ask("GET", "/api/v1/logs/histogram?start=-3h&buckets=10");
    return buckets.reduce((sum, one) => sum + one.total, 0) >= events.length;
  });
  for (const rule of RULES) await ask("POST", "/api/v1/rules", rule);
  const alerts = await until("the alerts are active", async () => {
    const found = (await ask("GET", "/api/v1/alerts?state=active")).alerts;
    return found.length >= RULES.length && found;
  });
  const disk = alerts.find((one) => one.rule === "A disk is nearly full") ?? alerts[0];
  await ask("POST", `/api/v1/alerts/${disk.id}/acknowledge`, { comment: "old checkpoints are being moved away" });
  return events.length + measured.length;
}
