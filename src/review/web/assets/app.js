// What the pages do beyond being pages: count down, look for news, and take keys. Everything works
// without it. No text becomes markup here: news comes as a whole page, of which parts are taken.
'use strict';

const KINDS = ['created', 'decided', 'approved', 'denied', 'expired', 'withdrawn', 'revoked', 'lapsed', 'claimed',
  'unclaimed', 'completed', 'failed', 'unknown', 'asked', 'answered', 'caller_joined', 'caller_left'];
const list = document.querySelector('[data-list]');
const decision = document.getElementById('decision');
const overview = document.querySelector('[data-overview]');
const live = document.getElementById('live');
const title = document.title;

// Times, counted down.
function words(ms) {
  const s = Math.floor(Math.abs(ms) / 1000);
  const long = s < 60 ? `${s} s` : s < 7200 ? `${Math.floor(s / 60)} min` : s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} days`;
  return ms > 0 ? `in ${long}` : s === 0 ? 'just now' : `${long} ago`;
}
function count() {
  for (const time of document.querySelectorAll('time[data-count]')) {
    const left = Date.parse(time.dateTime) - Date.now();
    const text = words(left);
    if (time.textContent !== text) time.textContent = text;
    time.classList.toggle('soon', left > 0 && left < 120000);
  }
}
setInterval(count, 1000);
count();

function say(text) { live.textContent = text; }

// The page as it is now. XMLHttpRequest reads it as a document in which nothing runs.
function fetchPage(done) {
  const request = new XMLHttpRequest();
  request.open('GET', location.href);
  request.responseType = 'document';
  request.onload = () => {
    if (new URL(request.responseURL).pathname === '/sign-in') return location.reload();
    if (request.status === 200 && request.response) done(request.response);
  };
  request.send();
}

// The list: what changed is changed in place, what is new waits behind a button, so that no row
// moves while somebody reaches for it.
let news = null;
function refreshList(page) {
  const fresh = page.getElementById('rows');
  const rows = document.getElementById('rows');
  if (!fresh) return;
  if (!rows || rows.children.length === 0) return showAll(page);
  const current = new Map([...fresh.children].map((row) => [row.id, row]));
  for (const row of [...rows.children]) {
    const now = current.get(row.id);
    current.delete(row.id);
    if (!now) {
      if (!row.classList.contains('settled')) {
        row.classList.add('settled');
        const note = document.createElement('span');
        note.className = 'tag';
        note.textContent = 'no longer waits';
        row.querySelector('.row-tags').append(note);
      }
    } else if (now.dataset.version !== row.dataset.version) {
      row.dataset.version = now.dataset.version;
      row.className = now.className;
      row.querySelector('a').replaceChildren(...[...now.querySelector('a').childNodes].map((node) => document.importNode(node, true)));
    }
  }
  const added = [...current.keys()].length;
  if (added > 0) {
    if (!news) {
      news = document.createElement('button');
      news.className = 'news primary';
      news.type = 'button';
      list.prepend(news);
    }
    news.textContent = added === 1 ? '1 new call: show it' : `${added} new calls: show them`;
    news.onclick = () => showAll(page);
    say(news.textContent);
  }
  document.title = added > 0 ? `(${added}) ${title}` : title;
  count();
}
function showAll(page) {
  const fresh = page.querySelector('[data-list]');
  if (!fresh) return;
  const before = list.querySelectorAll('.row').length;
  list.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
  news = null;
  document.title = title;
  const after = list.querySelectorAll('.row').length;
  if (after !== before) say(after === 1 ? '1 call waits' : `${after} calls wait`);
  count();
}

// The decision page: what changed is shown at once, and for a moment no button takes a press that
// was meant for what stood there before.
function refreshDecision(page) {
  const fresh = page.getElementById('decision');
  const shown = document.getElementById('decision');
  if (!fresh || fresh.dataset.version === shown.dataset.version) return;
  const typed = new Map([...shown.querySelectorAll('textarea, input:not([type=hidden])')].map((field) => [field.id, field.value]));
  const focused = document.activeElement && document.activeElement.id;
  const opened = [...shown.querySelectorAll('details')].map((details) => details.open);
  shown.dataset.version = fresh.dataset.version;
  shown.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
  for (const [id, value] of typed) {
    const field = id && document.getElementById(id);
    if (field && value) field.value = value;
  }
  [...shown.querySelectorAll('details')].forEach((details, index) => { details.open = opened[index] || false; });
  if (focused && document.getElementById(focused)) document.getElementById(focused).focus({ preventScroll: true });
  const buttons = [...shown.querySelectorAll('.do button')];
  for (const button of buttons) button.disabled = true;
  setTimeout(() => { for (const button of buttons) button.disabled = false; }, 600);
  const status = shown.querySelector('.status strong');
  if (status) say(status.textContent);
  count();
}
function refreshOverview(page) {
  const fresh = page.querySelector('[data-overview]');
  if (fresh) overview.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
}

let waiting = null;
function look(after) {
  if (waiting) return;
  waiting = setTimeout(() => {
    waiting = null;
    fetchPage(list ? refreshList : decision ? refreshDecision : refreshOverview);
  }, after);
}
if (document.body.dataset.live !== undefined && (list || decision || overview)) {
  const about = decision && decision.dataset.approval;
  const events = new EventSource(about ? `/v1/approvals/${about}/events` : '/v1/events');
  for (const kind of KINDS) events.addEventListener(`approval.${kind}`, () => look(overview ? 5000 : 150));
  let broken = false;
  events.onerror = () => { broken = true; document.body.classList.add('offline'); };
  events.onopen = () => {
    document.body.classList.remove('offline');
    if (broken) look(0);
    broken = false;
  };
  addEventListener('pagehide', () => events.close());
  addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
}

// Keys: j and k go through the rows, a, d and q go to the buttons, where a second key presses them.
// They can be turned off, since whoever speaks to the browser types single letters.
let keys = localStorage.getItem('keys') !== 'off';
const target = { a: '.do .approve', d: '.do .deny', q: '.do .ask' };
addEventListener('keydown', (event) => {
  if (!keys || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select')) return;
  if (event.key === 'j' || event.key === 'k') {
    const links = [...document.querySelectorAll('.row-link')];
    const at = links.indexOf(document.activeElement);
    const next = links[at < 0 ? 0 : at + (event.key === 'j' ? 1 : -1)];
    if (next) { next.focus(); event.preventDefault(); }
  } else if (target[event.key]) {
    const button = document.querySelector(target[event.key]);
    if (button) { button.focus(); event.preventDefault(); }
  }
});
if (list || decision) {
  const foot = document.createElement('p');
  foot.className = 'keys-note muted small';
  const text = document.createElement('span');
  const toggle = document.createElement('button');
  toggle.type = 'button';
  toggle.className = 'quiet';
  const show = () => {
    text.textContent = keys ? (list ? 'Keys: j and k go through the list, Enter opens. ' : 'Keys: a, d and q go to Approve, Deny and Ask; Enter presses. ') : 'Single keys are off. ';
    toggle.textContent = keys ? 'Turn keys off' : 'Turn keys on';
  };
  toggle.onclick = () => { keys = !keys; localStorage.setItem('keys', keys ? 'on' : 'off'); show(); };
  show();
  foot.append(text, toggle);
  document.querySelector('main').append(foot);
}
