"""A linear model of the n-grams of a row beside the recurrence: the wide path of Cheng et al. 2016."""

import torch
from torch import Tensor, nn

from .embeddings import UNUSED_KEY
from .ngrams import BORDER, PIECE_LENGTH, character_keys, read_characters, word_keys


class WidePath(nn.Module):
    """Score a row by its words, pairs of words and n-grams of characters, as logistic regression on TF-IDF does.

    Each of the two kinds of features, words and characters, makes a vector of sublinear counts times inverse document frequencies,
    of length 1 (Salton and Buckley 1988). What the path holds are buffers: they are fitted by regression, not by gradients.

    Args:
        vocab_size (`int`): V.
        size (`int`): Features that have weights, K.
        num_labels (`int`): C.
    """

    characters: Tensor
    keys: Tensor
    idf: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, vocab_size: int, size: int, num_labels: int) -> None:
        super().__init__()
        self.register_buffer("characters", torch.zeros(vocab_size, PIECE_LENGTH, dtype=torch.int32))
        self.register_buffer("keys", torch.full((size,), UNUSED_KEY))
        # row 0 is what is not known
        self.register_buffer("idf", torch.zeros(size + 1))
        self.register_buffer("weight", torch.zeros(size + 1, num_labels))
        self.register_buffer("bias", torch.zeros(num_labels))

    def set_features(self, keys: Tensor, idf: Tensor) -> None:
        """Choose the features by their sorted keys (K,), with their inverse document frequencies (K,); they start without weight."""
        self.keys = keys
        self.idf = torch.cat([idf.new_zeros(1), idf])
        self.weight = idf.new_zeros(len(keys) + 1, len(self.bias))

    def resize_vocabulary(self, vocab_size: int) -> None:
        """Cut or extend the table of characters; new ids spell nothing and part words."""
        kept = self.characters[:vocab_size]
        added = kept.new_zeros(vocab_size - len(kept), PIECE_LENGTH)
        added[:, 0] = BORDER
        self.characters = torch.cat([kept, added])

    def features(self, input_ids: Tensor, mask: Tensor, trim: bool = True) -> tuple[Tensor, Tensor]:
        """Return the keys of the words (B, N) and of the characters (B, M) of rows, in no order, each as often as it occurs."""
        codes = read_characters(self.characters, input_ids, mask, trim)
        return word_keys(codes, trim), character_keys(codes)

    def weigh(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Return the different known features among keys (B, N), and their values in a vector of length 1, (B, N) each; 0 for none."""
        place = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        found = (place + 1) * ((self.keys[place] == keys) & (keys != UNUSED_KEY))
        # equal features stand side by side: each run becomes one feature with a count
        found = found.sort(1).values
        starts = (found != found.roll(1, 1)) | (torch.arange(found.shape[1], device=found.device) == 0)
        run = starts.cumsum(1) - 1
        counts = torch.zeros_like(found).scatter_add(1, run, torch.ones_like(found))
        features = torch.zeros_like(found).scatter_add(1, run, found * starts)
        values = (1 + counts.clamp(min=1).to(self._dtype).log()) * self.idf.to(self._dtype)[features]
        return features, values / values.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12)

    @property
    def _dtype(self) -> torch.dtype:
        """Return fp32, or the wider dtype of the weights."""
        return torch.promote_types(self.weight.dtype, torch.float32)

    def forward(self, input_ids: Tensor | None, mask: Tensor, trim: bool) -> Tensor:
        """Return logits (B, C) of rows of ids (B, T) with mask (B, T); `trim` unless shapes must not depend on data.

        Raises:
            ValueError: There are no ids.
        """
        if input_ids is None:
            raise ValueError("`wide_size` needs `input_ids` to know the words of a row, got `inputs_embeds`. Set wide_size=0.")
        logits = self.bias.to(self._dtype)
        for keys in self.features(input_ids, mask, trim):
            features, values = self.weigh(keys)
            # not as a product of matrices, which autocast would round: (B, N, C) -> (B, C)
            logits = logits + (values.unsqueeze(2) * self.weight[features]).sum(1)
        return logits
