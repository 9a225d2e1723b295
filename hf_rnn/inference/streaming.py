"""Read along: answers to a text that is still coming, as many as there are chunks, at a cost a token that does not grow."""

import re
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from ..data.tokenizers.words import encode_words, first_pieces
from ..models.tags import split_tag
from ..tasks.decoding import Decoder, SpanDecoder, TagDecoder, TextDecoder, keep_sure
from ..tasks.grouping import group_spans

# characters without white space after which a text is cut elsewhere too, and those that then stay behind the cut
LONGEST_RUN, KEPT_BACK = 256, 64
# cuts that are tried
TRIES = 4
# a token
NO_SPACE = re.compile(r"\S+")


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


class TaggerReader(Reader):
    """Keeps pieces that are read until as many words stand behind them as the model looks ahead."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__(decoder)
        self.state: Tensor | None = None
        self.lookahead = self.model.config.lookahead
        # pieces, what the recurrence says of them, (1, T, H), and where words start and something special is, (1, T) each
        self.ids: list[int] = []
        self.hidden = torch.zeros(1, 0, self.model.config.hidden_size, dtype=self.model.dtype, device=self.model.device)
        self.starts = self.special = torch.zeros(1, 0, dtype=torch.bool, device=self.model.device)

    def read(self, ids: list[int]) -> None:
        """Read more pieces, which end a word."""
        output = self.model.model(self._batch(ids), state=self.state)
        self.state = output.state
        self.ids, self.hidden = [*self.ids, *ids], torch.cat([self.hidden, output.last_hidden_state], 1)
        batch = self._batch(self.ids)
        self.starts, self.special = self.model.model.words(batch, torch.ones_like(batch).bool())

    def logits(self) -> Tensor:
        """Return what the model says of the pieces, (1, T, C), of the last ones as at the end of a text."""
        return self.model.emit(self.hidden, self.starts, self.special).float().cpu()

    def heads(self) -> list[int]:
        """Return the places where words start."""
        return (self.starts & ~self.special)[0].nonzero().flatten().tolist()

    def drop(self, count: int) -> None:
        """Let go of the first pieces, which are told of."""
        self.ids, self.hidden = self.ids[count:], self.hidden[:, count:]
        self.starts, self.special = self.starts[:, count:], self.special[:, count:]

    def _batch(self, ids: list[int]) -> Tensor:
        # (1, T)
        return torch.tensor([ids], device=self.model.device)


class TokenReader(TaggerReader):
    """Tags tokens, those between white space, once they have ended; a span is told once it has."""

    decoder: TagDecoder

    @torch.inference_mode()
    def answers(self, chunks: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield `tokens`, `tags` and `spans` that became sure by each chunk, and at the end those that remain."""
        spans = OpenSpans(self.decoder)
        # what is not told of: text from a place on, up to where it is read, and of each token start, end and first piece
        held, place, reach = "", 0, 0
        waiting: list[tuple[int, int, int]] = []
        for chunk in with_end(chunks):
            held += chunk or ""
            # a token that nothing stands behind may go on
            found = [match for match in NO_SPACE.finditer(held, reach - place) if chunk is None or match.end() < len(held)]
            if found:
                firsts = self._read_tokens([match.group() for match in found])
                waiting += [(place + match.start(), place + match.end(), first) for match, first in zip(found, firsts, strict=True)]
                reach = waiting[-1][1]
            done = waiting if chunk is None else waiting[: self._sure(waiting)]
            tokens, tags = [held[start - place : end - place] for start, end, _ in done], list[str]()
            if done:
                scores, best = self.logits()[0, [first for _, _, first in done]].softmax(-1).max(-1)
                tags = [self.decoder.labels[tag] for tag in best.tolist()]
                end = done[-1][1]
                spans.add(held[: end - place], place, [(start, end) for start, end, _ in done], tags, scores.tolist())
                held, place, waiting = held[end - place :], end, waiting[len(done) :]
                told = waiting[0][2] if waiting else len(self.ids)
                self.drop(told)
                waiting = [(start, end, first - told) for start, end, first in waiting]
            yield {"end": place + len(held), "tokens": tokens, "tags": tags, "spans": spans.take(is_end=chunk is None)}

    def _read_tokens(self, tokens: list[str]) -> list[int]:
        """Read tokens; return where the first piece of each is among those that are kept."""
        encoding = encode_words(self.tokenizer, [tokens])
        firsts = first_pieces(encoding.word_ids(0), len(tokens))
        ids = encoding["input_ids"][0]
        # special tokens stand at the beginning of a text alone
        start = 0 if self.state is None else firsts[0]
        kept = len(self.ids)
        self.read(ids[start : len(ids) - len(self.behind)])
        return [kept + first - start for first in firsts]

    def _sure(self, waiting: list[tuple[int, int, int]]) -> int:
        """Return of how many tokens all is read that the model looks ahead at."""
        heads = self.heads()
        return sum(len(heads) - bisect_right(heads, first) >= self.lookahead for _, _, first in waiting)


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


class UnitReader(TaggerReader):
    """Finds spans of raw text; a unit is sure once the next one is, as white space between them may belong to a span."""

    decoder: SpanDecoder

    @torch.inference_mode()
    def answers(self, chunks: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield the `spans` that became sure by each chunk, and at the end those that remain."""
        spans = OpenSpans(self.decoder)
        offsets: list[tuple[int, int]] = []
        for chunk in with_end(chunks):
            part = self.feed.add(chunk) if chunk is not None else self.feed.rest()
            if part.ids:
                if self.state is None:
                    # special tokens before a text have no tags
                    self.read([*self.before, *part.ids])
                    self.drop(len(self.before))
                else:
                    self.read(part.ids)
                offsets += part.offsets
            spans.text += part.text
            if self.ids and (part.ids or chunk is None):
                done = len(self.ids) if chunk is None else self._sure()
                scores, best = self._spread().softmax(-1).max(-1)
                tags = [self.decoder.labels[tag] for tag in best[:done].tolist()]
                spans.add("", spans.place, offsets[:done], tags, scores[:done].tolist())
                offsets = offsets[done:]
                self.drop(done)
            yield {"end": self.feed.end, "spans": spans.take(is_end=chunk is None) if spans.items else []}

    def _spread(self) -> Tensor:
        """Return what pieces say, (T, C), from what units say."""
        batch = self._batch(self.ids)
        spaces = self.model.model.spaces(batch, torch.ones_like(batch).bool())
        return self.model.piece_tags.spread(self.logits(), self.starts.cpu(), self.special.cpu(), spaces.cpu())[0]

    def _sure(self) -> int:
        """Return how many pieces stand before the units whose tags what comes may change."""
        heads = self.heads()
        return heads[-1 - self.lookahead] if len(heads) > self.lookahead else 0


def stream(decoder: Decoder, chunks: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Answer a text that comes in chunks; see `Predictor.stream`."""
    check_reads_along(decoder.model.config)
    if isinstance(decoder, TextDecoder):
        return ClassReader(decoder).answers(chunks)
    return (UnitReader(decoder) if isinstance(decoder, SpanDecoder) else TokenReader(decoder)).answers(chunks)
