// From text to answers, as hf_rnn.load(...).predict(...) gives them: tokenizer, graph, labels or spans.

import * as ort from "./vendor/ort.wasm.bundle.min.mjs";
import { Tokenizer } from "./vendor/tokenizers.min.mjs";
import { units } from "./units.js";

// what str.split() of Python takes as white space
const WORD = /[^\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/gu;

/** Fetch a file that lies beside this one; Node.js reads it from the disk. */
async function file(name) {
  const url = new URL(name, import.meta.url);
  return url.protocol === "file:" ? new Response(await (await import("node:fs/promises")).readFile(url)) : fetch(url);
}

const json = async (name) => (await file(name)).json();

/** Fetch a file that was written with gzip. */
async function unpacked(name) {
  const response = await file(name);
  return new Response(response.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** Load settings, tokenizer and graph; return a function from a text to its answer. */
export async function load() {
  const [settings, description, runtime, graph] = await Promise.all([
    json("settings.json"),
    json("tokenizer.json"),
    unpacked("vendor/ort-wasm-simd-threaded.wasm.gz"),
    file("model.onnx").then((response) => response.arrayBuffer()),
  ]);
  const tokenizer = new Tokenizer(description, { unk_token: settings.unknown });
  const unknown = tokenizer.token_to_id(settings.unknown);
  // threads need headers that a static page does not have
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: runtime });
  const session = await ort.InferenceSession.create(new Uint8Array(graph));
  const encode = (text) => tokenizer.encode(text, { add_special_tokens: false }).ids;
  const ending = tokenizer.encode("").ids;

  async function run(ids) {
    const tensor = (values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
    return session.run({ input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) });
  }

  async function classify(text) {
    const ids = [...encode(text).slice(0, settings.max_length - ending.length), ...ending];
    const outputs = await run(ids);
    const logits = Array.from(outputs.logits.data);
    if (settings.problem === "regression") return { tokens: ids.length, prediction: logits[0] };
    const scores = settings.problem === "multi_label_classification" ? logits.map((x) => 1 / (1 + Math.exp(-x))) : softmax(logits);
    const answer = { tokens: ids.length, scores, label: settings.labels[best(logits)] };
    if (!outputs.outside) return answer;
    const outside = outputs.outside.data[0];
    return { ...answer, outside, label: outside < 0.5 ? answer.label : null };
  }

  /** Return what has a tag of its own: words that white space parts, or the pieces of the units of raw text. */
  const tagged = (text) => (settings.units ? units(text, settings.units) : [...text.matchAll(WORD)].map(({ index, 0: word }) => ({ start: index, end: index + word.length })));

  async function tag(text) {
    const ids = [];
    const words = tagged(text).flatMap(({ start, end }) => {
      const pieces = encode(text.slice(start, end));
      const first = ids.length;
      ids.push(...(pieces.length ? pieces : [unknown]));
      const own = settings.units ? ids.length - first : 1;
      return Array.from({ length: own }, (_, piece) => ({ start, end, first: first + piece }));
    });
    ids.push(...ending);
    const outputs = await run(ids);
    const width = settings.labels.length;
    for (const word of words) {
      const logits = Array.from(outputs.logits.data.subarray(word.first * width, (word.first + 1) * width));
      word.tag = best(logits);
      word.score = softmax(logits)[word.tag];
    }
    const answer = { tokens: ids.length, words, tags: words.map((word) => settings.labels[word.tag]), spans: group(words, settings) };
    if (outputs.intent_logits) answer.label = settings.intents[best(Array.from(outputs.intent_logits.data))];
    return answer;
  }

  return { settings, answer: settings.task === "token-classification" ? tag : classify };
}

/** Join the words of one span; `joins[a][b]` says whether a tag b goes on with what tag a began, `kinds` is null outside of spans. */
function group(words, { joins, kinds }) {
  const groups = [];
  let previous = null;
  for (const word of words) {
    if (kinds[word.tag] === null) {
      previous = null;
      continue;
    }
    if (previous && joins[previous.tag][word.tag]) groups.at(-1).push(word);
    else groups.push([word]);
    previous = word;
  }
  return groups.map((group) => ({
    kind: kinds[group[0].tag],
    score: group.reduce((sum, word) => sum + word.score, 0) / group.length,
    start: group[0].start,
    end: group.at(-1).end,
  }));
}

const best = (values) => values.indexOf(Math.max(...values));

function softmax(logits) {
  const highest = Math.max(...logits);
  const powers = logits.map((x) => Math.exp(x - highest));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}
