"""How the outputs of a model become answers, whichever head it has: needs nothing that only training needs."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from ..data.files.detokenization import join_tokens
from ..data.files.rows import TEXT_COLUMNS, TOKEN_COLUMNS
from ..data.rows.collator import RnnCollator
from ..data.tokenizers.words import encode_words, first_pieces, piece_windows, window_overlap
from ..models.pieces import WORD_START
from ..models.pretrained import RnnHeadOutput
from ..models.tags import split_tag
from .grouping import group_spans
from .long_texts import OVERLAP, WHOLE, check_long_texts, join_windows, pool_windows, tag_windows

logger = logging.get_logger(__name__)

Text = str | list[str]
# how unlike the training rows a text of none of the classes is, at least
OUTSIDE = 0.5
# windows of a long row that a tagger reads at a time
AT_A_TIME = 12
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
        long_texts (`str`, *optional*): What a classifier makes of texts that are longer than it reads at a time, one of `LONG_TEXTS`; what
            the model was trained with by default, else their beginning counts, which is said.
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
    long_texts: str | None = None

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
    def usual_columns(self) -> tuple[str, ...]:
        """Return the columns that may hold what the model reads, the one that it was trained on before the usual ones."""
        own = (self.text_column,) if self.text_column else ()
        return (*own, *TEXT_COLUMNS, *self.more_columns, *TOKEN_COLUMNS)

    @property
    def label_column(self) -> str | None:
        """Return the column of labels, tags or spans that the model was trained on, if it is known."""
        return (getattr(self.model.config, "columns", None) or {}).get("labels")

    @abstractmethod
    def answer(self, texts: Sequence[Text]) -> list[dict[str, Any]]:
        """Answer one batch of texts, in their order; see `Predictor.predict`."""

    @abstractmethod
    def logits(self, texts: Sequence[Text]) -> Sequence[Tensor]:
        """Return the logits of one batch in fp32: (C,) of each text, or (W, C) of the tokens of each sentence."""


class TextDecoder(Decoder):
    """A decoder of what is said of a whole text."""

    task = "text-classification"

    def encode(self, texts: Sequence[Text]) -> list[list[list[int]]] | None:
        """Return the ids of the windows of all texts, one of each that is short or to be cut, by one call of the tokenizer if it can be."""
        windows = piece_windows(self.tokenizer, [joined(text) for text in texts], OVERLAP, self.way != "whole")
        if windows is None or self.way != "truncate":
            return windows
        self._tell_of_cuts(any(len(each) > 1 for each in windows))
        return [each[:1] for each in windows]

    def are_cut(self, texts: Sequence[Text]) -> list[bool]:
        """Return for each text whether only its beginning is read."""
        if self.way != "truncate":
            return [False] * len(texts)
        whole = [joined(text) for text in texts]
        windows = piece_windows(self.tokenizer, whole, OVERLAP)
        if windows is not None:
            return [len(each) > 1 for each in windows]
        return [len(ids) > self.tokenizer.model_max_length for ids in self.tokenizer(whole, truncation=False, verbose=False)["input_ids"]]

    @cached_property
    def way(self) -> str:
        """Return what becomes of long texts, one of `LONG_TEXTS`."""
        return self.long_texts or getattr(self.model.config, "long_texts", None) or "truncate"

    def _tell_of_cuts(self, are_cut: bool) -> None:
        """Say once that texts are cut, unless that was chosen."""
        if are_cut and self.long_texts is None and getattr(self.model.config, "long_texts", None) is None:
            logger.warning_once(
                f"Of texts longer than {self.tokenizer.model_max_length} tokens only the beginning is read. --long_texts whole or "
                "windows reads all, --long_texts truncate cuts them without this line (long_texts= in Python)."
            )

    def logits(self, texts: Sequence[Text]) -> Tensor:
        """Return the logits of one batch in fp32, (B, C)."""
        return self.outputs(texts)[:, : len(self.labels)]

    @property
    def has_outside(self) -> bool:
        """Return whether the model tells how unlike its training rows a text is."""
        return getattr(self.model.config, "outside", None) is not None

    def outputs(self, texts: Sequence[Text]) -> Tensor:
        """Return the logits of one batch in fp32, with what the model tells besides, (B, C) or (B, C + 1)."""
        options: dict[str, Any] = {"truncation": self.way != "whole", "padding": True, "return_tensors": "pt"}
        if self.way != "windows":
            return self._run(self.tokenizer([joined(text) for text in texts], **options))
        if not self.tokenizer.is_fast:
            raise ValueError(f"`long_texts` 'windows' needs a fast tokenizer, got {type(self.tokenizer).__name__}. Pass 'truncate'.")
        options |= {"return_overflowing_tokens": True, "stride": window_overlap(self.tokenizer, OVERLAP)}
        batch = self.tokenizer([joined(text) for text in texts], **options)
        counts = torch.bincount(batch.pop("overflow_to_sample_mapping"), minlength=len(texts)).tolist()
        return pool_windows(self._run(batch), counts, batch["attention_mask"].sum(1))

    def outputs_of_ids(self, ids: Sequence[list[int]]) -> Tensor:
        """Return the outputs of one batch of windows in fp32, (B, C) or (B, C + 1)."""
        collate = RnnCollator(self.tokenizer.pad_token_id or 0, self.tokenizer.padding_side)
        return self._run(collate([{"input_ids": row} for row in ids]))

    @torch.inference_mode()
    def _run(self, batch: Any) -> Tensor:
        output = self.model(**{name: value.to(self.model.device) for name, value in batch.items()})
        outside = output.get("outside")
        return (output.logits if outside is None else torch.cat([output.logits, outside], dim=1)).float().cpu()

    def answer(self, texts: Sequence[Text]) -> list[dict[str, Any]]:
        """Answer one batch of texts, in their order."""
        return self.tell(texts, self.outputs(texts))

    @abstractmethod
    def tell(self, texts: Sequence[Text], outputs: Tensor) -> list[dict[str, Any]]:
        """Return the answers that outputs make: logits (B, C), behind them how unlike the training rows texts are, if that is told."""


class ClassDecoder(TextDecoder):
    """One label for each text."""

    kind = "label"

    def tell(self, texts: Sequence[Text], outputs: Tensor) -> list[dict[str, Any]]:
        """Return `text`, `label` and `score`, `best` where the label may be None, `outside` if it is told, and all `scores` if asked."""
        probabilities, outside = outputs[:, : len(self.labels)].softmax(-1), outputs[:, len(self.labels) :].tolist()
        best = probabilities.max(-1)
        rows = zip(texts, best.indices.tolist(), best.values.tolist(), outside, strict=True)
        # a caller who wants every answer has this one too
        border = 1.0 if self.threshold == 0 else OUTSIDE
        answers = [
            {"text": joined(text), **decide(self.labels[index], score, self.least_score, unlike[0] if unlike else None, border)}
            for text, index, score, unlike in rows
        ]
        if self.all_scores:
            for answer, scores in zip(answers, probabilities.tolist(), strict=True):
                answer["scores"] = dict(zip(self.labels, scores, strict=True))
        return answers


class LabelsDecoder(TextDecoder):
    """Several labels for each text."""

    kind = "labels"

    def tell(self, texts: Sequence[Text], outputs: Tensor) -> list[dict[str, Any]]:
        """Return `text` and the `scores` of all labels."""
        scores = outputs.sigmoid().tolist()
        return [{"text": joined(text), "scores": dict(zip(self.labels, row, strict=True))} for text, row in zip(texts, scores, strict=True)]


class NumberDecoder(TextDecoder):
    """A number for each text."""

    kind = "number"

    def tell(self, texts: Sequence[Text], outputs: Tensor) -> list[dict[str, Any]]:
        """Return `text` and `prediction`."""
        numbers = outputs[:, 0].tolist()
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
        output = self._run(encoding)
        rows = output.logits.float().cpu()
        firsts = [first_pieces(encoding.word_ids(index), len(sentence)) for index, sentence in enumerate(sentences)]
        return [row[first] for row, first in zip(rows, firsts, strict=True)], output.get("intent_logits")

    def _run(self, encoding: Any) -> Any:
        """Return the outputs of encoded rows; long ones are read by windows."""
        ids = encoding["input_ids"]
        if max(map(len, ids), default=0) <= WHOLE:
            return self._forward(ids)
        rows = [self._read_long(row, encoding.word_ids(index)) for index, row in enumerate(ids)]
        intents = None if rows[0][1] is None else torch.stack([intents for _, intents in rows])
        return RnnHeadOutput(logits=pad_sequence([logits for logits, _ in rows], batch_first=True), intent_logits=intents)

    def _forward(self, ids: list[list[int]]) -> Any:
        batch = RnnCollator(self.tokenizer.pad_token_id)([{"input_ids": row} for row in ids])
        return self.model(**{name: value.to(self.model.device) for name, value in batch.items()})

    def _read_long(self, ids: list[int], words: list[int | None]) -> tuple[Tensor, Tensor | None]:
        """Return the logits of a row (T, C), and those of its intent (I,) if there are any, which its windows mean together."""
        # special tokens stand around every window
        first = next((place for place, word in enumerate(words) if word is not None), 0)
        last = len(ids) - next((place for place, word in enumerate(reversed(words)) if word is not None), 0)
        head, inner, tail = ids[:first], ids[first:last], ids[last:]
        cuts = self._cuts(inner, words[first:last])
        windows = tag_windows(cuts, len(inner))
        rows, intents = [], []
        for start in range(0, len(windows), AT_A_TIME):
            some = windows[start : start + AT_A_TIME]
            output = self._forward([[*head, *inner[window.start : window.stop], *tail] for window in some])
            logits = output.logits.float().cpu()
            rows += [row[first : first + window.stop - window.start] for row, window in zip(logits, some, strict=True)]
            if output.get("intent_logits") is not None:
                intents.append(output.intent_logits.float().cpu())
        inside = torch.tensor([split_tag(label)[0] in ("I", "E") for label in self.labels])
        joined_rows = join_windows(rows, windows, cuts, inside)
        # what stands for the whole row has no tag
        around = [joined_rows.new_zeros(len(part), joined_rows.shape[1]) for part in (head, tail)]
        return torch.cat([around[0], joined_rows, around[1]]), torch.cat(intents).mean(0) if intents else None

    def _cuts(self, ids: list[int], words: list[int | None]) -> list[int]:
        """Return the places before which a row may be cut: where words begin, those of the tokenizer and those of the model."""
        types = getattr(getattr(self.model.base_model, "embeddings", None), "piece_types", None)
        begins = torch.ones(len(ids), dtype=torch.bool) if types is None else types.cpu()[torch.tensor(ids)] == WORD_START
        return [place for place in range(1, len(ids)) if words[place] != words[place - 1] and begins[place]]

    def answer(self, texts: Sequence[Text]) -> list[dict[str, Any]]:
        """Return `tokens` and `tags`, for a string also its `text` and `spans`, and `intent` if the model has any."""
        sentences = self._tokens(texts)
        logits, intents = self._outputs(sentences)
        best_of_all = torch.cat(logits).softmax(-1).max(-1) if logits else ()
        parts = zip(*(values.split([len(sentence) for sentence in sentences]) for values in best_of_all), strict=True)
        rows = []
        for text, sentence, (scores, best) in zip(texts, sentences, parts, strict=True):
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
    def answer(self, texts: Sequence[Text]) -> list[dict[str, Any]]:
        """Return `text` and `spans`; for a list of tokens, which is read joined by spaces, `tokens` and their BIO `tags`."""
        plain = [joined(text) for text in texts]
        encoding = self.tokenizer(plain, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
        output = self._run(encoding)
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


def decide(label: str, score: float, least: float | None, outside: float | None = None, border: float = OUTSIDE) -> dict[str, Any]:
    """Return the answer that a score makes of a label, which is None below a least score and for a text of none of the labels."""
    if least is None and outside is None:
        return {"label": label, "score": score}
    is_given = score >= (least or 0.0) and (outside is None or outside < border)
    told = {"label": label if is_given else None, "best": label, "score": score}
    return told if outside is None else {**told, "outside": outside}


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


def decoder_of(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, threshold: float | None = None, long_texts: str | None = None
) -> Decoder:
    """Return the decoder of a model.

    Raises:
        ValueError: It is neither a classifier nor a tagger, or there is no such way of reading long texts.
    """
    kind = decoder_class(model)
    if kind is None:
        raise ValueError(f"Only the answers of classifiers and taggers can be told, got {type(model).__name__}. Load one of these.")
    check_long_texts(long_texts)
    return kind(model, tokenizer, threshold, long_texts=long_texts)
