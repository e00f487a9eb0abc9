/** Built-in boards: what docs/collectors.md, docs/requests.md and docs/llm.md say is measured by itself. */

import type { Unit } from "../lib/format";

export interface Chart {
  title: string;
  unit: Unit;
  /** `$window` is replaced by what a rate looks back over. */
  expr: string;
  legend: string;
}

export interface Board {
  name: string;
  title: string;
  /** What makes it fill, where it is empty. */
  needs: string;
  charts: readonly Chart[];
}

const quantile = (share: number, metric: string, by: string) => `histogram_quantile(${share}, sum by (le${by ? `, ${by}` : ""}) (rate(${metric}_bucket[$window])))`;

export const BOARDS: readonly Board[] = [
  {
    name: "system",
    title: "System",
    needs: "pip install 'monitoring-pipeline[system]'\nmonitoring collect",
    charts: [
      { title: "CPU usage", unit: "ratio", expr: "max by (host) (system_cpu_usage_ratio)", legend: "{{host}}" },
      { title: "Memory usage", unit: "ratio", expr: "max by (host) (system_memory_usage_ratio)", legend: "{{host}}" },
      { title: "Disk usage", unit: "ratio", expr: "max by (host, mount) (system_disk_usage_ratio)", legend: "{{host}} {{mount}}" },
      { title: "Load over 1 min", unit: "count", expr: "max by (host) (system_load1)", legend: "{{host}}" },
      { title: "Network", unit: "bytes/s", expr: "sum by (host, direction) (rate(system_network_bytes_total[$window]))", legend: "{{host}} {{direction}}" },
      { title: "Disk traffic", unit: "bytes/s", expr: "sum by (host, direction) (rate(system_disk_io_bytes_total[$window]))", legend: "{{host}} {{direction}}" },
      { title: "Memory of services", unit: "bytes", expr: "sum by (service) (process_resident_memory_bytes)", legend: "{{service}}" },
      { title: "CPU of services, in cores", unit: "count", expr: "sum by (service) (rate(process_cpu_seconds_total[$window]))", legend: "{{service}}" },
      { title: "GPU utilization", unit: "ratio", expr: "max by (host, gpu) (gpu_utilization_ratio)", legend: "{{host}} GPU {{gpu}}" },
      { title: "GPU memory", unit: "ratio", expr: "max by (host, gpu) (gpu_memory_usage_ratio)", legend: "{{host}} GPU {{gpu}}" },
    ],
  },
  {
    name: "api",
    title: "API",
    needs: "from monitoring.producers.flask import FlaskMonitoring\n\nFlaskMonitoring(app)",
    charts: [
      { title: "Requests", unit: "rate", expr: "sum by (service) (rate(http_server_request_duration_seconds_count[$window]))", legend: "{{service}}" },
      { title: "Error rate", unit: "ratio", expr: 'sum by (service) (rate(http_server_request_duration_seconds_count{status=~"5.."}[$window])) / sum by (service) (rate(http_server_request_duration_seconds_count[$window]))', legend: "{{service}}" },
      { title: "Latency p50", unit: "seconds", expr: quantile(0.5, "http_server_request_duration_seconds", "service"), legend: "{{service}}" },
      { title: "Latency p95", unit: "seconds", expr: quantile(0.95, "http_server_request_duration_seconds", "service"), legend: "{{service}}" },
      { title: "In-flight requests", unit: "count", expr: "sum by (service) (http_server_active_requests)", legend: "{{service}}" },
      { title: "Requests by status", unit: "rate", expr: "sum by (status) (rate(http_server_request_duration_seconds_count[$window]))", legend: "{{status}}" },
      { title: "Busiest routes", unit: "rate", expr: "topk(8, sum by (method, route) (rate(http_server_request_duration_seconds_count[$window])))", legend: "{{method}} {{route}}" },
      { title: "Slowest routes, p95", unit: "seconds", expr: `topk(8, ${quantile(0.95, "http_server_request_duration_seconds", "method, route")})`, legend: "{{method}} {{route}}" },
    ],
  },
  {
    name: "llm",
    title: "LLM",
    needs: "from monitoring import llm\n\nwith llm.call(\"gpt-4.1-mini\", provider=\"openai\") as call:\n    …",
    charts: [
      { title: "Calls", unit: "rate", expr: "sum by (model) (rate(llm_requests_total[$window]))", legend: "{{model}}" },
      { title: "Failed calls", unit: "rate", expr: 'sum by (model) (rate(llm_requests_total{outcome="failed"}[$window]))', legend: "{{model}}" },
      { title: "Call latency p95", unit: "seconds", expr: quantile(0.95, "llm_request_duration_seconds", "model"), legend: "{{model}}" },
      { title: "Time to first token p95", unit: "seconds", expr: quantile(0.95, "llm_time_to_first_token_seconds", "model"), legend: "{{model}}" },
      { title: "Tokens", unit: "rate", expr: 'sum by (model, type) (rate(llm_tokens_total{type=~"input|output"}[$window]))', legend: "{{model}} {{type}}" },
      { title: "Cost per hour", unit: "usd", expr: "sum by (model) (rate(llm_cost_usd_total[$window])) * 3600", legend: "{{model}}" },
      { title: "Cache hit ratio", unit: "ratio", expr: 'sum by (cache) (rate(llm_cache_requests_total{result="hit"}[$window])) / sum by (cache) (rate(llm_cache_requests_total[$window]))', legend: "{{cache}}" },
      { title: "Cache look-ups", unit: "rate", expr: "sum by (cache, result) (rate(llm_cache_requests_total[$window]))", legend: "{{cache}} {{result}}" },
      { title: "Cache entries", unit: "count", expr: "sum by (cache) (llm_cache_entries)", legend: "{{cache}}" },
      { title: "Time saved by caches", unit: "count", expr: "sum by (cache) (rate(llm_cache_saved_seconds_total[$window]))", legend: "{{cache}}: s of waiting a second" },
      { title: "Fine-tuning loss", unit: "count", expr: "llm_fine_tuning_loss", legend: "{{model}} {{run_id}}" },
    ],
  },
];
