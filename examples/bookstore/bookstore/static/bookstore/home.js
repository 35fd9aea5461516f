// The frame around the two windows. Each tells when it calls a method and when it has shown a
// change; the time between the one's call and the other's change is what the page is about.

const $ = (id) => document.getElementById(id);
let call = null;

addEventListener('message', ({ origin, data }) => {
  if (origin !== location.origin) return;
  if (data.kind === 'call') call = data;
  if (data.kind !== 'shown' || !call || data.who === call.who) return;
  const milliseconds = data.at - call.at;
  if (milliseconds > 5000) return; // the work of somebody else
  $('latency').textContent = `${milliseconds.toFixed(1)} ms`;
  $('latency-what').textContent = `edited ${call.who}, shown ${data.who}`;
  call = null;
});

$('copy')?.addEventListener('click', async ({ target }) => {
  getSelection().selectAllChildren($('hint')); // for browsers that do not let us copy
  await navigator.clipboard?.writeText($('hint').textContent);
  target.textContent = 'Copied';
});
