"""What both language models share: a prediction of pieces over the encoder."""

from typing import Any, ClassVar

from torch import Tensor, nn

from .configuration_rnn import RnnConfig
from .losses import cross_entropy
from .pretrained import RnnHeadOutput, RnnModelOutput, RnnPreTrainedModel, wants_dict


class RnnLanguageModel(RnnPreTrainedModel):
    """The encoder and a prediction of pieces, shared by both language models.

    The output layer shares the matrix of the embeddings if `config.tie_word_embeddings`.

    Args:
        config (`RnnConfig`): Sizes.
        encoder (`RnnPreTrainedModel`): The encoder.
    """

    _tied_weights_keys: ClassVar[dict[str, str]] = {"decoder.weight": "model.embeddings.word_embeddings.weight"}

    def __init__(self, config: RnnConfig, encoder: RnnPreTrainedModel) -> None:
        super().__init__(config)
        if config.word_pooling is not None:
            raise ValueError(
                f"{type(self).__name__} predicts pieces, but `word_pooling` makes words of them; got {config.word_pooling!r}. "
                "Set word_pooling=None; taggers that start from the model can pool words."
            )
        self.model = encoder
        self.transform = nn.Linear(config.hidden_size, config.embedding_size)
        self.norm = nn.LayerNorm(config.embedding_size)
        self.decoder = nn.Linear(config.embedding_size, config.vocab_size)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """Return the output layer."""
        return self.decoder

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Replace the output layer."""
        self.decoder = value

    def _predict(self, hidden: Tensor) -> Tensor:
        """Return logits (..., V) from states (..., H)."""
        return self.decoder(self.norm(nn.functional.gelu(self.transform(hidden))))

    def _answer(
        self,
        encoded: RnnModelOutput,
        labels: Tensor | None,
        num_items: Tensor | int | None,
        kept: slice | Tensor,
        return_dict: bool | None,
    ) -> RnnHeadOutput | tuple:
        """Return the output for labels (B, T), -100 where nothing is predicted, with logits at the kept positions.

        While training with labels, logits are made at labelled positions only, and not returned.
        """
        hidden: Any = encoded.last_hidden_state
        logits: Any = None
        loss = None
        if labels is None or not self.training:
            logits = self._predict(hidden[:, kept])
        if labels is not None:
            # (M,): labelled positions in the flattened batch
            labelled = (labels != -100).flatten().nonzero().squeeze(1)
            # logits of all positions in their order need not be made again
            has_all = logits is not None and isinstance(kept, slice) and logits.shape[:2] == labels.shape
            chosen = (logits if has_all else hidden).flatten(0, 1).index_select(0, labelled)
            loss = cross_entropy(chosen if has_all else self._predict(chosen), labels.flatten()[labelled], num_items)
        output = RnnHeadOutput(loss=loss, logits=logits, state=encoded.state, hidden_states=encoded.hidden_states)
        return output if wants_dict(return_dict, self.config) else output.to_tuple()
