// Lists what openapi.json describes and sends requests. What comes back is shown as text only.
"use strict";

const MOST_SHOWN = 200000; // characters of an answer: more makes a page slow and nobody reads it

function element(name, text, attributes) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  Object.assign(made, attributes || {});
  return made;
}

async function csrf() {
  const answer = await fetch("api/v1/session");
  return answer.ok ? (await answer.json()).csrf : "";
}

async function send(method, path, fields, body) {
  let address = path;
  const query = new URLSearchParams();
  for (const { parameter, input } of fields) {
    if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value) query.set(parameter.name, input.value);
  }
  const headers = {};
  const key = document.getElementById("key").value.trim();
  if (key) headers.Authorization = `Bearer ${key}`;
  else if (method !== "GET") headers["X-CSRF-Token"] = await csrf();
  const search = query.size ? `?${query}` : "";
  const answer = await fetch(address.slice(1) + search, { method, headers, body: body ? body.value : undefined });
  if ((answer.headers.get("Content-Type") || "").startsWith("text/event-stream")) {
    answer.body.cancel();
    return `${answer.status}\n\n(a stream: follow it with curl)`;
  }
  let text = await answer.text();
  try {
    text = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // not JSON: shown as it came
  }
  return `${answer.status} ${answer.statusText}\n\n${text.slice(0, MOST_SHOWN)}`;
}

function example(body) {
  const schema = body.content["application/json"] && body.content["application/json"].schema;
  if (!schema) return "";
  const names = schema.required.length ? schema.required : Object.keys(schema.properties);
  return JSON.stringify(Object.fromEntries(names.map((name) => [name, (schema.properties[name].enum || [""])[0]])));
}

function operation(method, path, facts) {
  const box = element("details");
  const head = element("summary");
  head.append(element("code", `${method} ${path}`), facts.summary);
  box.append(head);
  box.append(element("p", facts["x-role"] ? `Role: ${facts["x-role"]}` : "Open to all", { className: "note" }));
  if (facts.description) box.append(element("p", facts.description));
  const fields = facts.parameters.map((parameter) => {
    const label = element("label", `${parameter.name} `);
    const schema = parameter.schema;
    const hint = schema.enum ? schema.enum.join(" | ") : schema.default === undefined ? "" : `${schema.default}`;
    const input = element("input", "", { placeholder: hint, title: parameter.description || "" });
    label.append(input);
    box.append(label);
    return { parameter, input };
  });
  let body = null;
  if (facts.requestBody) {
    body = element("textarea", "", { value: example(facts.requestBody) });
    box.append(body);
  }
  const button = element("button", "Send", { type: "button" });
  const shown = element("pre", "", { hidden: true });
  button.addEventListener("click", async () => {
    shown.hidden = false;
    shown.textContent = "…";
    shown.textContent = await send(method, path, fields, body).catch((error) => String(error));
  });
  box.append(button, shown);
  return box;
}

async function start() {
  const answer = await fetch("openapi.json");
  const api = await answer.json();
  document.getElementById("about").textContent = api.info.description;
  const tags = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, facts] of Object.entries(methods)) {
      const tag = facts.tags[0];
      if (!tags.has(tag)) tags.set(tag, []);
      tags.get(tag).push(operation(method.toUpperCase(), path, facts));
    }
  }
  const place = document.getElementById("operations");
  place.replaceChildren();
  for (const [tag, boxes] of tags) place.append(element("h2", tag), ...boxes);
}

start().catch((error) => {
  document.getElementById("operations").textContent = String(error);
});
