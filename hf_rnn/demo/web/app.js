// The page: what is typed is answered as it is typed.

import { load } from "./engine.js";

const element = (id) => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const percent = (score) => `${(100 * score).toFixed(1)} %`;

const input = element("text");
const status = element("status");
// colours of kinds of spans, far from each other
const colour = (index) => `hsl(${(index * 137.5) % 360} 70% 45%)`;

try {
  const { settings, answer } = await load();
  for (const example of settings.examples) {
    element("examples").append(make("button", { type: "button", textContent: example, onclick: () => { input.value = example; update(); input.focus(); } }));
  }
  const kinds = [...new Set((settings.kinds ?? []).filter((kind) => kind !== null))];

  function showScores({ label, scores, prediction, outside }) {
    if (prediction !== undefined) return element("answer").replaceChildren(make("output", { textContent: prediction.toFixed(4) }));
    const rows = settings.labels.map((name, index) => {
      const bar = make("span", { className: "bar" });
      bar.style.width = `${100 * scores[index]}%`;
      return make("li", { className: name === label ? "best" : "" }, make("span", { textContent: name }), make("span", { className: "track" }, bar), make("span", { textContent: percent(scores[index]) }));
    });
    const unlike = label === null ? [make("output", { textContent: `None of these: ${outside.toFixed(2)} unlike what it learnt from` })] : [];
    element("answer").replaceChildren(...unlike, make("ul", {}, ...rows));
  }

  function showSpans(text, { spans, label }) {
    const parts = [];
    let end = 0;
    for (const span of spans) {
      parts.push(text.slice(end, span.start));
      const mark = make("mark", { title: percent(span.score) }, text.slice(span.start, span.end), make("small", { textContent: span.kind }));
      mark.style.setProperty("--kind", colour(kinds.indexOf(span.kind)));
      parts.push(mark);
      end = span.end;
    }
    parts.push(text.slice(end));
    const shown = [make("p", { className: "tagged" }, ...parts)];
    if (label) shown.unshift(make("output", { textContent: label }));
    element("answer").replaceChildren(...shown);
  }

  let running = false;
  // of the text at hand; one that is answered again has a median
  let timed = { text: null, times: [] };
  let wanted = null;

  /** Answer the latest text; what was typed meanwhile follows. */
  async function update() {
    wanted = input.value;
    if (running) return;
    running = true;
    while (wanted !== null) {
      const text = wanted;
      wanted = null;
      if (!text.trim()) {
        element("answer").replaceChildren();
        status.textContent = "";
        continue;
      }
      const start = performance.now();
      const found = await answer(text);
      if (timed.text !== text) timed = { text, times: [] };
      timed.times.push(performance.now() - start);
      if (found.spans) showSpans(text, found);
      else showScores(found);
      const times = timed.times.toSorted((one, other) => one - other);
      const told = times.length > 1 ? ` (median of ${times.length})` : "";
      status.textContent = `${found.tokens} ${found.tokens === 1 ? "token" : "tokens"} in ${times[times.length >> 1].toFixed(1)} ms${told}, in this browser`;
    }
    running = false;
  }

  input.addEventListener("input", update);
  input.value = settings.examples[0] ?? "";
  input.disabled = false;
  // the first run lays things out and is slow
  await answer(input.value);
  await update();
  navigator.serviceWorker?.register("offline.js");
} catch (error) {
  status.textContent = `This page needs a browser of 2023 or later, and a server: ${error.message}`;
  throw error;
}
