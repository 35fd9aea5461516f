import { DDP } from './ddp.js';

const $ = (id) => document.getElementById(id);
const items = new Map(); // id → element
const url = new URL('/live/websocket', location.href);
url.protocol = url.protocol.replace('http', 'ws');

let drawing = false;
let status = 'connecting';

const ddp = new DDP(url, ['builds', 'watchers'], (now) => {
  status = now;
  if (!drawing) requestAnimationFrame(draw);
  drawing = true;
});

function draw() {
  drawing = false;
  $('status').textContent = $('status').dataset.status = status;
  if (status !== 'connected') return; // what there was stays to be seen
  const builds = ddp.collection('builds').sort((a, b) => a.number - b.number);
  for (const [id, item] of items) {
    if (builds.some((build) => build.id === id)) continue;
    item.remove();
    items.delete(id);
  }
  builds.forEach(show);
  $('empty').hidden = builds.length > 0;
  $('watchers').textContent = ddp.collection('watchers')[0]?.count ?? '–';
}

function show({ id, number, branch, by, state, percent }) {
  if (!items.has(id)) {
    items.set(id, $('build').content.firstElementChild.cloneNode(true));
    $('builds').prepend(items.get(id));
  }
  const item = items.get(id);
  const part = (selector) => item.querySelector(selector);
  item.dataset.state = state;
  part('.state').textContent = state;
  part('.branch').textContent = branch;
  part('.by').textContent = `#${number} by ${by}`;
  part('progress').value = percent;
  part('progress').setAttribute('aria-label', `Build ${number}`);
  const running = state === 'running';
  part('button').textContent = running ? 'Stop' : 'Again';
  part('button').onclick = () =>
    running ? attempt('builds.stop', id) : attempt('builds.start', branch);
}

async function attempt(method, ...params) {
  $('notice').textContent = '';
  try {
    await ddp.call(method, ...params);
  } catch (problem) {
    $('notice').textContent = problem.message;
  }
}

$('start').onsubmit = (event) => {
  event.preventDefault();
  attempt('builds.start', $('branch').value || $('branch').placeholder);
  $('branch').value = '';
};
