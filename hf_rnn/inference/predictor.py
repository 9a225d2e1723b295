"""From texts to answers: labels with scores, tags and spans, and why."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..tasks.decoding import ClassDecoder, Decoder, Text, TextDecoder, decoder_of
from ..tasks.long_texts import pool_windows
from .bulk import BATCH_CHARACTERS, BATCH_PIECES, batches, size, windows
from .cascade import Cascade
from .explaining import explain
from .gates import trace_gates
from .rows import InputRow, Keeping, row_windows
from .shapes import FIELDS
from .streaming import stream
from .texts import Texts, iterate_rows, iterate_texts


@dataclass(frozen=True)
class Predictor:
    """A trained classifier or tagger and its tokenizer.

    Args:
        model (`PreTrainedModel`): In evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): The one it was trained with.
        threshold (`float`, *optional*): Score below which no answer is given, 0 to give every one; that of the model's promise by
            default, if it made one.
        long_texts (`str`, *optional*): What a classifier makes of texts longer than its tokenizer's `model_max_length`: "truncate" reads
            their beginning; "whole" all of them in one go, in memory that grows with them; "windows" all of them in constant memory, by
            windows that overlap, whose logits are averaged. By default what the model was trained with, else they are cut, which is said.
        cascade (`Cascade`, *optional*): When the linear part of a classifier answers alone; see `evaluation.cascading.with_cascade`.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    threshold: float | None = None
    long_texts: str | None = None
    cascade: Cascade | None = None

    @cached_property
    def decoder(self) -> Decoder:
        """Return what makes answers of the model's outputs."""
        return decoder_of(self.model, self.tokenizer, self.threshold, self.long_texts)

    def __call__(self, texts: Texts, batch_size: int = 256) -> list[dict[str, Any]]:
        """Answer texts, as `predict` does."""
        return self.predict(texts, batch_size)

    def predict(
        self, texts: Texts, batch_size: int = 256, all_scores: bool = False, keep_columns: Sequence[str] | str | None = None
    ) -> list[dict[str, Any]]:
        """Answer texts, in their order; those of similar length together, in bounded memory.

        Args:
            texts: One text or several, each a string, a list of tokens, or a row (a dictionary) with the column of texts or tokens that
                the model was trained on, or a usual one; or a `DataFrame`, a `Series`, a `Dataset`, a dictionary of columns, an array, or
                what yields texts one by one.
            batch_size (`int`): Texts at a time, at most; long ones are fewer.
            all_scores (`bool`): Whether a classifier of one label tells the `scores` of all labels too.
            keep_columns (`Sequence`, *optional*): Names of columns of the rows that come back before the answers, or "all"; by default the
                answers stand alone, in the order of the rows.

        Returns:
            `list`: A dictionary for each text, after the columns that are kept. Of a classifier `text` with `label` and `score` (one
            label), `scores` (several labels) or `prediction` (regression); of a tagger `tokens` and `tags`, for a string also its `text`
            and `spans` as pipelines give them (`start`, `end`, `entity_group`, `score`, `word`), and `intent` if the model has any.
            A tagger of raw text gives `text` and `spans`, and for a list of tokens, which it reads joined by spaces, `tokens` and
            their BIO `tags`.
            Below a threshold the `label` is None, `best` says what it would have been, and spans are left out. A classifier that was
            trained to tell texts of none of its labels says how unlike its training rows a text is, `outside`; from 0.5 on the `label`
            is None too, unless `threshold` is 0.

        Raises:
            ValueError: What is given, or one of its texts, is none of these; says which and of what type.
        """
        decoder = replace(self.decoder, all_scores=True) if all_scores else self.decoder
        usual = decoder.usual_columns
        answers: list[dict[str, Any]] = []
        if keep_columns is None:
            for window in windows(iterate_texts(texts, usual)):
                answers += _answer(decoder, window, batch_size, self.cascade)
            return answers
        names = [keep_columns] if isinstance(keep_columns, str) else list(keep_columns)
        keeping = Keeping(names, FIELDS[decoder.kind])
        rows = (
            InputRow(text, keeping.others(row, column, f"row {number}"))
            for number, (text, row, column) in enumerate(iterate_rows(texts, usual))
        )
        for kept in row_windows(rows):
            answered = _answer(decoder, [row.text for row in kept], batch_size, self.cascade)
            answers += [{**row.others, **answer} for row, answer in zip(kept, answered, strict=True)]
        return answers

    def logits_of(self, ids: list[list[int]], batch_size: int = 256) -> Tensor:
        """Return what a classifier makes of rows of ids: logits (B, C)."""
        assert isinstance(self.decoder, TextDecoder)
        return _outputs_of(self.decoder, ids, batch_size)[:, : len(self.decoder.labels)]

    def stream(self, chunks: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Answer one text while it comes, chunk by chunk; a token costs the same however long the text is.

        Args:
            chunks (`Iterable`): Pieces of the text, cut anywhere.

        Returns:
            `Iterator`: A dictionary for each chunk, with `end`, the characters so far. Of a classifier what `predict` with
            `long_texts="whole"` makes of the text so far. Of a tagger what has become sure: `tokens` and `tags` of tokens that have ended
            and `spans` that have, which together are those of the whole text; the end of the text gives one more dictionary.

        Raises:
            ValueError: The model reads both ways, or looks at what comes later; says what to train with.
        """
        return stream(self.decoder, chunks)

    def explain(self, text: str, label: str | None = None, token: int | None = None) -> dict[str, Any]:
        """Say for each word of a text how much of the score of its label, or of a token's tag, it carries; see `explaining.explain`."""
        return explain(self.model, self.tokenizer, text, label, token)

    def gates(self, text: str, layer: int = -1) -> dict[str, Any]:
        """Return what the gates and states of a layer are at each step of a text; see `gates.trace_gates`."""
        return trace_gates(self.model, self.tokenizer, text, layer)


def _answer(decoder: Decoder, texts: list[Text], batch_size: int, cascade: Cascade | None) -> list[dict[str, Any]]:
    """Answer texts, those of similar length together; all are encoded first where that can be done."""
    windows = decoder.encode(texts) if isinstance(decoder, TextDecoder) else None
    if isinstance(decoder, TextDecoder) and windows is not None:
        ids = list(chain.from_iterable(windows))
        outputs: Tensor | None = None
        left = list(range(len(ids)))
        if cascade is not None and isinstance(decoder, ClassDecoder):
            outputs, is_sure = cascade.logits(decoder, ids, batch_size)
            # what has several windows is long enough for the recurrence
            is_short = [len(each) == 1 for each in windows for _ in each]
            left = [row for row in left if not (is_sure[row] and is_short[row])]
        rest = _outputs_of(decoder, [ids[row] for row in left], batch_size)
        if outputs is None:
            outputs = rest
        else:
            outputs[left] = rest
        pooled = pool_windows(outputs, list(map(len, windows)), torch.tensor(list(map(len, ids))))
        return decoder.tell(texts, pooled)
    answers: list[dict[str, Any]] = [{}] * len(texts)
    for rows in batches([size(text) for text in texts], batch_size, BATCH_CHARACTERS):
        for row, answer in zip(rows, decoder.answer([texts[row] for row in rows]), strict=True):
            answers[row] = answer
    return answers


def _outputs_of(decoder: TextDecoder, ids: list[list[int]], batch_size: int) -> Tensor:
    """Return the outputs of rows of ids: logits (B, C), and how unlike the training rows they are where the model tells that."""
    outputs = torch.zeros(len(ids), len(decoder.labels) + decoder.has_outside)
    for rows in batches(list(map(len, ids)), batch_size, BATCH_PIECES):
        outputs[rows] = decoder.outputs_of_ids([ids[row] for row in rows])
    return outputs
