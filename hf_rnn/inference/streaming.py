"""Read along: answers to a text that is still coming, as many as there are chunks, at a cost a token that does not grow."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from ..data.tokenizers.words import encode_words, first_pieces
from ..models.pieces import SPACE
from ..models.tags import split_tag
from ..tasks.decoding import Decoder, SpanDecoder, TagDecoder, TextDecoder, keep_sure
from ..tasks.grouping import group_spans

# characters without white space after which a text is cut elsewhere too, and those that then stay behind the cut
LONGEST_RUN, KEPT_BACK = 256, 64
# cuts that are tried
TRIES = 4


def check_reads_along(config: PreTrainedConfig) -> None:
    """Raise a ValueError if what a model says of a text depends on what comes later, in a way that no running sum makes up for."""
    needed = {"bidirectional": False, "linear_size": 0, "ngram_vocab_size": 0, "use_crf": False, "intents": None, "outside": None}
    # models of others have no such fields
    found = next((name for name, value in needed.items() if (getattr(config, name, True) or value) != value), None)
    if found is not None:
        raise ValueError(
            f"`stream` needs a model that reads one way and sees nothing that comes later, got {found}={getattr(config, found, None)!r}. "
            "Train with --bidirectional false --linear_size 0 --ngram_vocab_size 0, without --outside, a tagger with --use_crf false."
        )


@dataclass(frozen=True)
class Part:
    """A stretch of a text that no later text changes the pieces of.

    Attributes:
        text (`str`): The stretch.
        ids (`list`): Its pieces, without special tokens.
        offsets (`list`): Start and end of each in the whole text.
    """

    text: str
    ids: list[int]
    offsets: list[tuple[int, int]]


class Feed:
    """Takes a text in chunks, and gives its pieces as soon as they are sure.

    The last word stays behind, as it may go on. Where the text is cut, both sides have the pieces there that they have together.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): A fast tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.held, self.place = "", 0

    def add(self, chunk: str) -> Part:
        """Take a chunk; return what has become sure."""
        self.held += chunk
        whole = self.encode(self.held).ids
        for cut in self._cuts():
            first, rest = self.encode(self.held[:cut]), self.encode(self.held[cut:])
            if [*first.ids, *rest.ids] == whole:
                self.held, self.place = self.held[cut:], self.place + cut
                return first
        return Part("", [], [])

    def _cuts(self) -> list[int]:
        """Return places to cut at, the best first: before the last word, behind or before the white space in front of it."""
        cuts: list[int] = []
        for match in reversed(list(re.finditer(r"\s+(?=\S)", self.held))):
            cuts += [match.end(), match.start()]
            if len(cuts) >= TRIES:
                break
        if not cuts and len(self.held) > LONGEST_RUN:
            words = self.tokenizer(self.held, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            ends = [end for _, end in words["offset_mapping"] if end <= len(self.held) - KEPT_BACK]
            cuts = list(dict.fromkeys(reversed(ends)))[:TRIES]
        return [cut for cut in cuts if cut > 0]

    def encode(self, text: str) -> Part:
        """Return the pieces of a stretch that begins at the place up to which all is sure."""
        encoding = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return Part(text, encoding["input_ids"], [(self.place + start, self.place + end) for start, end in encoding["offset_mapping"]])

    def rest(self) -> Part:
        """Return what stays behind, as the end of the text."""
        return self.encode(self.held)

    @property
    def end(self) -> int:
        """Return how many characters were taken."""
        return self.place + len(self.held)


class Reader(ABC):
    """Answers chunk by chunk.

    Args:
        decoder (`Decoder`): That of a model that reads along.
    """

    def __init__(self, decoder: Decoder) -> None:
        self.decoder, self.model, self.tokenizer = decoder, decoder.model, decoder.tokenizer
        self.feed = Feed(self.tokenizer)
        ids = self.tokenizer("a")["input_ids"]
        inner = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        start = next((place for place in range(len(ids)) if ids[place : place + len(inner)] == inner), 0)
        # special tokens before and behind a text
        self.before, self.behind = ids[:start], ids[start + len(inner) :]

    @abstractmethod
    def answers(self, chunks: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield what there is to say."""


def with_end(chunks: Iterable[str]) -> Iterator[str | None]:
    """Yield chunks, and then None for the end."""
    yield from chunks
    yield None


class ClassReader(Reader):
    """Says after each chunk what a classifier makes of the text so far: state and pooling of what is sure go on, the rest is tried."""

    decoder: TextDecoder

    @torch.inference_mode()
    def answers(self, chunks: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield an answer for each chunk."""
        seen = Seen().read(self.model, self.before)
        for chunk in chunks:
            seen = seen.read(self.model, self.feed.add(chunk).ids)
            logits = seen.read(self.model, [*self.feed.rest().ids, *self.behind]).logits(self.model)
            (answer,) = self.decoder.tell([""], logits.float().cpu())
            answer.pop("text")
            yield {"end": self.feed.end, **answer}


@dataclass(frozen=True)
class Seen:
    """What a classifier keeps of a text.

    Attributes:
        state (`Tensor`, *optional*): That of the recurrence.
        total (`Tensor`, *optional*): States so far, (H,): the last, the largest, their sum, or their sum by weights of attention.
        weight (`float`): Sum of these weights, or number of states.
        highest (`float`): Highest score of attention, which weights are relative to.
    """

    state: Tensor | None = None
    total: Tensor | None = None
    weight: float = 0.0
    highest: float = float("-inf")

    def read(self, model: Any, ids: list[int]) -> "Seen":
        """Return what is kept after some more pieces, which end a word."""
        if not ids:
            return self
        # (1, T)
        batch = torch.tensor([ids], device=model.device)
        output = model.model(batch, state=self.state)
        # (U, H)
        hidden = output.last_hidden_state[0][model.model.units(batch, torch.ones_like(batch).bool())[0]].float()
        after = replace(self, state=output.state)
        pool = getattr(self, f"_{model.pooling.name}")
        return pool(after, hidden, model) if len(hidden) else after

    def _last(self, after: "Seen", hidden: Tensor, model: Any) -> "Seen":
        return replace(after, total=hidden[-1], weight=1.0)

    def _max(self, after: "Seen", hidden: Tensor, model: Any) -> "Seen":
        largest = hidden.amax(0)
        return replace(after, total=largest if self.total is None else torch.maximum(self.total, largest), weight=1.0)

    def _mean(self, after: "Seen", hidden: Tensor, model: Any) -> "Seen":
        total = hidden.sum(0)
        return replace(after, total=total if self.total is None else self.total + total, weight=self.weight + len(hidden))

    def _attention(self, after: "Seen", hidden: Tensor, model: Any) -> "Seen":
        attention = model.pooling.attention
        # (U,)
        scores = attention.context(torch.tanh(attention.projection(hidden))).squeeze(1)
        highest = max(self.highest, float(scores.max()))
        weights = (scores - highest).exp()
        total, weight = weights @ hidden, float(weights.sum())
        if self.total is not None:
            # what came before was relative to another score
            shrunk = float(torch.tensor(self.highest - highest).exp())
            total, weight = total + shrunk * self.total, weight + shrunk * self.weight
        return replace(after, total=total, weight=weight, highest=highest)

    def logits(self, model: Any) -> Tensor:
        """Return the logits of the text so far, (1, C)."""
        if self.total is None:
            return model.classifier(torch.zeros(1, model.config.hidden_size, device=model.device))
        return model.classifier((self.total / self.weight).unsqueeze(0).to(model.dtype))


class TokenReader(Reader):
    """Tags tokens, those between white space, once they have ended; a span is told once it has."""

    decoder: TagDecoder

    @torch.inference_mode()
    def answers(self, chunks: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield `tokens`, `tags` and `spans` that became sure by each chunk, and at the end those that remain."""
        spans = OpenSpans(self.decoder)
        held, place, state = "", 0, None
        for chunk in with_end(chunks):
            held += chunk or ""
            # a token that nothing stands behind may go on
            found = [match for match in re.finditer(r"\S+", held) if chunk is None or match.end() < len(held)]
            tokens = [match.group() for match in found]
            tags: list[str] = []
            if tokens:
                encoding = encode_words(self.tokenizer, [tokens])
                ids = encoding["input_ids"][0]
                firsts = first_pieces(encoding.word_ids(0), len(tokens))
                # special tokens stand at the beginning of a text alone
                start = firsts[0] if state is not None else 0
                stop = len(ids) - len(self.behind)
                output = self.model(torch.tensor([ids[start:stop]], device=self.model.device), state=state)
                state = output.state
                scores, best = output.logits[0][[first - start for first in firsts]].float().softmax(-1).max(-1)
                tags = [self.decoder.labels[tag] for tag in best.tolist()]
                offsets = [(place + match.start(), place + match.end()) for match in found]
                spans.add(held[: found[-1].end()], place, offsets, tags, scores.tolist())
                held, place = held[found[-1].end() :], place + found[-1].end()
            yield {"end": place + len(held), "tokens": tokens, "tags": tags, "spans": spans.take(is_end=chunk is None)}


class OpenSpans:
    """Groups tags into spans as soon as nothing can go on with them."""

    def __init__(self, decoder: TagDecoder) -> None:
        self.decoder = decoder
        self.text, self.place = "", 0
        self.items: list[tuple[tuple[int, int], str, float]] = []

    def add(self, text: str, place: int, offsets: list[tuple[int, int]], tags: list[str], scores: list[float]) -> None:
        """Take more of the text, from a place on that what came before reached, and its tags."""
        if not self.text:
            self.place = place
        self.text += text
        self.items += zip(offsets, tags, scores, strict=True)

    def take(self, is_end: bool) -> list[dict[str, Any]]:
        """Return the spans that have ended."""
        last = next((index for index in reversed(range(len(self.items))) if split_tag(self.items[index][1])[0] not in ("I", "E")), 0)
        done = self.items if is_end else self.items[:last]
        offsets = [(start - self.place, end - self.place) for (start, end), _, _ in done]
        spans = group_spans(self.text, offsets, [tag for _, tag, _ in done], [score for _, _, score in done], self.decoder.labels)
        spans = [{**span, "start": span["start"] + self.place, "end": span["end"] + self.place} for span in spans]
        self.items = self.items[len(done) :]
        kept = self.items[0][0][0] if self.items else self.place + len(self.text)
        self.text, self.place = self.text[kept - self.place :], kept
        return keep_sure(spans, self.decoder.least_score)


class UnitReader(Reader):
    """Finds spans of raw text; a unit is sure once the next one is read, as white space between them may belong to a span."""

    decoder: SpanDecoder

    @torch.inference_mode()
    def answers(self, chunks: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield the `spans` that became sure by each chunk, and at the end those that remain."""
        spans, state = OpenSpans(self.decoder), None
        # of the last unit: pieces, their offsets, and what the model says of them before it is spread
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        raw = torch.zeros(0, len(self.decoder.labels))
        for chunk in with_end(chunks):
            part = self.feed.add(chunk) if chunk is not None else self.feed.rest()
            if part.ids:
                # special tokens before a text have no tags
                new = [*self.before, *part.ids] if state is None else part.ids
                output = self.model.model(torch.tensor([new], device=self.model.device), state=state)
                state = output.state
                raw = torch.cat([raw, self.model.classifier(output.last_hidden_state[0, -len(part.ids) :]).float().cpu()])
                ids, offsets = [*ids, *part.ids], [*offsets, *part.offsets]
            spans.text += part.text
            if ids and (part.ids or chunk is None):
                done = len(ids) if chunk is None else self._last_unit(ids)
                scores, best = self._spread(ids, raw).softmax(-1).max(-1)
                tags = [self.decoder.labels[tag] for tag in best[:done].tolist()]
                spans.add("", spans.place, offsets[:done], tags, scores[:done].tolist())
                ids, offsets, raw = ids[done:], offsets[done:], raw[done:]
            yield {"end": self.feed.end, "spans": spans.take(is_end=chunk is None) if spans.items else []}

    def _spread(self, ids: list[int], raw: Tensor) -> Tensor:
        """Return what pieces say, (T, C), from what units say."""
        # (1, T)
        batch = torch.tensor([ids], device=self.model.device)
        starts, special = self.model.model.words(batch, torch.ones_like(batch).bool())
        spaces = self.model.model.spaces(batch, torch.ones_like(batch).bool())
        return self.model.piece_tags.spread(raw.unsqueeze(0), starts.cpu(), special.cpu(), spaces.cpu())[0]

    def _last_unit(self, ids: list[int]) -> int:
        """Return where the last unit begins."""
        batch = torch.tensor([ids], device=self.model.device)
        starts = self.model.model.words(batch, torch.ones_like(batch).bool())[0][0].nonzero().flatten().tolist()
        return starts[-1] if starts and self.model.model.embeddings.piece_types[ids[starts[-1]]] != SPACE else 0


def stream(decoder: Decoder, chunks: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Answer a text that comes in chunks; see `Predictor.stream`."""
    check_reads_along(decoder.model.config)
    if isinstance(decoder, TextDecoder):
        return ClassReader(decoder).answers(chunks)
    return (UnitReader(decoder) if isinstance(decoder, SpanDecoder) else TokenReader(decoder)).answers(chunks)
