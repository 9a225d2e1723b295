"""What taggers of tokens and of raw text share: their words may start from the vectors of an encoder."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..training.arguments import ModelArguments
from . import steps
from .labelled import LabelledTask


class WordTask(LabelledTask):
    """A tagger of words."""

    @property
    def borrows_words(self) -> bool:
        """Return whether whole words get the vectors of an encoder, beside a tokenizer of the model's own, which sees case."""
        options = self.model_args
        is_new = not (options.model_name_or_path or options.config_name or options.tokenizer_name)
        return bool(options.embeddings_from) and is_new and options.word_pooling != "none" and options.word_vocab_size != 0

    @property
    def model_options(self) -> ModelArguments:
        """Return what tokenizer and model are made by, without an encoder's pieces where its words are borrowed."""
        return replace(self.model_args, embeddings_from=None) if self.borrows_words else self.model_args

    def build_model(self, tokenizer: PreTrainedTokenizerBase, rows: Any, encoded: Any, defaults: dict[str, Any]) -> PreTrainedModel:
        """Load the model that the options name, or build one, whose words may have the vectors of an encoder."""
        model = super().build_model(tokenizer, rows, encoded, defaults)
        if self.borrows_words and rows is not None:
            steps.borrow_words(model, str(self.model_args.embeddings_from), tokenizer, self.iterate_words(rows, encoded))
        return model

    @abstractmethod
    def iterate_words(self, rows: Any, encoded: Any) -> Iterable[list[str]]:
        """Yield the words of each training row."""
