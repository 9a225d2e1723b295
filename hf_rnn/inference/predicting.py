"""From texts to answers: logits, labels with scores, tags and spans."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..data.collator import RnnCollator
from ..data.encoding import encode_words, first_pieces
from .explaining import explain
from .spans import group_spans

Text = str | list[str]


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

    def predict(self, texts: Text | Iterable[Text], batch_size: int = 64) -> list[dict[str, Any]]:
        """Answer texts, in their order.

        Args:
            texts (`str` or `Iterable`): One text or several; each a string, or a list of tokens.
            batch_size (`int`): Texts at a time.

        Returns:
            `list`: A dictionary for each text. Of a classifier `text` with `label` and `score` (one label), `scores` (several labels)
            or `prediction` (regression); of a tagger `tokens` and `tags`, for a string also its `text` and `spans` as pipelines give
            them (`start`, `end`, `entity_group`, `score`, `word`), and `intent` if the model has any.
        """
        remaining = iter([texts] if isinstance(texts, str) else texts)
        answer = self._tag if self.is_tagger else self._classify
        answers: list[dict[str, Any]] = []
        while batch := list(islice(remaining, batch_size)):
            answers += answer(batch)
        return answers

    def explain(self, text: str, label: str | None = None) -> dict[str, Any]:
        """Say for each word of a text how much of the score of its label, or of another, it carries; see `explaining.explain`."""
        return explain(self.model, self.tokenizer, text, label)

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
        if intents is not None:
            for answer, index in zip(rows, intents.argmax(-1).tolist(), strict=True):
                answer["intent"] = self.model.config.intents[index]
        return rows


def _joined(text: Text) -> str:
    return text if isinstance(text, str) else " ".join(text)


def _tokens(texts: list[Text]) -> list[list[str]]:
    """Return lists of tokens as they are, and strings split at white space."""
    return [re.findall(r"\S+", text) if isinstance(text, str) else text for text in texts]
