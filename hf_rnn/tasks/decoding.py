"""How the outputs of a model become answers, whichever head it has: needs nothing that only training needs."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ..data.files.detokenization import join_tokens
from ..data.rows.collator import RnnCollator
from ..data.tokenizers.words import encode_words, first_pieces, piece_ids
from .grouping import group_spans

Text = str | list[str]
# Auto classes of the heads whose answers can be decoded, by the task of pipelines
HEADS: dict[str, Any] = {
    "text-classification": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
}


def task_of(architecture: str) -> str | None:
    """Return the task of pipelines that an architecture has a head for, by the head it is named for; None for another head."""
    named = {task: auto.__name__.removeprefix("AutoModel") for task, auto in HEADS.items()}
    return next((task for task, head in named.items() if architecture.endswith(head)), None)


@dataclass(frozen=True)
class Decoder(ABC):
    """What turns texts into the inputs of a model, and its outputs into answers.

    Args:
        model (`PreTrainedModel`): A classifier or tagger.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        threshold (`float`, *optional*): Score below which no answer is given; that of the model's promise by default, if it made one.
        all_scores (`bool`): Whether a classifier of one label tells the `scores` of all labels beside that of the best.
    """

    task: ClassVar[str]
    # what an answer holds: "label", "labels", "number", "tags" or "spans"
    kind: ClassVar[str]
    # columns that may hold what the model reads, beside those that usually do
    more_columns: ClassVar[tuple[str, ...]] = ()

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    threshold: float | None = None
    all_scores: bool = False

    @cached_property
    def least_score(self) -> float | None:
        """Return the score below which no answer is given, or None where every one is."""
        return promised_threshold(self.model.config) if self.threshold is None else self.threshold

    @cached_property
    def labels(self) -> list[str]:
        """Return the names of the labels, in the order of logits."""
        return [self.model.config.id2label[index] for index in range(self.model.config.num_labels)]

    @property
    def text_column(self) -> str | None:
        """Return the column of texts or tokens that the model was trained on, if it is known."""
        return (getattr(self.model.config, "columns", None) or {}).get("text")

    @property
    def label_column(self) -> str | None:
        """Return the column of labels, tags or spans that the model was trained on, if it is known."""
        return (getattr(self.model.config, "columns", None) or {}).get("labels")

    def encode(self, texts: Sequence[Text]) -> list[list[int]] | None:
        """Return the ids of the pieces of many texts, if they can be had before the texts are put into batches."""
        return None

    @abstractmethod
    def answer(self, texts: Sequence[Text], ids: Sequence[list[int]] | None = None) -> list[dict[str, Any]]:
        """Answer one batch of texts, in their order, of which the ids are known if `encode` returned any; see `Predictor.predict`."""

    @abstractmethod
    def logits(self, texts: Sequence[Text]) -> Sequence[Tensor]:
        """Return the logits of one batch in fp32: (C,) of each text, or (W, C) of the tokens of each sentence."""


class TextDecoder(Decoder):
    """A decoder of what is said of a whole text."""

    task = "text-classification"

    def encode(self, texts: Sequence[Text]) -> list[list[int]] | None:
        """Return the ids of all texts, by one call of the tokenizer."""
        return piece_ids(self.tokenizer, [joined(text) for text in texts])

    @torch.inference_mode()
    def logits(self, texts: Sequence[Text], ids: Sequence[list[int]] | None = None) -> Tensor:
        """Return the logits of one batch in fp32, (B, C)."""
        batch: Any
        if ids is None:
            batch = self.tokenizer([joined(text) for text in texts], truncation=True, padding=True, return_tensors="pt")
        else:
            collate = RnnCollator(self.tokenizer.pad_token_id or 0, self.tokenizer.padding_side)
            batch = collate([{"input_ids": row} for row in ids])
        output = self.model(**{name: value.to(self.model.device) for name, value in batch.items()})
        return output.logits.float().cpu()


class ClassDecoder(TextDecoder):
    """One label for each text."""

    kind = "label"

    def answer(self, texts: Sequence[Text], ids: Sequence[list[int]] | None = None) -> list[dict[str, Any]]:
        """Return `text`, `label` and `score`, `best` where the label may be None, and the `scores` of all labels if they are asked for."""
        probabilities = self.logits(texts, ids).softmax(-1)
        best = probabilities.max(-1)
        rows = zip(texts, best.indices.tolist(), best.values.tolist(), strict=True)
        answers = [{"text": joined(text), **decide(self.labels[index], score, self.least_score)} for text, index, score in rows]
        if self.all_scores:
            for answer, scores in zip(answers, probabilities.tolist(), strict=True):
                answer["scores"] = dict(zip(self.labels, scores, strict=True))
        return answers


class LabelsDecoder(TextDecoder):
    """Several labels for each text."""

    kind = "labels"

    def answer(self, texts: Sequence[Text], ids: Sequence[list[int]] | None = None) -> list[dict[str, Any]]:
        """Return `text` and the `scores` of all labels."""
        scores = self.logits(texts, ids).sigmoid().tolist()
        return [{"text": joined(text), "scores": dict(zip(self.labels, row, strict=True))} for text, row in zip(texts, scores, strict=True)]


class NumberDecoder(TextDecoder):
    """A number for each text."""

    kind = "number"

    def answer(self, texts: Sequence[Text], ids: Sequence[list[int]] | None = None) -> list[dict[str, Any]]:
        """Return `text` and `prediction`."""
        numbers = self.logits(texts, ids)[:, 0].tolist()
        return [{"text": joined(text), "prediction": number} for text, number in zip(texts, numbers, strict=True)]


class TagDecoder(Decoder):
    """A tag for each token."""

    task = "token-classification"
    kind = "tags"

    def logits(self, texts: Sequence[Text]) -> list[Tensor]:
        """Return the logits of the tokens of each sentence in fp32, those of their first pieces, (W, C) each."""
        return self._outputs(self._tokens(texts))[0]

    @staticmethod
    def _tokens(texts: Sequence[Text]) -> list[list[str]]:
        """Return lists of tokens as they are, and strings split at white space."""
        return [re.findall(r"\S+", text) if isinstance(text, str) else text for text in texts]

    @torch.inference_mode()
    def _outputs(self, sentences: list[list[str]]) -> tuple[list[Tensor], Tensor | None]:
        """Return the logits of tokens, and of intents, (B, I), of a model that has them."""
        encoding = encode_words(self.tokenizer, sentences)
        output = self._run(encoding["input_ids"])
        rows = output.logits.float().cpu()
        firsts = [first_pieces(encoding.word_ids(index), len(sentence)) for index, sentence in enumerate(sentences)]
        return [row[first] for row, first in zip(rows, firsts, strict=True)], output.get("intent_logits")

    def _run(self, ids: list[list[int]]) -> Any:
        batch = RnnCollator(self.tokenizer.pad_token_id)([{"input_ids": row} for row in ids])
        return self.model(**{name: value.to(self.model.device) for name, value in batch.items()})

    def answer(self, texts: Sequence[Text], ids: Sequence[list[int]] | None = None) -> list[dict[str, Any]]:
        """Return `tokens` and `tags`, for a string also its `text` and `spans`, and `intent` if the model has any."""
        sentences = self._tokens(texts)
        logits, intents = self._outputs(sentences)
        rows = []
        for text, sentence, row in zip(texts, sentences, logits, strict=True):
            scores, best = row.softmax(-1).max(-1)
            tags = [self.labels[index] for index in best.tolist()]
            answer: dict[str, Any] = {"tokens": sentence, "tags": tags}
            if isinstance(text, str):
                offsets = [match.span() for match in re.finditer(r"\S+", text)]
                spans = group_spans(text, offsets, tags, scores.tolist(), self.labels)
                answer = {"text": text, **answer, "spans": keep_sure(spans, self.least_score)}
            rows.append(answer)
        return self._with_intents(rows, intents)

    def _with_intents(self, rows: list[dict[str, Any]], logits: Tensor | None) -> list[dict[str, Any]]:
        """Add the class of each whole row, by logits (B, I), if the model has classes."""
        if logits is not None:
            for answer, index in zip(rows, logits.argmax(-1).tolist(), strict=True):
                answer["intent"] = self.model.config.intents[index]
        return rows


class SpanDecoder(TagDecoder):
    """Spans of characters of raw text."""

    kind = "spans"
    more_columns = ("raw_text",)

    @torch.inference_mode()
    def answer(self, texts: Sequence[Text], ids: Sequence[list[int]] | None = None) -> list[dict[str, Any]]:
        """Return `text` and `spans`; for a list of tokens, which is read joined by spaces, `tokens` and their BIO `tags`."""
        plain = [joined(text) for text in texts]
        encoding = self.tokenizer(plain, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
        output = self._run(encoding["input_ids"])
        scores, best = output.logits.float().softmax(-1).max(-1)
        rows = []
        for index, (given, text) in enumerate(zip(texts, plain, strict=True)):
            kept = [position for position, is_special in enumerate(encoding["special_tokens_mask"][index]) if not is_special]
            offsets = [encoding["offset_mapping"][index][position] for position in kept]
            tags = [self.labels[tag] for tag in best[index, kept].tolist()]
            spans = group_spans(text, offsets, tags, scores[index, kept].tolist(), self.labels)
            spans = keep_sure(spans, self.least_score)
            rows.append(
                {"text": text, "spans": spans} if isinstance(given, str) else {"tokens": given, "tags": tags_of_spans(given, spans)}
            )
        return self._with_intents(rows, output.get("intent_logits"))


def promised_threshold(config: PreTrainedConfig) -> float | None:
    """Return the least score of the answers that a model gives, or None if it promises nothing."""
    promise = getattr(config, "promise", None)
    return None if promise is None else promise["threshold"]


def decide(label: str, score: float, least: float | None) -> dict[str, Any]:
    """Return the answer that a score makes of a label: where there is a least score, the label only if it is reached, and `best`."""
    if least is None:
        return {"label": label, "score": score}
    return {"label": label if score >= least else None, "best": label, "score": score}


def keep_sure(spans: list[dict[str, Any]], least: float | None) -> list[dict[str, Any]]:
    """Return the spans whose scores reach the least one, if there is one."""
    return spans if least is None else [span for span in spans if span["score"] >= least]


def tags_of_spans(tokens: list[str], spans: list[dict[str, Any]]) -> list[str]:
    """Return the BIO tag of each of some tokens joined by spaces: that of the first span that touches it."""
    tags, offsets = ["O"] * len(tokens), join_tokens(tokens)[1]
    for span in reversed(spans):
        touched = [index for index, (start, end) in enumerate(offsets) if start < span["end"] and span["start"] < end]
        for index in touched:
            tags[index] = f"{'B' if index == touched[0] else 'I'}-{span['entity_group']}"
    return tags


def joined(text: Text) -> str:
    """Return a text as it is, tokens joined by spaces."""
    return text if isinstance(text, str) else " ".join(text)


TEXT_DECODERS: dict[str | None, type[Decoder]] = {"multi_label_classification": LabelsDecoder, "regression": NumberDecoder}


def decoder_class(model: PreTrainedModel) -> type[Decoder] | None:
    """Return the class of the decoder of a model, by its head and config; None for a model without such a head."""
    task = task_of(type(model).__name__)
    if task == TextDecoder.task:
        return TEXT_DECODERS.get(model.config.problem_type, ClassDecoder)
    if task == TagDecoder.task:
        return SpanDecoder if getattr(model.config, "units", None) == "raw" else TagDecoder
    return None


def decoder_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, threshold: float | None = None) -> Decoder:
    """Return the decoder of a model.

    Raises:
        ValueError: It is neither a classifier nor a tagger.
    """
    kind = decoder_class(model)
    if kind is None:
        raise ValueError(f"Only the answers of classifiers and taggers can be told, got {type(model).__name__}. Load one of these.")
    return kind(model, tokenizer, threshold)
