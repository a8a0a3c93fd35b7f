// Drives the web inbox of the real program with Chromium: every flow with and without scripts, two
// browsers at once, other sites, hostile text, phones, both colour schemes, the keyboard, axe.
//
//   node tests/browser/run.mjs PROGRAM [--screenshots FOLDER] [--only WORDS]
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const modules = createRequire(path.join(here, '../../target/clients/browser/'));
const puppeteer = (await import(modules.resolve('puppeteer-core'))).default;
const axe = fs.readFileSync(modules.resolve('axe-core/axe.min.js'), 'utf8');
const program = path.resolve(process.argv[2] ?? 'target/debug/holdpoint');
const option = (name) => { const at = process.argv.indexOf(name); return at < 0 ? undefined : process.argv[at + 1]; };
const shots = option('--screenshots');
const only = option('--only');
const hostile = JSON.parse(fs.readFileSync(path.join(here, 'hostile.json'), 'utf8'));

// A deployment: the demo, with rules of our own beside the starter policies.
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'holdpoint-browser-'));
const POLICY = `package holdpoint

hold contains {"rule": "look", "reason": "needs a look", "risk": "medium", "reviewers": [{"group": "data-owners", "count": 1}]} if startswith(input.request.path, "/look")

hold contains {"rule": "both", "reason": "needs two people", "risk": "critical", "reviewers": [{"group": "data-owners", "count": 1}, {"group": "security", "count": 1}]} if startswith(input.request.path, "/both")
`;
let demo;
const cleanUp = [() => demo?.kill('SIGKILL'), () => fs.rmSync(folder, { recursive: true, force: true })];
process.on('exit', () => cleanUp.forEach((step) => step()));
async function start() {
  demo = spawn(program, ['demo', '--proxy-port', '0', '--admin-port', '0', '--data-dir', folder, '-o', 'json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  demo.stderr.on('data', (data) => { log += data; });
  return new Promise((told, failed) => {
    let text = '';
    demo.stdout.on('data', (data) => { text += data; if (text.includes('\n')) told(JSON.parse(text)); });
    demo.on('exit', (code) => failed(new Error(`the demo ended with ${code}: ${log}`)));
  });
}
await start();
fs.writeFileSync(path.join(folder, 'policies/browser.rego'), POLICY);
demo.removeAllListeners('exit');
const ended = new Promise((done) => demo.on('exit', done));
demo.kill('SIGTERM');
await ended;
// The demo has no token for the agent's owner.
const made = spawnSync(program, ['tokens', 'create', '--reviewer', 'olga@example.com', '--file', path.join(folder, 'tokens/reviewers')], { encoding: 'utf8' });
const olga = made.stdout.match(/hp_pat_\w+/)?.[0];
assert(olga, made.stderr);
const told = await start();
told.reviewers.olga = olga;

// Agents.
const connections = new https.Agent({ rejectUnauthorized: false });
function call(method, target, { reason, body, headers = {} } = {}) {
  const fields = { authorization: `Bearer ${told.agent_key}`, ...headers };
  // Bytes of UTF-8, as agents send them; what no field may hold is left out.
  const field = (text) => Buffer.from(text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ')).toString('latin1').trim();
  if (reason !== undefined) fields['approval-reason'] = field(reason);
  return new Promise((done, failed) => {
    const request = https.request(told.proxy + target, { method, agent: connections, headers: fields }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (data) => { text += data; });
      answer.on('end', () => done({ status: answer.statusCode, text }));
    });
    request.on('error', failed);
    // As bytes: Node would write the fields in the encoding of a text.
    request.end(body === undefined ? undefined : Buffer.from(body));
  });
}
async function api(person, method, target, body) {
  return new Promise((done, failed) => {
    const headers = { authorization: `Bearer ${told.reviewers[person]}` };
    if (body) headers['content-type'] = 'application/json';
    const request = https.request(told.admin + target, { method, agent: connections, headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (data) => { text += data; });
      answer.on('end', () => done({ status: answer.statusCode, text, json: () => JSON.parse(text) }));
    });
    request.on('error', failed);
    request.end(body && JSON.stringify(body));
  });
}
async function until(what, ask) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const found = await ask();
    if (found) return found;
    assert(Date.now() < deadline, `waited in vain: ${what}`);
    await new Promise((on) => setTimeout(on, 25));
  }
}
let number = 0;
/// A call that is held, with its id.
async function held(method = 'GET', start = '/look', more = {}) {
  const target = start.includes('?') ? start : `${start}/${++number}`;
  const answer = call(method, target, more);
  let early;
  answer.then((said) => { early = said; }, (error) => { early = error; });
  const item = await until(`${target} is held`, async () => {
    const page = (await api('bo', 'GET', '/v1/approvals?state=pending&limit=200')).json();
    assert(!early, `${target} is answered: ${early?.text ?? early}`);
    return page.items.find((item) => item.call.target === target && item.caller.connected);
  });
  return { id: item.id, target, answer, digest: item.digest, place: `${told.admin}/a/${item.id}` };
}
const stateOf = async (id) => (await api('bo', 'GET', `/v1/approvals/${id}`)).json().state;

// Browsers.
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--force-prefers-reduced-motion'],
  acceptInsecureCerts: true,
});
cleanUp.unshift(() => browser.process()?.kill('SIGKILL'));
const faults = [];
async function open({ scripts = true, width = 1280, height = 900, phone = false, scheme = 'light' } = {}) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.setJavaScriptEnabled(scripts);
  await page.setViewport(phone ? { width: 360, height: 740, deviceScaleFactor: 2, isMobile: true, hasTouch: true } : { width, height });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  page.on('dialog', (dialog) => { faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    const text = message.text();
    if (/Content Security Policy|Trusted|Refused to|violat/i.test(text)) faults.push(`console: ${text}`);
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(told.admin) && !/^(about|data|blob|chrome-error):/.test(url) && !page.elsewhere) faults.push(`request: ${url}`);
  });
  return page;
}
async function press(page, selector) {
  const [answer] = await Promise.all([page.waitForNavigation(), page.click(selector)]);
  return answer;
}
async function signIn(page, person) {
  await page.goto(`${told.admin}/sign-in`);
  await page.type('#token', told.reviewers[person]);
  const answer = await press(page, 'main button');
  assert.equal(answer.status(), 200);
  return page;
}
const text = (page, selector) => page.$eval(selector, (element) => element.textContent);
const reviewer = async (person, options) => signIn(await open(options), person);

const cases = [];
const test = (name, run) => cases.push([name, run]);

for (const scripts of [true, false]) {
  const how = scripts ? 'with scripts' : 'without scripts';
  test(`signing in and out, ${how}`, async () => {
    const page = await open({ scripts });
    const call = await held();
    await page.goto(call.place);
    assert.equal(new URL(page.url()).pathname, '/sign-in');
    await page.type('#token', 'hp_pat_nonsense');
    assert.equal((await press(page, 'main button')).status(), 401);
    assert.match(await text(page, '[role=alert]'), /reviewer token/);
    await page.type('#token', told.agent_key);
    assert.equal((await press(page, 'main button')).status(), 401);
    await page.type('#token', told.reviewers.bo);
    await press(page, 'main button');
    assert.equal(page.url(), call.place, 'the sign-in leads back');
    const [cookie] = await page.browserContext().cookies();
    assert.deepEqual([cookie.name, cookie.secure, cookie.httpOnly, cookie.sameSite], ['__Host-holdpoint', true, true, 'Lax']);
    await press(page, '.who button');
    await page.goto(`${told.admin}/`);
    assert.equal(new URL(page.url()).pathname, '/sign-in');
    await api('bo', 'POST', `/v1/approvals/${call.id}/decisions`, { verdict: 'deny', digest: call.digest });
    assert.equal((await call.answer).status, 403);
  });

  test(`approving, ${how}`, async () => {
    const call = await held('GET', `/customers/export?n=${++number}`, { reason: 'quarterly report' });
    const page = await reviewer('bo', { scripts });
    await page.goto(`${told.admin}/`);
    await press(page, `#${call.id} a`);
    assert.match(await text(page, 'h1'), /Exports all customers/);
    assert.match(await text(page, '.claim'), /verified by nobody.*quarterly report/s);
    await page.type('#reason', 'agreed with finance');
    await press(page, '.approve');
    assert.match(await text(page, '[role=alert]'), /You have approved it/);
    const answer = await call.answer;
    assert.deepEqual([answer.status, JSON.parse(answer.text).exported], [200, 3]);
    await until('it is over', async () => (await stateOf(call.id)) === 'completed');
    await page.goto(call.place);
    assert.match(await text(page, '.status'), /the upstream answered 200/);
  });

  test(`denying with a reason, ${how}`, async () => {
    const call = await held();
    const page = await reviewer('bo', { scripts });
    await page.goto(call.place);
    await page.type('#reason', 'ask for less');
    await press(page, '.deny');
    const answer = await call.answer;
    assert.equal(answer.status, 403);
    assert.match(answer.text, /approval-denied/);
    assert.match(answer.text, /ask for less/);
    assert.equal(await page.$('.approve'), null);
  });

  test(`asking, answering and taking back, ${how}`, async () => {
    const call = await held();
    const [bo, olga] = [await reviewer('bo', { scripts }), await reviewer('olga', { scripts })];
    await bo.goto(call.place);
    assert.equal((await press(bo, '.ask')).status(), 422, 'a question needs words');
    await bo.type('#reason', 'which environment?');
    await press(bo, '.ask');
    assert.match((await call.answer).text, /which environment\?/);
    await olga.goto(call.place);
    assert.equal(await olga.$('.approve'), null, 'nobody approves their own call');
    await olga.type('#reason', 'staging');
    await press(olga, 'button[value=answer]');
    await bo.goto(call.place);
    assert.match(await text(bo, '.timeline'), /which environment\?.*staging/s);
    await olga.goto(call.place);
    await press(olga, 'button[value=withdraw]');
    assert.equal(await stateOf(call.id), 'withdrawn');
  });

  test(`what cannot be undone is confirmed by hand, ${how}`, async () => {
    const call = await held('DELETE', '/customers', { reason: 'erasure request' });
    const page = await reviewer('bo', { scripts });
    await page.goto(call.place);
    assert.match(await text(page, '.effect'), /cannot be undone/);
    await page.type('#reason', 'as asked');
    assert.equal((await press(page, '.approve')).status(), 422);
    assert.equal(await page.$eval('#reason', (field) => field.value), 'as asked');
    await page.type('#confirm', await text(page, '.digits'));
    await press(page, '.approve');
    assert.match(await text(page, '[role=alert]'), /You have approved it/);
    assert((await call.answer).status < 500);
  });

  test(`a long body is read first, ${how}`, async () => {
    const body = JSON.stringify({ rows: Array.from({ length: 20_000 }, (_, row) => `row number ${row}`) });
    const call = await held('POST', '/look', { body, headers: { 'content-type': 'application/json' } });
    const page = await reviewer('bo', { scripts });
    await page.goto(call.place);
    assert.equal(await page.$('.approve'), null);
    await press(page, '.exactly .button');
    while (await page.$('.parts .primary')) await press(page, '.parts .primary');
    assert.match(await text(page, 'pre'), /row number 19999/);
    await press(page, '.card > p .primary');
    await press(page, '.approve');
    assert.match(await text(page, '[role=alert]'), /You have approved it/);
    await call.answer;
  });

  test(`two people are needed for some, ${how}`, async () => {
    const call = await held('GET', '/both');
    const [ana, bo] = [await reviewer('ana', { scripts }), await reviewer('bo', { scripts })];
    for (const [page, says] of [[ana, /still needs security/], [bo, /You have approved it/]]) {
      await page.goto(call.place);
      await page.type('#confirm', await text(page, '.digits'));
      await press(page, '.approve');
      assert.match(await text(page, '[role=alert]'), says);
    }
    await call.answer;
    await until('it is over', async () => (await stateOf(call.id)) === 'completed');
  });
}

test('the list and the decision page take news by themselves', async () => {
  const first = await held();
  const page = await reviewer('bo');
  await page.goto(`${told.admin}/`);
  await page.waitForSelector(`#${first.id}`);
  const second = await held();
  await page.waitForFunction(() => /new call/.test(document.querySelector('.news')?.textContent ?? ''));
  assert.equal(await page.$(`#${second.id}`), null, 'no row moves by itself');
  await page.click('.news');
  await page.waitForSelector(`#${second.id}`);
  await api('bo', 'POST', `/v1/approvals/${first.id}/decisions`, { verdict: 'deny', digest: first.digest });
  await page.waitForFunction((id) => document.getElementById(id).classList.contains('settled'), {}, first.id);

  const other = await reviewer('ana');
  await other.goto(second.place);
  await other.type('#reason', 'half a thought');
  await api('bo', 'POST', `/v1/approvals/${second.id}/decisions`, { verdict: 'ask', digest: second.digest, reason: 'why now?' });
  await other.waitForFunction(() => document.querySelector('.timeline').textContent.includes('why now?'));
  assert.equal(await other.$eval('#reason', (field) => field.value), 'half a thought');
  await other.waitForFunction(() => !document.querySelector('.do .approve').disabled);
  await api('bo', 'POST', `/v1/approvals/${second.id}/decisions`, { verdict: 'deny', digest: second.digest });
  await other.waitForFunction(() => !document.querySelector('.do .approve') && document.querySelector('.status').textContent.includes('Denied'));
});

test('two browsers decide in the same instant, and the call runs once', async () => {
  for (let round = 0; round < 5; round++) {
    const call = await held('GET', `/customers/export?round=${++number}`);
    const pages = await Promise.all(['ana', 'bo'].map((person) => reviewer(person, { scripts: round % 2 === 0 })));
    await Promise.all(pages.map((page) => page.goto(call.place)));
    const answers = await Promise.all(pages.map((page) => press(page, '.approve')));
    const statuses = answers.map((answer) => answer.status()).sort();
    assert(statuses[0] === 200 && [200, 409].includes(statuses[1]), `${statuses}`);
    for (const page of pages) assert.match(await text(page, '[role=alert]'), /You have approved it|settled already/);
    assert.equal((await call.answer).status, 200);
    await until('it is over', async () => (await stateOf(call.id)) === 'completed');
    const { reviews } = (await api('bo', 'GET', `/v1/approvals/${call.id}`)).json();
    assert.equal(reviews.length, 1);
    await Promise.all(pages.map((page) => page.browserContext().close()));
  }
  // One approves, the other denies: whatever came first, both are told the same end.
  const call = await held();
  const [ana, bo] = await Promise.all(['ana', 'bo'].map((person) => reviewer(person)));
  await Promise.all([ana.goto(call.place), bo.goto(call.place)]);
  await Promise.all([press(ana, '.approve'), press(bo, '.deny')]);
  await call.answer;
  await until('it is over', async () => ['completed', 'denied', 'revoked'].includes(await stateOf(call.id)));
  await Promise.all([ana.goto(call.place), bo.goto(call.place)]);
  assert.equal(await text(ana, '.status strong'), await text(bo, '.status strong'));
});

test('other sites decide nothing, and see nothing', async () => {
  const call = await held();
  const page = await reviewer('bo');
  await page.goto(call.place);
  const [csrf, digest] = await page.$$eval('.do input[type=hidden]', (fields) => fields.map((field) => field.value));
  const form = `<form method=post action="${call.place}"><input name=csrf value="${csrf}"><input name=digest value="${digest}"><input name=verdict value=approve><button>go</button></form>`;
  const site = http.createServer((_, answer) => answer.writeHead(200, { 'content-type': 'text/html' }).end(
    `<!doctype html>${form}<iframe src="${call.place}"></iframe><link rel=prefetch href="${call.place}?verdict=approve">`));
  await new Promise((listening) => site.listen(0, listening));
  cleanUp.unshift(() => site.close());
  page.elsewhere = true;
  // Another site, and another port of the same host, to which browsers do send the cookie.
  for (const host of ['localhost', '127.0.0.1']) {
    const before = faults.length;
    await page.goto(`http://${host}:${site.address().port}/`);
    const framed = page.frames()[1];
    assert(!framed || !(await framed.content()).includes('Exactly this request'), 'the page is not framed');
    const answer = await press(page, 'button');
    assert([303, 200, 403].includes(answer.status()), `${answer.status()}`);
    if (answer.status() === 403) assert.match(await text(page, 'h1'), /did not come from a page of this site/);
    else assert.equal(new URL(page.url()).pathname, '/sign-in');
    assert.equal(await stateOf(call.id), 'pending', host);
    // The refused frame is what the policy is there for.
    faults.splice(before);
  }
  page.elsewhere = false;
  // A form of ours without its token, and a fetch of the API with nothing but the cookie.
  await page.goto(call.place);
  assert.equal(await page.evaluate((place) => fetch(place, { method: 'POST', body: new URLSearchParams({ verdict: 'approve' }) }).then((answer) => answer.status), call.place), 403);
  const api401 = await page.evaluate(({ id, digest }) => fetch(`/v1/approvals/${id}/decisions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ verdict: 'approve', digest }) }).then((answer) => answer.status), { id: call.id, digest });
  assert.equal(api401, 401);
  assert.equal(await stateOf(call.id), 'pending');
  await api('bo', 'POST', `/v1/approvals/${call.id}/decisions`, { verdict: 'deny', digest: call.digest });
});

test('fetching a link ahead decides nothing', async () => {
  const call = await held();
  const page = await reviewer('bo');
  await page.goto(`${told.admin}/`);
  for (const init of [{}, { headers: { purpose: 'prefetch' } }]) {
    await page.evaluate((place, init) => fetch(`${place}?verdict=approve&done`, init), call.place, init);
  }
  await page.evaluate((place) => { const link = document.createElement('link'); link.rel = 'prefetch'; link.href = `${place}?verdict=approve`; document.head.append(link); }, call.place);
  await page.goto(`${call.place}?verdict=approve`);
  assert.equal(await page.$('[role=alert]'), null);
  assert.equal(await stateOf(call.id), 'pending');
  await api('bo', 'POST', `/v1/approvals/${call.id}/decisions`, { verdict: 'deny', digest: call.digest });
});

test('hostile text does nothing', async () => {
  const page = await reviewer('bo');
  const before = faults.length;
  // The checks see what they are for.
  await page.evaluate(() => { const script = document.createElement('script'); try { script.textContent = 'alert(1)'; } catch {} document.body.append(script); });
  await until('the policy stops a script', () => faults.length > before);
  faults.splice(before);
  const calls = [];
  for (const [index, said] of hostile.entries()) {
    const encoded = encodeURIComponent(said).replace(/'/g, '%27');
    // A path may hold neither slashes nor what is not in normal form; the query may.
    const segment = said.replace(/[^a-z0-9]/gi, (char) => (/[!$()*,:@~-]/.test(char) ? char : '')).slice(0, 200);
    const query = encoded.length < 3_000 ? `${encoded}=${encoded}&` : '';
    calls.push(await held('POST', `/look/${segment}?${query}n=${index}`, { reason: said, body: said, headers: { 'content-type': 'text/plain', 'x-said': said.replace(/[^\x20-\x7e]/g, '').trim() || 'x' } }));
  }
  await page.goto(`${told.admin}/?show=all`);
  assert((await page.$$('.row')).length >= 50);
  for (const scripts of [true, false]) {
    const looker = scripts ? page : await reviewer('ana', { scripts });
    for (const [index, call] of calls.entries()) {
      await looker.goto(call.place);
      const shown = await looker.evaluate(() => ({
        buttons: [...document.querySelectorAll('button')].map((button) => button.textContent).join(),
        images: document.images.length,
        frames: document.querySelectorAll('iframe, object, embed').length,
        scripts: document.scripts.length,
        inline: [...document.querySelectorAll('*')].some((element) => [...element.attributes].some((attribute) => attribute.name.startsWith('on') || attribute.name === 'style')),
        wide: document.scrollingElement.scrollWidth > document.scrollingElement.clientWidth,
      }));
      const buttons = scripts ? 'Sign out,Approve,Deny,Ask,Turn keys off' : 'Sign out,Approve,Deny,Ask';
      assert.deepEqual(shown, { buttons, images: 0, frames: 0, scripts: 1, inline: false, wide: false }, JSON.stringify(hostile[index]));
    }
  }
  await page.goto(`${told.admin}/history?q=look`);
  // The command line, with the same.
  const environment = { ...process.env, HOLDPOINT_SERVER: told.admin, HOLDPOINT_CA: told.ca, HOLDPOINT_TOKEN: told.reviewers.bo };
  for (const [index, call] of calls.entries()) {
    const run = spawnSync(program, ['approvals', 'show', call.id], { env: environment, encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
    const seen = run.stdout.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\u{e0000}-\u{e007f}]/u);
    assert.equal(seen, null, JSON.stringify(hostile[index]));
    // No line of it passes for one of ours.
    assert.equal(run.stdout.split('\n').filter((line) => line.startsWith('State ')).length, 1, JSON.stringify(hostile[index]));
  }
  for (const call of calls) await api('bo', 'POST', `/v1/approvals/${call.id}/decisions`, { verdict: 'deny', digest: call.digest });
});

test('the keyboard is enough', async () => {
  const call = await held();
  const page = await reviewer('bo');
  await page.goto(`${told.admin}/`);
  await page.keyboard.press('j');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'row-link');
  while (await page.evaluate((id) => document.activeElement.closest('li').id !== id, call.id)) await page.keyboard.press('j');
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  await page.keyboard.press('d');
  assert.equal(await page.evaluate(() => document.activeElement.value), 'deny', 'a key goes to the button and does not press it');
  assert.equal(await stateOf(call.id), 'pending');
  await page.focus('#reason');
  await page.keyboard.type('add a quarter');
  assert.equal(await page.$eval('#reason', (field) => field.value), 'add a quarter', 'letters in a text are letters');
  for (let tab = 0; tab < 4 && (await page.evaluate(() => document.activeElement.value)) !== 'approve'; tab++) await page.keyboard.press('Tab');
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  assert.match(await text(page, '[role=alert]'), /You have approved it/);
  await call.answer;
  // Single letters can be turned off.
  await page.goto(`${told.admin}/`);
  await page.click('.keys-note button');
  await page.reload();
  await page.keyboard.press('j');
  assert.notEqual(await page.evaluate(() => document.activeElement.className), 'row-link');
  await page.evaluate(() => localStorage.clear());
});

test('axe finds nothing, in light and dark, on a phone and a desk', async () => {
  const open1 = await held('POST', `/customers?n=${++number}`, { reason: 'import of leads', body: '{"name":"Ada \\u202e Park","tags":["a","b"]}', headers: { 'content-type': 'application/json' } });
  const open2 = await held('DELETE', '/customers', { reason: '\u202eerasure' });
  const done = await held();
  await api('bo', 'POST', `/v1/approvals/${done.id}/decisions`, { verdict: 'deny', digest: done.digest, reason: 'no' });
  for (const scheme of ['light', 'dark']) {
    for (const phone of [true, false]) {
      const page = await open({ phone, scheme });
      await page.goto(`${told.admin}/sign-in`);
      const look = async () => {
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
        const found = violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.target).join(' ')}: ${violation.nodes[0].failureSummary}`);
        assert.deepEqual(found, [], `${page.url()} ${scheme} ${phone ? 'phone' : 'desk'}`);
        const [wide, width] = await page.evaluate(() => [document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]);
        assert(wide <= width, `${page.url()} is ${wide} wide on ${width}`);
      };
      await look();
      await signIn(page, 'bo');
      for (const place of ['/', '/?show=all', '/history?state=denied', '/overview', '/rules', '/agents', '/nothing', `/a/${open1.id}`, `/a/${open2.id}`, `/a/${done.id}`]) {
        await page.goto(told.admin + place);
        await look();
      }
      await page.setViewport({ width: 320, height: 640 });
      for (const place of ['/', `/a/${open1.id}`, '/overview']) {
        await page.goto(told.admin + place);
        await look();
      }
      await page.browserContext().close();
    }
  }
  for (const call of [open1, open2]) await api('bo', 'POST', `/v1/approvals/${call.id}/decisions`, { verdict: 'deny', digest: call.digest });
});

if (shots) {
  cases.length = 0;
  test('screenshots', async () => {
    fs.mkdirSync(shots, { recursive: true });
    const reasons = ['agreed with finance', 'known import', 'as asked', 'fine'];
    for (let round = 0; round < 14; round++) {
      const call = await held(round % 3 ? 'POST' : 'GET', round % 3 ? `/customers?lead=${round}` : `/customers/export?quarter=${round}`, { reason: 'nightly sync', body: round % 3 ? `{"name":"Lead ${round}"}` : undefined, headers: { 'content-type': 'application/json' } });
      await new Promise((on) => setTimeout(on, [200, 900, 3300, 400][round % 4]));
      const deny = round % 6 === 5;
      await api(round % 2 ? 'bo' : 'ana', 'POST', `/v1/approvals/${call.id}/decisions`, { verdict: deny ? 'deny' : 'approve', digest: call.digest, reason: deny ? 'too broad: name the customers' : reasons[round % 4] });
      await call.answer;
    }
    const asked = await held('POST', `/customers?n=${++number}`, { reason: 'import of the leads from the fair', body: '{"name":"Lin Ito","email":"lin@example.org","limit":1200,"tags":["fair","warm"]}', headers: { 'content-type': 'application/json' } });
    const erased = await held('DELETE', '/customers', { reason: 'erasure request 4711' });
    const exported = await held('GET', '/customers/export?format=csv&fields=name,email', { reason: 'quarterly report for finance', headers: { 'approval-context': 'ticket="FIN-218"', 'user-agent': 'python-requests/2.34', accept: '*/*' } });
    const page = await reviewer('bo', { width: 1180, height: 760 });
    const shoot = async (name, place, options = {}) => {
      await page.goto(told.admin + place);
      await page.evaluate(() => document.querySelector('.keys-note')?.remove());
      await page.screenshot({ path: path.join(shots, `${name}.png`), ...options });
    };
    await shoot('inbox', '/');
    await shoot('decision', `/a/${exported.id}`, { fullPage: true });
    await shoot('overview', '/overview');
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
    await shoot('decision-dark', `/a/${asked.id}`);
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
    await page.setViewport({ width: 360, height: 740, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
    await shoot('phone', `/a/${exported.id}`);
    await shoot('phone-irreversible', `/a/${erased.id}`);
    await shoot('phone-inbox', '/');
    await page.setViewport({ width: 1180, height: 760 });
    await api('ana', 'POST', `/v1/approvals/${exported.id}/decisions`, { verdict: 'ask', digest: exported.digest, reason: 'all columns, or name and email only?' });
    await exported.answer;
    const again = call('GET', '/customers/export?format=csv&fields=name,email', { reason: 'name and email only', headers: { 'approval-context': 'ticket="FIN-218"', 'user-agent': 'python-requests/2.34', accept: '*/*' } });
    await until('it is there again', async () => (await api('bo', 'GET', `/v1/approvals/${exported.id}`)).json().caller.connected);
    await page.goto(exported.place);
    await page.type('#reason', 'agreed with finance');
    await press(page, '.approve');
    await again;
    await page.goto(exported.place);
    const timeline = await page.$('.timeline');
    await (await timeline.evaluateHandle((element) => element.closest('section'))).screenshot({ path: path.join(shots, 'timeline.png') });
  });
}

let failed = 0;
for (const [name, run] of cases) {
  if (only && !name.includes(only)) continue;
  const before = faults.length;
  try {
    await run();
    assert.deepEqual(faults.slice(before), []);
    console.log(`ok    ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}\n${error.stack}`);
    faults.splice(before);
  }
  for (const context of browser.browserContexts().slice(1)) await context.close();
}
await browser.close();
demo.removeAllListeners('exit');
demo.kill('SIGTERM');
console.log(failed ? `${failed} failed` : 'all passed');
process.exit(failed ? 1 : 0);
