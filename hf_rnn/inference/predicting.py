"""From texts to answers: logits, labels with scores, tags and spans."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..data.collator import RnnCollator
from ..data.surface import join_tokens
from ..data.words import encode_words, first_pieces
from .bulk import Text, batches, size, windows
from .explaining import explain
from .gates import trace_gates
from .spans import group_spans


@dataclass(frozen=True)
class Predictor:
    """A trained classifier or tagger and its tokenizer.

    Args:
        model (`PreTrainedModel`): In evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): The one it was trained with.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def is_tagger(self) -> bool:
        """Return whether the model tags tokens rather than classifying texts."""
        return type(self.model).__name__.endswith("ForTokenClassification")

    @property
    def reads_raw_text(self) -> bool:
        """Return whether the model finds spans in raw text rather than tagging tokens."""
        return getattr(self.model.config, "units", None) == "raw"

    def predict(self, texts: Text | Iterable[Text], batch_size: int = 64) -> list[dict[str, Any]]:
        """Answer texts, in their order; those of similar length together, in bounded memory.

        Args:
            texts (`str` or `Iterable`): One text or several; each a string, or a list of tokens.
            batch_size (`int`): Texts at a time, at most; long ones are fewer.

        Returns:
            `list`: A dictionary for each text. Of a classifier `text` with `label` and `score` (one label), `scores` (several labels)
            or `prediction` (regression); of a tagger `tokens` and `tags`, for a string also its `text` and `spans` as pipelines give
            them (`start`, `end`, `entity_group`, `score`, `word`), and `intent` if the model has any. A tagger of raw text gives
            `text` and `spans`, and for a list of tokens, which it reads joined by spaces, `tokens` and their BIO `tags`.
        """
        answer = self._find_spans if self.reads_raw_text else self._tag if self.is_tagger else self._classify
        answers: list[dict[str, Any]] = []
        for window in windows([texts] if isinstance(texts, str) else texts):
            found: list[dict[str, Any]] = [{}] * len(window)
            for rows in batches([size(text) for text in window], batch_size):
                for row, told in zip(rows, answer([window[row] for row in rows]), strict=True):
                    found[row] = told
            answers += found
        return answers

    def explain(self, text: str, label: str | None = None, token: int | None = None) -> dict[str, Any]:
        """Say for each word of a text how much of the score of its label, or of a token's tag, it carries; see `explaining.explain`."""
        return explain(self.model, self.tokenizer, text, label, token)

    def gates(self, text: str, layer: int = -1) -> dict[str, Any]:
        """Return what the gates and states of a layer are at each step of a text; see `gates.trace_gates`."""
        return trace_gates(self.model, self.tokenizer, text, layer)

    def logits(self, texts: list[Text]) -> Tensor | list[Tensor]:
        """Return the logits of one batch in fp32: (B, C) of texts, or (W, C) for the tokens of each sentence."""
        return self._token_outputs(_tokens(texts))[0] if self.is_tagger else self._text_logits(texts)

    @torch.inference_mode()
    def _text_logits(self, texts: list[Text]) -> Tensor:
        encoding = self.tokenizer([_joined(text) for text in texts], truncation=True, padding=True, return_tensors="pt")
        return self.model(**encoding.to(self.model.device)).logits.float().cpu()

    @torch.inference_mode()
    def _token_outputs(self, sentences: list[list[str]]) -> tuple[list[Tensor], Tensor | None]:
        """Return the logits of tokens, those of their first pieces, and of intents, (B, I), of a model that has them."""
        encoding = encode_words(self.tokenizer, sentences)
        batch = RnnCollator(self.tokenizer.pad_token_id)([{"input_ids": ids} for ids in encoding["input_ids"]])
        output = self.model(**{name: value.to(self.model.device) for name, value in batch.items()})
        rows = output.logits.float().cpu()
        firsts = [first_pieces(encoding.word_ids(index), len(sentence)) for index, sentence in enumerate(sentences)]
        return [row[first] for row, first in zip(rows, firsts, strict=True)], output.get("intent_logits")

    def _classify(self, texts: list[Text]) -> list[dict[str, Any]]:
        plain = [_joined(text) for text in texts]
        logits, labels = self._text_logits(texts), self.model.config.id2label
        if self.model.config.problem_type == "regression":
            return [{"text": text, "prediction": row.tolist()} for text, row in zip(plain, logits[:, 0], strict=True)]
        if self.model.config.problem_type == "multi_label_classification":
            scores = logits.sigmoid().tolist()
            return [{"text": text, "scores": dict(zip(labels.values(), row, strict=True))} for text, row in zip(plain, scores, strict=True)]
        best = logits.softmax(-1).max(-1)
        rows = zip(plain, best.indices.tolist(), best.values.tolist(), strict=True)
        return [{"text": text, "label": labels[index], "score": score} for text, index, score in rows]

    def _tag(self, texts: list[Text]) -> list[dict[str, Any]]:
        sentences = _tokens(texts)
        logits, intents = self._token_outputs(sentences)
        labels = self.model.config.id2label
        rows = []
        for text, sentence, row in zip(texts, sentences, logits, strict=True):
            scores, best = row.softmax(-1).max(-1)
            answer: dict[str, Any] = {"tokens": sentence, "tags": [labels[index] for index in best.tolist()]}
            if isinstance(text, str):
                offsets = [match.span() for match in re.finditer(r"\S+", text)]
                answer = {
                    "text": text,
                    **answer,
                    "spans": group_spans(text, offsets, answer["tags"], scores.tolist(), list(labels.values())),
                }
            rows.append(answer)
        return self._with_intents(rows, intents)

    @torch.inference_mode()
    def _find_spans(self, texts: list[Text]) -> list[dict[str, Any]]:
        plain = [_joined(text) for text in texts]
        encoding = self.tokenizer(plain, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
        batch = RnnCollator(self.tokenizer.pad_token_id)([{"input_ids": ids} for ids in encoding["input_ids"]])
        output = self.model(**{name: value.to(self.model.device) for name, value in batch.items()})
        scores, best = output.logits.float().softmax(-1).max(-1)
        labels = self.model.config.id2label
        rows = []
        for index, (given, text) in enumerate(zip(texts, plain, strict=True)):
            kept = [place for place, is_special in enumerate(encoding["special_tokens_mask"][index]) if not is_special]
            offsets = [encoding["offset_mapping"][index][place] for place in kept]
            tags = [labels[tag] for tag in best[index, kept].tolist()]
            spans = group_spans(text, offsets, tags, scores[index, kept].tolist(), list(labels.values()))
            rows.append({"text": text, "spans": spans} if isinstance(given, str) else {"tokens": given, "tags": _tags_of(given, spans)})
        return self._with_intents(rows, output.get("intent_logits"))

    def _with_intents(self, rows: list[dict[str, Any]], logits: Tensor | None) -> list[dict[str, Any]]:
        """Add the class of each whole row, by logits (B, I), if the model has classes."""
        if logits is not None:
            for answer, index in zip(rows, logits.argmax(-1).tolist(), strict=True):
                answer["intent"] = self.model.config.intents[index]
        return rows


def _tags_of(tokens: list[str], spans: list[dict[str, Any]]) -> list[str]:
    """Return the BIO tag of each of some tokens joined by spaces: that of the first span that touches it."""
    tags, offsets = ["O"] * len(tokens), join_tokens(tokens)[1]
    for span in reversed(spans):
        touched = [index for index, (start, end) in enumerate(offsets) if start < span["end"] and span["start"] < end]
        for index in touched:
            tags[index] = f"{'B' if index == touched[0] else 'I'}-{span['entity_group']}"
    return tags


def _joined(text: Text) -> str:
    return text if isinstance(text, str) else " ".join(text)


def _tokens(texts: list[Text]) -> list[list[str]]:
    """Return lists of tokens as they are, and strings split at white space."""
    return [re.findall(r"\S+", text) if isinstance(text, str) else text for text in texts]
