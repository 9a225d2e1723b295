"""Labels and spans of texts by an exported model, with NumPy, onnxruntime and tokenizers alone.

This file lies beside the model that it runs and needs nothing else: `from predictor import load` and `load(folder).predict(texts)`,
or `python predictor.py texts.txt` for a file with a text on each line, or the standard input.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer

HERE = Path(__file__).parent
Text = str | list[str]
Answer = dict[str, Any]

MODEL_FILE, QUANTIZED_FILE, TOKENIZER_FILE, SETTINGS_FILE = "model.onnx", "model_quantized.onnx", "tokenizer.json", "predictor.json"
# texts of a batch, characters of it, padding included, and how short a text may be beside the longest before padding costs too much
BATCH_TEXTS, BATCH_CHARACTERS, SHORTEST = 64, 2**13, 0.7
# windows of a long text begin so many of their tokens before the end of the one before: one in
OVERLAP = 8
# halves of pairs of UTF-16, which are no characters and which no tokenizer takes
SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Settings:
    """What there is to know of a model beside its graph and its tokenizer: the content of `predictor.json`.

    Args:
        task (`str`): `"text-classification"`, `"token-classification"` (tags of tokens) or `"span-labelling"` (spans of raw text).
        labels (`list`): Names of the outputs.
        problem (`str`, *optional*): `"single_label_classification"`, `"multi_label_classification"` or `"regression"` of a classifier.
        scheme (`str`, *optional*): `"bio"` or `"bioes"` where labels are of one: "O" makes no span, neighbours of a span are joined.
        intents (`list`): Names of the classes of whole texts, for a tagger that has them.
        pad_id (`int`), unknown (`str`, *optional*): What fills rows, and stands for a token that the tokenizer leaves nothing of.
        max_length (`int`, *optional*), truncation_side (`str`): Tokens to which the text of a classifier is cut, and on which side.
        threshold (`float`, *optional*): Score below which the label is None, `best` is what it would have been, and spans are left out.
        outside (`bool`): Whether answers tell how unlike the training rows a text is; from 0.5 on the label is None too.
        long_texts (`str`, *optional*): `"whole"` where longer texts are not cut, `"windows"` where they are read by windows.
    """

    task: str
    labels: list[str]
    problem: str | None
    scheme: str | None
    intents: list[str]
    pad_id: int
    unknown: str | None
    max_length: int | None
    truncation_side: str
    threshold: float | None = None
    outside: bool = False
    long_texts: str | None = None


def load(folder: str | Path = HERE, quantized: bool = False, threads: int = 1, long_texts: str | None = None) -> "Predictor":
    """Load the model of a folder that `hf-rnn export` wrote.

    Args:
        folder (`str`): The folder; the one that this file lies in by default.
        quantized (`bool`): Whether to run the int8 graph.
        threads (`int`): Threads for one batch; 0 for one a core.
        long_texts (`str`, *optional*): `"truncate"`, `"windows"` or `"whole"`, in place of what the model says.

    Raises:
        ValueError: A file is missing or broken.
    """
    folder = Path(folder)
    path = str(folder / (QUANTIZED_FILE if quantized else MODEL_FILE))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_cpu_mem_arena = threads, False  # what a large batch needed is given back
    try:
        settings = Settings(**json.loads((folder / SETTINGS_FILE).read_bytes()) | ({"long_texts": long_texts} if long_texts else {}))
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        limit_texts(tokenizer, settings)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        Predictor(settings, tokenizer, session).predict(["", "a b"])  # what does not fit together shows here
    except Exception as error:  # the libraries raise nothing narrower
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{str(folder)!r} is no whole folder of `hf-rnn export`: {reason}. Export the model again.") from error
    return Predictor(settings, tokenizer, session)


def limit_texts(tokenizer: Tokenizer, settings: Settings) -> None:
    """Let a tokenizer pad nothing, and cut the texts of a classifier into windows."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if settings.task == "text-classification" and settings.max_length is not None and settings.long_texts != "whole":
        overlap = (settings.max_length - tokenizer.num_special_tokens_to_add(False)) // OVERLAP
        tokenizer.enable_truncation(settings.max_length, stride=overlap, direction=settings.truncation_side)


class Predictor:
    """A trained classifier or tagger.

    Args:
        settings (`Settings`): What there is to know of the model.
        tokenizer (`Tokenizer`): Its tokenizer, which pads nothing.
        session (`InferenceSession`): Its graph.
    """

    def __init__(self, settings: Settings, tokenizer: Tokenizer, session: onnxruntime.InferenceSession) -> None:
        self.settings, self.tokenizer, self.session = settings, tokenizer, session
        self._outputs = [output.name for output in session.get_outputs()]

    def predict(self, texts: Text | Iterable[Text], all_scores: bool = False, tell_cuts: bool = False) -> list[Answer]:
        """Answer texts, in their order; those of similar length together.

        Args:
            texts (`str` or `Iterable`): One text or several; each a string, or a list of tokens.
            all_scores (`bool`): Whether a classifier of one label tells the scores of all labels, as `scores`.
            tell_cuts (`bool`): Whether a classifier tells, as `cut`, of which texts it reads the beginning alone.

        Returns:
            `list`: A dictionary for each text. Of a classifier `text` with `label` and `score` (one label), `scores` (several labels)
            or `prediction` (regression); of a tagger `tokens` and `tags`, for a string also its `text` and `spans` (`start`, `end`,
            `entity_group`, `score`, `word`), and `intent` if the model has any. A tagger of raw text gives `text` and `spans`, and for
            a list of tokens, which it reads joined by spaces, `tokens` and their BIO `tags`.
        """
        given = [_whole(text) for text in ([texts] if isinstance(texts, str) else texts)]
        answers: list[Answer] = [{}] * len(given)
        for rows in _batches([_size(text) for text in given]):
            batch = [given[row] for row in rows]
            if self.settings.task == "text-classification":
                plain = [_joined(text) for text in batch]
                logits, are_cut = self._read(plain)
                told = self._classify(plain, logits, all_scores)
                told = [{**answer, "cut": is_cut} for answer, is_cut in zip(told, are_cut, strict=True)] if tell_cuts else told
            else:
                told = self._tag(batch) if self.settings.task == "token-classification" else self._find_spans(batch)
            for row, answer in zip(rows, told, strict=True):
                answers[row] = answer
        return answers

    def _run(self, encodings: list[Encoding]) -> tuple[np.ndarray, np.ndarray | None]:
        """Return logits, (B, C) of texts, behind them `outside`, or (B, T, C) of tokens, and those of intents, (B, I), if there are any."""
        width = max(1, *(len(encoding.ids) for encoding in encodings))  # the graph wants a position
        ids: np.ndarray = np.full((len(encodings), width), self.settings.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        values = dict(zip(self._outputs, self.session.run(None, {"input_ids": ids, "attention_mask": mask}), strict=True))
        sizes = [values[name].shape[-1] for name in ("logits", "intent_logits") if name in values]
        if sizes != [len(names) for names in (self.settings.labels, self.settings.intents)][: len(sizes)]:
            raise ValueError(f"the graph has {sizes} outputs, {SETTINGS_FILE} names of others")
        return np.concatenate([values[name] for name in ("logits", "outside") if name in values], -1), values.get("intent_logits")

    def _read(self, texts: list[str]) -> tuple[np.ndarray, list[bool]]:
        """Return logits (B, C), of the beginnings of texts and whether there is more, or means of windows, weighed by their tokens."""
        windows = [[encoding, *encoding.overflowing] for encoding in self.tokenizer.encode_batch_fast(texts)]
        if self.settings.long_texts != "windows":
            return self._run([each[0] for each in windows])[0], [len(each) > 1 for each in windows]
        flat = [window for each in windows for window in each]
        logits = np.concatenate([self._run(flat[place : place + BATCH_TEXTS])[0] for place in range(0, len(flat), BATCH_TEXTS)])
        sizes = np.maximum(1, [[len(window.ids)] for window in flat])
        starts = np.cumsum([0, *map(len, windows)])[:-1]
        return np.add.reduceat(logits * sizes, starts) / np.add.reduceat(sizes, starts), [False] * len(texts)

    def _classify(self, texts: list[str], outputs: np.ndarray, all_scores: bool) -> list[Answer]:
        labels = self.settings.labels
        logits, outside = outputs[:, : len(labels)], outputs[:, len(labels) :].tolist()
        if self.settings.problem == "regression":
            return [{"text": text, "prediction": value} for text, value in zip(texts, logits[:, 0].tolist(), strict=True)]
        if self.settings.problem == "multi_label_classification":
            rows = (0.5 * (1 + np.tanh(0.5 * logits))).tolist()  # the form that does not overflow
            return [{"text": text, "scores": dict(zip(labels, row, strict=True))} for text, row in zip(texts, rows, strict=True)]
        answers = []
        for text, row, unlike in zip(texts, _softmax(logits).tolist(), outside, strict=True):
            score, label, least = max(row), labels[row.index(max(row))], self.settings.threshold
            told: Answer = {"text": text, "label": label if score >= (least or 0) and max(unlike, default=0) < 0.5 else None}
            told |= ({"best": label} if unlike or least is not None else {}) | {"score": score} | ({"outside": unlike[0]} if unlike else {})
            answers.append({**told, "scores": dict(zip(labels, row, strict=True))} if all_scores else told)
        return answers

    def _tag(self, texts: list[Text]) -> list[Answer]:
        sentences = [re.findall(r"\S+", text) if isinstance(text, str) else text for text in texts]
        encodings = self._encode_tokens(sentences)
        outputs, intents = self._run(encodings)
        answers = []
        for text, sentence, encoding, logits in zip(texts, sentences, encodings, outputs, strict=True):
            tags, scores = self._best(logits[_first_pieces(encoding, len(sentence))])
            answer: Answer = {**({"text": text} if isinstance(text, str) else {}), "tokens": sentence, "tags": tags}
            if isinstance(text, str):
                answer |= {"spans": self._group(text, [match.span() for match in re.finditer(r"\S+", text)], tags, scores)}
            answers.append(answer)
        return self._with_intents(answers, intents)

    def _encode_tokens(self, sentences: list[list[str]]) -> list[Encoding]:
        """Encode tokens, with the unknown token in place of those that the tokenizer leaves no piece of, such as a lone space."""
        encodings = self.tokenizer.encode_batch(sentences, is_pretokenized=True)
        for row, (sentence, encoding) in enumerate(zip(sentences, encodings, strict=True)):
            found = set(encoding.word_ids)
            if len(found - {None}) < len(sentence):
                filled = [token if place in found else self.settings.unknown for place, token in enumerate(sentence)]
                encodings[row] = self.tokenizer.encode(filled, is_pretokenized=True)
        return encodings

    def _find_spans(self, texts: list[Text]) -> list[Answer]:
        plain = [_joined(text) for text in texts]
        encodings = self.tokenizer.encode_batch(plain)
        outputs, intents = self._run(encodings)
        answers = []
        for given, text, encoding, logits in zip(texts, plain, encodings, outputs, strict=True):
            is_kept = np.array(encoding.special_tokens_mask) == 0
            tags, scores = self._best(logits[: len(is_kept)][is_kept])
            spans = self._group(text, [place for place, kept in zip(encoding.offsets, is_kept, strict=True) if kept], tags, scores)
            answers.append({"text": text, "spans": spans} if isinstance(given, str) else {"tokens": given, "tags": _tags_of(given, spans)})
        return self._with_intents(answers, intents)

    def _best(self, logits: np.ndarray) -> tuple[list[str], list[float]]:
        """Return the tags of tokens and their probabilities, from logits (W, C)."""
        probabilities = _softmax(logits)
        return [self.settings.labels[index] for index in probabilities.argmax(-1)], probabilities.max(-1).tolist()

    def _with_intents(self, answers: list[Answer], logits: np.ndarray | None) -> list[Answer]:
        if logits is not None:
            for answer, index in zip(answers, logits.argmax(-1), strict=True):
                answer["intent"] = self.settings.intents[index]
        return answers

    def _group(self, text: str, offsets: list[tuple[int, int]], tags: list[str], scores: list[float]) -> list[Answer]:
        """Turn tags into spans: neighbours of one entity make one, "O" makes none; without a scheme every token is a span of its tag."""
        has_scheme, groups = self.settings.scheme is not None, list[list[int]]()
        for index, tag in enumerate(tags):
            if has_scheme and tag == "O":
                continue
            before = tags[index - 1] if groups and groups[-1][-1] == index - 1 else "O"
            if has_scheme and tag[0] in "IE" and before[0] in "BI" and before[1:] == tag[1:]:
                groups[-1].append(index)
            else:
                groups.append([index])
        spans = []
        for group in groups:
            start, end, tag = offsets[group[0]][0], offsets[group[-1]][1], tags[group[0]]
            score = sum(scores[index] for index in group) / len(group)
            kind = tag.partition("-")[2] if has_scheme else tag
            if score >= (self.settings.threshold or 0):
                spans.append({"entity_group": kind, "score": score, "word": text[start:end], "start": start, "end": end})
        return spans


def _tags_of(tokens: list[str], spans: list[Answer]) -> list[str]:
    """Return the BIO tag of each of some tokens joined by spaces: that of the first span that touches it."""
    tags, ends = ["O"] * len(tokens), np.cumsum([len(token) + 1 for token in tokens]).tolist()
    offsets = [(end - len(token) - 1, end - 1) for token, end in zip(tokens, ends, strict=True)]
    for span in reversed(spans):
        touched = [index for index, (start, end) in enumerate(offsets) if start < span["end"] and span["start"] < end]
        for index in touched:
            tags[index] = f"{'B' if index == touched[0] else 'I'}-{span['entity_group']}"
    return tags


def _first_pieces(encoding: Encoding, count: int) -> list[int]:
    """Return the position of the first piece of each of `count` tokens."""
    firsts = {word: position for position, word in reversed(list(enumerate(encoding.word_ids)))}
    return [firsts[word] for word in range(count)]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _batches(sizes: list[int]) -> Iterator[list[int]]:
    """Yield the indices of texts in batches of similar size."""
    batch: list[int] = []
    for row in sorted(range(len(sizes)), key=lambda row: -sizes[row]):
        is_full = len(batch) == BATCH_TEXTS or (batch and (len(batch) + 1) * sizes[batch[0]] > BATCH_CHARACTERS)
        if is_full or (len(batch) >= 4 and sizes[row] < SHORTEST * sizes[batch[0]]):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _size(text: Text) -> int:
    return len(text) + 1 if isinstance(text, str) else sum(map(len, text)) + len(text) + 1


def _joined(text: Text) -> str:
    return text if isinstance(text, str) else " ".join(text)


def _whole(text: Text) -> Text:
    """Replace what is no character by U+FFFD."""
    return SURROGATES.sub("\ufffd", text) if isinstance(text, str) else [SURROGATES.sub("\ufffd", token) for token in text]


def main(argv: list[str] | None = None) -> int:
    """Print a line of JSON for each line of a file, or of the standard input; return the exit status."""
    parser = argparse.ArgumentParser(description="Answer texts, one on each line, with a line of JSON each.")
    parser.add_argument("file", nargs="?", default="-", help="file of texts in UTF-8; - for the standard input, the default")
    parser.add_argument("--folder", default=str(HERE), help="folder of the model [that of this file]")
    parser.add_argument("--quantized", action="store_true", help="run the int8 graph")
    arguments = parser.parse_args(argv)
    try:
        predictor = load(arguments.folder, arguments.quantized)
        content = sys.stdin.buffer.read() if arguments.file == "-" else Path(arguments.file).read_bytes()
        lines = [line.removesuffix("\r") for line in content.decode("utf-8-sig").split("\n")]
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for answer in predictor.predict(lines[: -1 if lines[-1] == "" else None]):
        sys.stdout.buffer.write((json.dumps(answer, ensure_ascii=False) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
