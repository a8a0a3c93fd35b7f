// One request with one Node client: `client.mjs LIBRARY METHOD URL`. Prints {"status", "body"}.
// NODE_EXTRA_CA_CERTS names the authority to trust.

import { createRequire } from "node:module";
import path from "node:path";

const [library, method, url] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${process.env.KEY}` };

const libraries = {
  async fetch() {
    const answer = await fetch(url, { method, headers });
    return { status: answer.status, body: await answer.text() };
  },
  async axios() {
    const require = createRequire(path.resolve("target/clients/node/package.json"));
    const axios = require("axios");
    const answer = await axios.request({ method, url, headers, responseType: "text", validateStatus: () => true });
    return { status: answer.status, body: answer.data };
  },
};

console.log(JSON.stringify(await libraries[library]()));
