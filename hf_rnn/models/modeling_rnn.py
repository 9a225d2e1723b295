"""LSTM and GRU models: an encoder, a sequence classifier, a tagger with an optional CRF, a masked and a causal language model."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

# older loaders copy only what this file names: F401 marks what is here for them
from .backends import run_layer  # noqa: F401
from .cells import cell_of  # noqa: F401
from .configuration_rnn import RnnConfig
from .crf import LinearChainCRF
from .decoding import crf_loss, decode, next_labels
from .embeddings import RnnEmbeddings, check_inputs
from .features import encode_piece  # noqa: F401
from .generation import StateGenerationMixin
from .hashing import look_up  # noqa: F401
from .kernel import Steps  # noqa: F401
from .kernel_gru import PackedGRU  # noqa: F401
from .kernel_lstm import PackedLSTM  # noqa: F401
from .language import RnnLanguageModel
from .layer import RnnLayer, split_state
from .layouts import Layout, Packed, Padded
from .linear import LinearEmissions, LinearPath
from .losses import cross_entropy, sequence_loss
from .masked import look_ahead
from .onednn import onednn_lstm  # noqa: F401
from .outside import outside_numbers, outside_score
from .packing import Packing  # noqa: F401
from .piece_tags import PieceTags, WordTags
from .pieces import BYTE_MARK, SPACE, WORD_MARK
from .pieces import piece_types as read_piece_types  # noqa: F401
from .pooling import Pooling
from .posteriors import going_on, span_kinds
from .prepared import prepared  # noqa: F401
from .pretrained import RnnHeadOutput, RnnModelOutput, RnnPreTrainedModel, wants_dict
from .recurrence import Recurrence  # noqa: F401
from .tags import forbidden_moves  # noqa: F401
from .workspace import Workspace  # noqa: F401


class RnnModel(RnnPreTrainedModel):
    """The encoder: embeddings and a stack of recurrent layers over rows of any length."""

    def __init__(self, config: RnnConfig) -> None:
        super().__init__(config)
        self.embeddings = RnnEmbeddings(
            config.vocab_size,
            config.embedding_size,
            config.pad_token_id,
            config.word_pooling,
            config.word_vocab_size,
            config.embedding_dropout,
            config.ngram_vocab_size,
        )
        sizes = [config.embedding_size] + [config.hidden_size] * (config.num_hidden_layers - 1)
        self.layers = nn.ModuleList(RnnLayer(size, config) for size in sizes)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        state: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> RnnModelOutput | tuple:
        """Encode a batch.

        Args:
            input_ids (`Tensor`): Token ids, (B, T); or give `inputs_embeds`.
            attention_mask (`Tensor`, *optional*): Nonzero where a position exists, (B, T); all do by default. A masked position
                is as if it were not there, wherever it stands.
            inputs_embeds (`Tensor`, *optional*): Vectors in place of ids, (B, T, E).
            state (`Tensor`, *optional*): State to go on from, as returned; for unidirectional models.
            output_hidden_states (`bool`, *optional*): Whether to return the embeddings and every layer's output.
            return_dict (`bool`, *optional*): Whether to return a `RnnModelOutput` rather than a tuple.
            kwargs: What other encoders take and a recurrence has no use for, such as `token_type_ids`, `position_ids`,
                `output_attentions` and `use_cache`; ignored.

        Raises:
            ValueError: Both or none of the inputs, a mask or state of another shape, or a state for a bidirectional model.
        """
        mask = check_inputs(input_ids, inputs_embeds, attention_mask)
        states = split_state(state, mask.shape[0], self.config)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        layout = self._layout(input_ids, mask, by_words=self.config.word_pooling is not None)
        x = layout.arrange(self.embeddings(input_ids, inputs_embeds, layout))
        if self.training and self.config.input_dropout > 0:
            x = layout.dropout(x, self.config.input_dropout)
        hidden_states, finals = [], []
        for layer, start in zip(self.layers, states, strict=True):
            if wanted:
                # what is returned is what the next layer reads, so that it gets the gradient
                hidden_states.append(layout.spread(x))
                x = layout.gather(hidden_states[-1])
            x, *final = layer(x, layout, *start)
            finals.append(final)
        hidden_states.append(layout.spread(x))
        final_states = tuple(torch.cat(parts) for parts in zip(*finals, strict=True))
        output = RnnModelOutput(
            last_hidden_state=hidden_states[-1],
            # (layers * directions, B, S) -> (B, layers * directions, S)
            state=torch.cat(final_states, dim=2).transpose(0, 1),
            hidden_states=tuple(hidden_states) if wanted else None,
        )
        return output if wants_dict(return_dict, self.config) else output.to_tuple()

    def _layout(self, input_ids: Tensor | None, mask: Tensor, by_words: bool) -> Layout:
        """Return how a batch lies whose units are words and special tokens if `by_words`, else positions; without ids all are words."""
        return (Padded if self._is_masked else Packed)(mask, input_ids, self.embeddings.piece_types if by_words else None)

    def words(self, input_ids: Tensor | None, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return where a word or special token starts, and where there is a special token or nothing, (B, T) each."""
        return self._layout(input_ids, mask, by_words=True).words()

    def spaces(self, input_ids: Tensor | None, mask: Tensor) -> Tensor:
        """Return where there is white space that is a piece of its own, (B, T)."""
        return torch.zeros_like(mask) if input_ids is None else (self.embeddings.piece_types[input_ids] == SPACE) & mask

    def blanks(self, input_ids: Tensor | None, mask: Tensor) -> Tensor | None:
        """Return where there is white space among the units of raw text, (B, T); nothing where texts are not read raw."""
        return self.spaces(input_ids, mask) if self.config.units == "raw" else None

    def units(self, input_ids: Tensor | None, mask: Tensor) -> Tensor:
        """Return the positions that pooling counts, (B, T): every one, or with word pooling one a word, whatever its pieces."""
        return mask if self.config.word_pooling is None else self.words(input_ids, mask)[0]


class RnnForSequenceClassification(RnnPreTrainedModel):
    """The encoder, pooling and a linear layer: classes, several labels at once, or regression, by `config.problem_type`."""

    def __init__(self, config: RnnConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.model = RnnModel(config)
        self.pooling = Pooling(config.pooling, config.hidden_size, config.num_directions)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        if config.linear_size:
            self.linear = LinearPath(config.vocab_size, config.linear_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        state: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        sample_weights: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> RnnHeadOutput | tuple:
        """Classify rows: logits (B, C), and with `config.outside` in evaluation how unlike the training rows they are, (B, 1).

        Args:
            labels (`Tensor`, *optional*): Class ids (B,), floats (B, C) for several labels at once, floats (B,) or (B, C) for
                regression. `config.problem_type` says which and is set from the labels on first use, as in transformers. With that of
                single labels floats (B, C) are shares of the classes, soft labels.
            num_items_in_batch (`int`, *optional*): Divide the summed loss by this rather than by the labels of this batch; the
                Trainer passes it so that accumulated gradients equal those of one large batch.
            sample_weights (`Tensor`, *optional*): How much each row counts in the loss, (B,), or each of its several labels, (B, C).

        The other arguments are those of `RnnModel`.
        """
        mask = check_inputs(input_ids, inputs_embeds, attention_mask)
        encoded = self.model(input_ids, attention_mask, inputs_embeds, state, output_hidden_states, return_dict=True)
        logits = self.classifier(self.dropout(self.pooling(encoded.last_hidden_state, self.model.units(input_ids, mask))))
        surprise, outside = None, None
        is_judged = self.config.outside is not None and not self.training
        if hasattr(self, "linear"):
            linear, surprise = self.linear.read(input_ids, mask, is_judged)
            logits = logits + linear.to(logits.dtype)
        if is_judged:
            outside = outside_score(outside_numbers(logits, surprise), self.config.outside)
        loss = None if labels is None else sequence_loss(logits, labels.to(logits.device), self.config, num_items_in_batch, sample_weights)
        output = RnnHeadOutput(loss=loss, logits=logits, outside=outside, state=encoded.state, hidden_states=encoded.hidden_states)
        return output if wants_dict(return_dict, self.config) else output.to_tuple()


class RnnForTokenClassification(RnnPreTrainedModel):
    """The encoder and a linear layer at each position, with a linear-chain CRF over words if `config.use_crf`.

    With `config.intents` it classifies the row too, in the same pass: pooling and a linear layer over the same states.
    """

    def __init__(self, config: RnnConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.model = RnnModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size * (1 + config.lookahead), config.num_labels)
        if config.linear_size:
            self.linear = LinearEmissions(config.vocab_size, config.linear_size, config.num_labels)
        if config.use_crf:
            self.crf = LinearChainCRF(config.num_labels)
        labels = [config.id2label[index] for index in range(config.num_labels)]
        self.span_kinds = span_kinds(labels) if config.use_crf and config.span_scores else None
        if config.units == "raw":
            self.piece_tags = PieceTags(labels)
        self.word_tags = WordTags(labels)
        if config.intents:
            self.intent_pooling = Pooling(config.pooling, config.hidden_size, config.num_directions)
            self.intent_classifier = nn.Linear(config.hidden_size, len(config.intents))
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        state: Tensor | None = None,
        labels: Tensor | None = None,
        intents: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        sample_weights: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> RnnHeadOutput | tuple:
        """Tag positions: logits (B, T, C).

        With a CRF the logits are emissions while training and max-marginals in evaluation, or with `config.span_scores` what has the
        probabilities of spans for a softmax: at each word's first piece, and repeated on its other pieces, their arg max is the
        Viterbi path over the words of the row. With `config.units="raw"` other
        pieces say that they go on with a span, and white space whether it is inside one; so do, with `config.word_mark_id` or
        `config.unk_token_id`, pieces at which the stock pipeline takes words apart.

        Args:
            labels (`Tensor`, *optional*): Tag ids, (B, T), -100 where there is none, as on all but the first piece of a word.
            intents (`Tensor`, *optional*): Class ids of the rows, (B,), -100 where there is none; their mean loss is added.
            num_items_in_batch (`int`, *optional*): Divide the summed loss by this rather than by the labels of this batch.
            sample_weights (`Tensor`, *optional*): How much each row counts in the loss, (B,).

        The other arguments are those of `RnnModel`.
        """
        mask = check_inputs(input_ids, inputs_embeds, attention_mask)
        encoded = self.model(input_ids, attention_mask, inputs_embeds, state, output_hidden_states, return_dict=True)
        # (B, T) each, found once
        words = self.model.words(input_ids, mask) if self._reads_words else (mask, ~mask)
        # (B, T, C)
        logits = self.emit(encoded.last_hidden_state, *words)
        if hasattr(self, "linear"):
            logits = logits + self.linear(input_ids, *words, self.model.blanks(input_ids, mask)).to(logits.dtype)
        loss = None
        if labels is not None:
            labels = labels.to(logits.device).masked_fill(~mask, -100)
            if self.config.use_crf:
                loss = crf_loss(self.crf, logits, labels, num_items_in_batch, sample_weights)
            else:
                weights = None if sample_weights is None else sample_weights.repeat_interleave(labels.shape[1])
                loss = cross_entropy(logits.flatten(0, 1), labels.flatten(), num_items_in_batch, weights)
        if self.config.use_crf and not self.training:
            goes_on = None if self.span_kinds is None else going_on(torch.tensor(self.span_kinds, device=logits.device))
            logits = decode(self.crf, logits, *words, self._is_masked, goes_on)
        if self.config.units == "raw" and not self.training:
            logits = self.piece_tags.spread(logits, *words, self.model.spaces(input_ids, mask))
        elif self._is_taken_apart and input_ids is not None and not self.training:
            marks = self.config.word_mark_id, self.config.unk_token_id
            logits = self.word_tags.join(logits, input_ids, *words, *marks)
        intent_logits = None
        if self.config.intents:
            pooled = self.intent_pooling(encoded.last_hidden_state, self.model.units(input_ids, mask))
            intent_logits = self.intent_classifier(self.dropout(pooled))
            if loss is not None and labels is not None and intents is not None:
                # by the share of the batch in the accumulated one, which is counted in tags
                share = 1 if num_items_in_batch is None else (labels != -100).sum() / num_items_in_batch
                loss = loss + share * cross_entropy(intent_logits, intents.to(logits.device), None)
        output = RnnHeadOutput(
            loss=loss, logits=logits, intent_logits=intent_logits, state=encoded.state, hidden_states=encoded.hidden_states
        )
        return output if wants_dict(return_dict, self.config) else output.to_tuple()

    def emit(self, hidden: Tensor, starts: Tensor, special: Tensor) -> Tensor:
        """Return what states (B, T, H) say of each position (B, T, C), with those of the next words where `config.lookahead` says so."""
        if self.config.lookahead:
            hidden = torch.cat([hidden, look_ahead(hidden, starts, special, self.config.lookahead)], 2)
        return self.classifier(self.dropout(hidden))

    def set_piece_types(self, piece_types: list[int] | PreTrainedTokenizerBase) -> None:
        """Say of each piece whether it starts a word, and which ones the stock pipeline takes words apart at."""
        super().set_piece_types(piece_types)
        if not isinstance(piece_types, list):
            known = piece_types.get_vocab()
            self.config.word_mark_id = next((known[mark] for mark in (WORD_MARK, BYTE_MARK) if mark in known), None)
            self.config.unk_token_id = piece_types.unk_token_id

    @property
    def _reads_words(self) -> bool:
        """Return whether logits depend on where words start."""
        is_read = hasattr(self, "linear") or self.config.lookahead > 0
        return is_read or (not self.training and (self.config.use_crf or self.config.units == "raw" or self._is_taken_apart))

    @property
    def _is_taken_apart(self) -> bool:
        """Return whether words that begin a span may be taken apart."""
        return any(self.word_tags.begins) and (self.config.word_mark_id is not None or self.config.unk_token_id is not None)


class RnnForMaskedLM(RnnLanguageModel):
    """The encoder and a prediction of masked pieces (Devlin et al. 2019), to pretrain a body on text without labels.

    Raises:
        ValueError: The recurrence of `config` runs over words, whose states do not tell their pieces apart.
    """

    def __init__(self, config: RnnConfig) -> None:
        super().__init__(config, RnnModel(config))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        state: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> RnnHeadOutput | tuple:
        """Predict pieces: logits (B, T, V), or None while training with labels, where only those of labelled positions are made.

        Args:
            labels (`Tensor`, *optional*): Ids of the pieces to predict, (B, T), -100 elsewhere.
            num_items_in_batch (`int`, *optional*): Divide the summed loss by this rather than by the labels of this batch.

        The other arguments are those of `RnnModel`.
        """
        mask = check_inputs(input_ids, inputs_embeds, attention_mask)
        encoded = self.model(input_ids, attention_mask, inputs_embeds, state, output_hidden_states, return_dict=True)
        targets = None if labels is None else labels.to(mask.device).masked_fill(~mask, -100)
        return self._answer(encoded, targets, num_items_in_batch, slice(None), return_dict)


class RnnForCausalLM(RnnLanguageModel, StateGenerationMixin):
    """The unidirectional encoder and a prediction of the next piece (Mikolov et al. 2010), which `generate` samples from.

    `state` is the cache of generation: a token costs the same wherever it stands.

    Raises:
        ValueError: `config` is bidirectional, or its recurrence runs over words.
    """

    def __init__(self, config: RnnConfig) -> None:
        if config.bidirectional:
            raise ValueError(
                "RnnForCausalLM predicts what comes next, which a bidirectional model has read already; got bidirectional=True. "
                "Set bidirectional=False in RnnConfig or pass --bidirectional false."
            )
        super().__init__(config, RnnModel(config))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        state: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> RnnHeadOutput | tuple:
        """Predict the next piece at every position: logits (B, T, V), or None while training with labels.

        Args:
            labels (`Tensor`, *optional*): The pieces themselves, (B, T), -100 where one is not to be predicted; they are shifted
                here, so `labels=input_ids` is right, and what is masked is passed over. `shift_labels` of the same shape, the
                piece to predict at each position, are taken as they are and go before `labels`.
            num_items_in_batch (`int`, *optional*): Divide the summed loss by this rather than by the labels of this batch.
            logits_to_keep (`int` or `Tensor`): Make logits for so many last positions, or for these positions; 0 for all.

        The other arguments are those of `RnnModel`.
        """
        mask = check_inputs(input_ids, inputs_embeds, attention_mask)
        encoded = self.model(input_ids, attention_mask, inputs_embeds, state, output_hidden_states, return_dict=True)
        targets = None if labels is None else next_labels(labels.to(mask.device), mask)
        # no parameter of its own: Trainer would wait for one in every batch
        if kwargs.get("shift_labels") is not None:
            targets = kwargs["shift_labels"].to(mask.device).masked_fill(~mask, -100)
        kept = logits_to_keep if isinstance(logits_to_keep, Tensor) else slice(-logits_to_keep, None)
        return self._answer(encoded, targets, num_items_in_batch, kept, return_dict)


# saving any of them copies this file and its siblings beside the weights, also when they came that way
RnnModel.register_for_auto_class("AutoModel")
RnnForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
RnnForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
RnnForMaskedLM.register_for_auto_class("AutoModelForMaskedLM")
RnnForCausalLM.register_for_auto_class("AutoModelForCausalLM")
