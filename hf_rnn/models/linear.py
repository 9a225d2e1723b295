"""A linear model of hashed features beside the recurrence: the linear path of Cheng et al. 2016, for rows and for words."""

import torch
from torch import Tensor, nn

from .features import BORDER, PIECE_LENGTH, character_keys, describe_words, longest_of, read_characters, word_keys
from .hashing import UNUSED_KEY
from .masked import take_positions


class LinearTable(nn.Module):
    """Known features, found by their keys, with a weight for each label.

    What it holds are buffers: they are fitted by regression, not by gradients.

    Args:
        vocab_size (`int`): V.
        size (`int`): Features that have weights, K.
        num_labels (`int`): C.
    """

    characters: Tensor
    keys: Tensor
    weight: Tensor

    def __init__(self, vocab_size: int, size: int, num_labels: int) -> None:
        super().__init__()
        self.register_buffer("characters", torch.zeros(vocab_size, PIECE_LENGTH, dtype=torch.int32))
        self.register_buffer("keys", torch.full((size,), UNUSED_KEY))
        # row 0 is what is not known
        self.register_buffer("weight", torch.zeros(size + 1, num_labels))

    def set_keys(self, keys: Tensor) -> None:
        """Choose the features by their sorted keys (K,); they start without weight."""
        self.keys = keys
        self.weight = self.weight.new_zeros(len(keys) + 1, self.weight.shape[1])

    def resize_vocabulary(self, vocab_size: int) -> None:
        """Cut or extend the table of characters; new ids spell nothing and part words."""
        kept = self.characters[:vocab_size]
        added = kept.new_zeros(vocab_size - len(kept), PIECE_LENGTH)
        added[:, 0] = BORDER
        self.characters = torch.cat([kept, added])

    def look_up(self, keys: Tensor) -> Tensor:
        """Return the features that keys of any shape belong to, from 1 on, 0 where they are not known."""
        place = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        return (place + 1) * ((self.keys[place] == keys) & (keys != UNUSED_KEY))

    def _total(self, features: Tensor, values: Tensor | None = None) -> Tensor:
        """Return the sum of the weights of features (N, F), times their values (N, F) if there are any, (N, C)."""
        weight = self.weight.to(self._dtype)
        if torch.compiler.is_compiling():
            # a bag is a loop over rows in ONNX
            rows = nn.functional.embedding(features, weight)
            return (rows if values is None else rows * values.unsqueeze(2)).sum(1)
        # not as a product of matrices, which autocast would round
        return nn.functional.embedding_bag(features, weight, mode="sum", per_sample_weights=values)

    @property
    def _dtype(self) -> torch.dtype:
        """Return fp32, or the wider dtype of the weights."""
        return torch.promote_types(self.weight.dtype, torch.float32)


class LinearPath(LinearTable):
    """Score a row by its words, pairs of words and n-grams of characters, as logistic regression on TF-IDF does.

    Each of the two kinds of features, words and characters, makes a vector of sublinear counts times inverse document frequencies (Salton
    and Buckley 1988), times how much each feature tells the classes apart, of length 1.
    """

    idf: Tensor
    telling: Tensor
    bias: Tensor

    def __init__(self, vocab_size: int, size: int, num_labels: int) -> None:
        super().__init__(vocab_size, size, num_labels)
        self.register_buffer("idf", torch.zeros(size + 1))
        self.register_buffer("telling", torch.ones(size + 1))
        self.register_buffer("bias", torch.zeros(num_labels))

    def set_features(self, keys: Tensor, idf: Tensor) -> None:
        """Choose the features by their sorted keys (K,), with their inverse document frequencies (K,); they tell alike."""
        self.set_keys(keys)
        self.idf = torch.cat([idf.new_zeros(1), idf])
        self.telling = torch.ones_like(self.idf)

    def features(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys of the words (B, N) and of the characters (B, M) of rows, in no order, each as often as it occurs."""
        codes = read_characters(self.characters, input_ids, mask)
        return word_keys(codes), character_keys(codes)

    def weigh(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Return the different known features among keys (B, N), and their values in a vector of length 1, (B, N) each; 0 for none."""
        features, values, _ = self._weigh(self.look_up(keys))
        return features, values

    def _weigh(self, found: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `weigh` does of features (B, N), 0 where there is none, and inverse document frequencies times counts, (B, N)."""
        # equal features stand side by side: each run becomes one feature with a count
        found = found.sort(1).values
        starts = (found != found.roll(1, 1)) | (torch.arange(found.shape[1], device=found.device) == 0)
        run = starts.cumsum(1) - 1
        counts = torch.zeros_like(found).scatter_add(1, run, torch.ones_like(found))
        features = torch.zeros_like(found).scatter_add(1, run, found * starts)
        counts, idf = counts.to(self._dtype), self.idf.to(self._dtype)[features]
        values = (1 + counts.clamp(min=1).log()) * idf * self.telling.to(self._dtype)[features]
        return features, values / values.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12), counts * idf

    def forward(self, input_ids: Tensor | None, mask: Tensor) -> Tensor:
        """Return logits (B, C) of rows of ids (B, T) with mask (B, T).

        Raises:
            ValueError: There are no ids.
        """
        return self.read(input_ids, mask)[0]

    def read(self, input_ids: Tensor | None, mask: Tensor, is_judged: bool = False) -> tuple[Tensor, Tensor | None]:
        """Return logits (B, C) and, if it is asked for, how rare the words and the n-grams of characters of rows are, (B, 2).

        That is the mean of their inverse document frequencies, where what is not known counts as the rarest that is.

        Raises:
            ValueError: There are no ids.
        """
        if input_ids is None:
            raise ValueError("`linear_size` needs `input_ids` to know the words of a row, got `inputs_embeds`. Set linear_size=0.")
        logits, surprises = self.bias.to(self._dtype), []
        for keys in self.features(input_ids, mask):
            found = self.look_up(keys)
            features, values, rarity = self._weigh(found)
            # of rows without features too, as a bag must not be empty
            features, values = (nn.functional.pad(each, (0, 1)) for each in (features, values))
            logits = logits + self._total(features, values)
            if is_judged:
                surprises.append(self._surprise(rarity.sum(1), (found != 0).sum(1), (keys != UNUSED_KEY).sum(1)))
        return logits, torch.stack(surprises, dim=1) if is_judged else None

    def _surprise(self, total: Tensor, known: Tensor, count: Tensor) -> Tensor:
        """Return the mean inverse document frequency of features (B,), from the sum of known ones, their number, and that of all."""
        rarest = self.idf.to(self._dtype).amax(0)
        # what has no features at all is as rare as can be
        return torch.where(count > 0, (total + rarest * (count - known)) / count.clamp(min=1), rarest)


class LinearEmissions(LinearTable):
    """Score each word by what it is and by its neighbours, as a linear tagger does."""

    def features(self, input_ids: Tensor, starts: Tensor, special: Tensor, blank: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the keys of the features of words (B, W, F), at the left of each row, and the word of each position (B, T).

        Args:
            input_ids (`Tensor`): (B, T).
            starts (`Tensor`): Where a word or special token starts, (B, T).
            special (`Tensor`): Where there is a special token or nothing, (B, T).
            blank (`Tensor`, *optional*): Where there is white space of raw text, (B, T); characters around words are features then.
        """
        words = starts & ~special
        rank = words.cumsum(1) - 1
        word_of = rank.clamp(min=0)
        # white space before the first word is behind none
        read = ~special if blank is None else ~special & (rank >= 0)
        keys = describe_words(self.characters, input_ids, word_of, read, blank)
        # look-ups want them side by side in memory
        return keys[:, : longest_of(words.sum(1), keys.shape[1], is_exported=False)].contiguous(), word_of

    def forward(self, input_ids: Tensor | None, starts: Tensor, special: Tensor, blank: Tensor | None = None) -> Tensor:
        """Return emissions (B, T, C), those of a word at each of its pieces, zero at special tokens and where there is nothing.

        Raises:
            ValueError: There are no ids.
        """
        if input_ids is None:
            raise ValueError("`linear_size` needs `input_ids` to know the words of a row, got `inputs_embeds`. Set linear_size=0.")
        keys, word_of = self.features(input_ids, starts, special, blank)
        # (B, W, F)
        found = self.look_up(keys)
        emissions = self._total(found.flatten(0, 1)).view(*found.shape[:2], self.weight.shape[1])
        return take_positions(emissions, word_of) * ~special.unsqueeze(2)
