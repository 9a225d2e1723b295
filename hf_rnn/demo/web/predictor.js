// The model as a module, for browsers, bundlers and Node.js: `const { predict } = await load(); await predict(["a text"])`.

import { load as open } from "./engine.js";

/**
 * Load the model that lies beside this file.
 *
 * `predict` takes a text or a list of texts and gives a list of what `hf_rnn.load(...).predict` gives: `text` with `label` and `score`,
 * `scores` (several labels) or `prediction` (regression); of a tagger `spans` (`entity_group`, `score`, `word`, `start`, `end`), of one of
 * words also `tokens` and `tags`, and `intent` if the model has any. `start` and `end` count as strings of JavaScript do.
 */
export async function load() {
  const { settings, answer } = await open();

  function classified(text, { label, scores, prediction, outside }) {
    if (prediction !== undefined) return { text, prediction };
    if (settings.problem === "multi_label_classification") {
      return { text, scores: Object.fromEntries(settings.labels.map((name, index) => [name, scores[index]])) };
    }
    const score = Math.max(...scores);
    const best = settings.labels[scores.indexOf(score)];
    const told = score >= (settings.threshold ?? 0) ? label : null;
    const mayAbstain = settings.threshold !== null || outside !== undefined;
    return { text, label: told, ...(mayAbstain ? { best } : {}), score, ...(outside === undefined ? {} : { outside }) };
  }

  function tagged(text, { words, tags, spans, label }) {
    const slice = ({ start, end }) => text.slice(start, end);
    const told = spans
      .filter(({ score }) => score >= (settings.threshold ?? 0))
      .map((span) => ({ entity_group: span.kind, score: span.score, word: slice(span), start: span.start, end: span.end }));
    const tokens = settings.units ? {} : { tokens: words.map(slice), tags };
    return { text, ...tokens, spans: told, ...(label === undefined ? {} : { intent: label }) };
  }

  async function predict(texts) {
    const answers = [];
    for (const text of typeof texts === "string" ? [texts] : texts) {
      const found = await answer(text);
      answers.push(settings.task === "token-classification" ? tagged(text, found) : classified(text, found));
    }
    return answers;
  }

  return { settings, predict };
}
