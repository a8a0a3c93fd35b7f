// One call with one Node client: `client.mjs CLIENT BASE`. Prints and reads the environment as client.py does.
// NODE_EXTRA_CA_CERTS names the authority to trust.

import { createRequire } from "node:module";
import https from "node:https";
import path from "node:path";

const [client, base] = process.argv.slice(2);
const { KEY, TIMEOUT, RETRIES } = process.env;
const require = createRequire(path.resolve("target/clients/node/package.json"));
const headers = { Authorization: `Bearer ${KEY}`, "Content-Type": "application/json" };
const thing = { name: "web", nodes: 12 };
const chat = { model: "small", messages: [{ role: "user", content: "delete the cluster" }] };
let attempts = 0;

const say = (line) => console.log(JSON.stringify(line));

// Counts below all retries: whatever goes through `fetch` or `https`.
const send = { fetch: globalThis.fetch, request: https.request };
globalThis.fetch = (...all) => (attempts++, send.fetch(...all));
https.request = (...all) => (attempts++, send.request(...all));

class Refused extends Error {
  constructor(status, body) {
    super(`${status}: ${body}`);
    this.error = JSON.parse(body);
  }
}

// Calls again after a time-out, for clients that do not do so themselves.
async function patiently(isTimeout, call) {
  for (let left = RETRIES === "0" ? 0 : 3; ; left--) {
    try {
      return await call();
    } catch (error) {
      if (left === 0 || !isTimeout(error)) throw error;
    }
  }
}

function checked(status, body) {
  if (status >= 400) throw new Refused(status, body);
  return body;
}

// Those that are set; for the others the SDK has its own.
function settings(retries) {
  return { ...(TIMEOUT && { timeout: TIMEOUT * 1000 }), ...(RETRIES && { [retries]: Number(RETRIES) }) };
}

function openai() {
  const { OpenAI } = require("openai");
  return new OpenAI({ apiKey: KEY, baseURL: `${base}/v1`, ...settings("maxRetries") });
}

function anthropic() {
  const { Anthropic } = require("@anthropic-ai/sdk");
  return new Anthropic({ apiKey: KEY, baseURL: base, ...settings("maxRetries") });
}

const clients = {
  fetch() {
    return patiently((error) => error.name === "TimeoutError", async () => {
      const signal = TIMEOUT ? AbortSignal.timeout(TIMEOUT * 1000) : undefined;
      const answer = await fetch(`${base}/things`, { method: "POST", headers, body: JSON.stringify(thing), signal });
      return checked(answer.status, await answer.text());
    });
  },
  axios() {
    const axios = require("axios");
    const timeout = TIMEOUT ? TIMEOUT * 1000 : 0;
    return patiently((error) => error.code === "ECONNABORTED", async () => {
      const answer = await axios.post(`${base}/things`, thing, {
        headers, timeout, responseType: "text", validateStatus: () => true,
      });
      return checked(answer.status, answer.data);
    });
  },
  async "openai-node"() {
    const answer = await openai().chat.completions.create(chat);
    return answer.choices[0].message.content;
  },
  async "openai-node-stream"() {
    const stream = await openai().chat.completions.create({ ...chat, stream: true });
    say({ opened: true });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0].delta.content ?? "";
    return text;
  },
  async "anthropic-node"() {
    const answer = await anthropic().messages.create({ ...chat, max_tokens: 100 });
    return answer.content[0].text;
  },
  async "anthropic-node-stream"() {
    const stream = await anthropic().messages.create({ ...chat, max_tokens: 100, stream: true });
    say({ opened: true });
    let text = "";
    for await (const event of stream) if (event.type === "content_block_delta") text += event.delta.text;
    return text;
  },
  async "stripe-node"() {
    const Stripe = require("stripe");
    // It has no place for a path, so the run stands in the id.
    const { hostname, port, pathname } = new URL(base);
    const stripe = new Stripe(KEY, { host: hostname, port, protocol: "https", ...settings("maxNetworkRetries") });
    const customer = await stripe.customers.update(pathname.slice(1), { name: "Ada Park" });
    return customer.description;
  },
};

try {
  const answer = await clients[client]();
  say({ answer, attempts });
} catch (error) {
  const type = error.type?.startsWith?.("Stripe") ? error.type : error.constructor.name;
  // What the error has of the answer's body beside the message, where its SDK keeps that.
  const told = error.raw ?? error.error?.error ?? error.error;
  say({ error: { type, code: told?.code ?? null, approval: told?.approval_id ?? null, text: error.message }, attempts });
}
