"""Fit a linear tagger beside a trained one: hand-made features of words, with a chain if the tagger has one (Lafferty et al. 2001).

As in `linear`, the recurrence is trained first and alone; two factors are then found on validation rows, and emissions and moves of
both taggers are added.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging

from ..models.crf import LinearChainCRF, dense_positions
from ..models.features import piece_characters
from ..models.linear import LinearEmissions
from ..models.masked import take_positions
from ..models.modeling_rnn import RnnForTokenClassification
from ..models.packing import Packing, pad_batches
from .chain import LoneTags, TagChain
from .convergence import GAP, minimize, squares
from .design import frequent_keys
from .temperature import search_temperature
from .weighing import Prior, choose_factors

logger = logging.get_logger(__name__)

# weights of the squares to choose from, the rows that are enough to choose by, and those from which on the largest is as good as any
PENALTIES, ENOUGH_ROWS, MANY_ROWS = (0.001, 0.01, 0.1), 1000, 2000
PRIOR = Prior(recurrence=0.3, widths=(2.0, 1.0))
MOVES = ("start_transitions", "end_transitions", "transitions")


@dataclass
class TaggedBatch:
    """Rows of similar length.

    Attributes:
        values (`Tensor`): What is known of each word: keys or features (B, W, F), or emissions (B, W, C).
        tags (`Tensor`): Tags, (B, W).
        lengths (`Tensor`): Words of each row, (B,).
        weights (`Tensor`, *optional*): How much each row counts, (B,).
    """

    values: Tensor
    tags: Tensor
    lengths: Tensor
    weights: Tensor | None = None

    def loss(self, emissions: Tensor, crf: LinearChainCRF | None) -> Tensor:
        """Return the summed negative log-likelihood of the tags given emissions (B, W, C)."""
        if crf is not None:
            return -crf.log_likelihood(emissions, self.tags, self.lengths).sum()
        exists = torch.arange(self.tags.shape[1]) < self.lengths[:, None]
        return nn.functional.cross_entropy(emissions[exists], self.tags[exists], reduction="sum")


def fit_field(batches: list[TaggedBatch], size: int, crf: LinearChainCRF | None, num_labels: int, penalty: float) -> Tensor:
    """Return the weights (K + 1, C) of features with the least loss, and set the moves of `crf`, if there is one, likewise."""
    if not any(len(batch.tags) for batch in batches):
        return torch.zeros(size + 1, num_labels)
    lengths = torch.cat([batch.lengths for batch in batches])
    packing = Packing.from_lengths(lengths)
    exists = [torch.arange(batch.tags.shape[1]) < batch.lengths[:, None] for batch in batches]
    features, tags = (
        torch.cat([values[mask] for values, mask in zip(parts, exists, strict=True)])[packing.source].numpy()
        for parts in ([batch.values for batch in batches], [batch.tags for batch in batches])
    )
    design, group, share = merge_columns(design_of(features, size))
    # what products with it and with its transpose read in order
    transposed = design.T.tocsr()
    weights = None
    if batches[0].weights is not None:
        counts = [
            batch.weights[:, None].expand_as(mask)[mask] for batch, mask in zip(batches, exists, strict=True) if batch.weights is not None
        ]
        weights = torch.cat(counts)[packing.source].numpy()
    words = TagChain(tags, packing.steps, crf, weights) if crf is not None else LoneTags(tags, weights)
    border = design.shape[1] * num_labels

    def objective(point: Tensor) -> tuple[float, Tensor]:
        weight, moves = np.split(point.numpy(), [border])
        loss = words.loss(design @ weight.reshape(-1, num_labels), moves)
        gradient = np.concatenate([(transposed @ loss.emissions).ravel(), loss.moves.astype(np.float32)])
        return loss.value + penalty * squares(point), torch.from_numpy(gradient).add_(point, alpha=2 * penalty)

    point = minimize(objective, torch.zeros(border + words.moves), 2 * penalty, len(tags), "The linear tagger", enough=GAP / 10)
    weight, *moves = point.split([border, *(getattr(crf, name).numel() for name in MOVES if crf is not None)])
    with torch.no_grad():
        for name, values in zip(MOVES, moves, strict=False):
            getattr(crf, name).copy_(values.view_as(getattr(crf, name)))
    return weight.view(-1, num_labels)[group] * share[:, None]


def design_of(features: np.ndarray, size: int) -> csr_matrix:
    """Return which of the features 1 to K each word has, of all that there are of each (N, F), as (N, K + 1); 0 is none."""
    row, place = features.nonzero()
    return csr_matrix((np.ones(len(row), dtype=np.float32), (row, features[row, place])), shape=(len(features), size + 1))


def merge_columns(design: csr_matrix) -> tuple[csr_matrix, Tensor, Tensor]:
    """Return a design (N, G) of which no two columns are equal, with the column of each of K, and its share of that column's weight.

    Equal columns have equal weights where the loss with its squares is least. So m of them are one, times the root of m, whose weight
    each has divided by the root of m: loss and squares stay what they are.
    """
    codes = np.random.default_rng(0).integers(2**63, size=design.shape[0], dtype=np.int64)
    # equal columns have equal sums, and others hardly ever
    sums = design.T.astype(np.int64) @ codes
    _, first, group, counts = np.unique(sums, return_index=True, return_inverse=True, return_counts=True)
    roots = np.sqrt(counts).astype(np.float32)
    merged = design.tocsc()[:, first].multiply(roots[None]).tocsr().astype(np.float32)
    return merged, torch.from_numpy(group), torch.from_numpy(1 / roots)[group]


def sum_weights(features: Tensor, weight: Tensor) -> Tensor:
    """Return emissions (B, W, C): for each word the sum of the weights (K + 1, C) of its features (B, W, F)."""
    flat = nn.functional.embedding_bag(features.flatten(0, 1), weight, mode="sum", padding_idx=0)
    return flat.view(*features.shape[:2], -1)


class TaggerFit:
    """Put a linear tagger beside the recurrence of a trained one.

    Args:
        model (`RnnForTokenClassification`): With or without a CRF.
        tokenizer (`PreTrainedTokenizerBase`): Says what its ids spell.
        size (`int`): Largest number of features.
    """

    def __init__(self, model: RnnForTokenClassification, tokenizer: PreTrainedTokenizerBase, size: int) -> None:
        self.model = model
        self.characters = torch.tensor(piece_characters(tokenizer), dtype=torch.int32)
        self.size = size
        self.penalty: float | None = None
        # what its scores are multiplied by to be as sure as validation rows bear out
        self.worth = 1.0
        self.factors = PRIOR.factors
        # the recurrence's own CRF
        self.own: LinearChainCRF | None = None

    def fit(self, train: Dataset, validation: Dataset | None) -> None:
        """Fit the tagger on training rows, then weigh it against the recurrence on rows that neither has seen, if there are any."""
        model, judged = self.model, []
        if validation is not None:
            with torch.no_grad():
                judged = list(self._batches(validation, self._emit))
            if self.penalty is None and len(train) < MANY_ROWS:
                self.penalty, self.worth = self._choose_penalty(train.select(range(min(ENOUGH_ROWS, len(train)))), validation)
        self.penalty = self.penalty or PENALTIES[-1]
        path, crf = self._fit(train, self.penalty, self.worth)
        if validation is not None:
            self.factors = self._weigh(path, crf, validation, judged)
        with torch.no_grad():
            model.classifier.weight *= self.factors[1]
            model.classifier.bias *= self.factors[1]
        self.own = None if crf is None else copy.deepcopy(model.crf)
        self._attach(path, crf)
        sizes = f"{len(path.keys):,} features of words (L2 {self.penalty:g})"
        factors = f"times {self.factors[0]:.2f}; the recurrence times {self.factors[1]:.2f}"
        logger.warning(f"Beside the recurrence: a linear tagger of {sizes}, {factors}.")

    def refit(self, *parts: Dataset) -> None:
        """Fit the tagger again on more rows; penalty and factors stay."""
        self._attach(*self._fit(concatenate_datasets(parts), self.penalty or PENALTIES[-1], self.worth))

    @torch.no_grad()
    def _fit(self, rows: Dataset, penalty: float, worth: float) -> tuple[LinearEmissions, LinearChainCRF | None]:
        """Return a linear tagger of rows, and its moves if there is a chain, all times what they are worth."""
        path = LinearEmissions(len(self.characters), 0, self.model.config.num_labels)
        path.characters = self.characters
        known = list(self._batches(rows, lambda ids, mask: self._keys(path, ids, mask)))
        path.set_keys(frequent_keys([np.ravel(batch.values) for batch in known], self.size)[0])
        crf = None
        if self.model.config.use_crf:
            crf = LinearChainCRF(self.model.config.num_labels)
            own = self.model.crf
            crf.forbid(own.forbidden_start.cpu(), own.forbidden_end.cpu(), own.forbidden_transitions.cpu())
        for batch in known:
            batch.values = path.look_up(batch.values)
        path.weight = worth * fit_field(known, len(path.keys), crf, self.model.config.num_labels, penalty)
        if crf is not None:
            mix_moves(crf, (worth, crf))
        return path, crf

    def _keys(self, path: LinearEmissions, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the keys of the word of each position, (B, T, F)."""
        keys, word_of = path.features(ids, *self.model.model.words(ids, mask), self.model.model.blanks(ids, mask))
        return keys.gather(1, word_of.unsqueeze(2).expand(-1, -1, keys.shape[2]))

    def _emit(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return what the recurrence alone makes of each position, (B, T, C)."""
        ids, mask, encoder = ids.to(self.model.device), mask.to(self.model.device), self.model.eval().model
        return self.model.emit(encoder(ids, mask).last_hidden_state, *encoder.words(ids, mask)).float().cpu()

    def _batches(self, rows: Dataset, describe: Callable[[Tensor, Tensor], Tensor]) -> Iterator[TaggedBatch]:
        """Yield batches of rows with what is known of each labelled position, (B, T, F), in an order of their lengths."""
        order = np.argsort([len(row) for row in rows["input_ids"]], kind="stable").tolist()
        all_ids, all_labels = rows["input_ids"], rows["labels"]
        weights = weights_of_rows(rows)
        labels = pad_batches(([tag + 1 for tag in all_labels[index]] for index in order), 128)
        start = 0
        for (ids, mask), (tags, _) in zip(pad_batches((all_ids[index] for index in order), 128), labels, strict=True):
            # what is padded is 0, as -100 is not
            labelled = tags > 0
            dense = dense_positions(labelled)
            own = None if weights is None else weights[order[start : start + len(ids)]]
            start += len(ids)
            known = take_positions(describe(ids, mask), dense)
            yield TaggedBatch(known, (tags.gather(1, dense) - 1).clamp(min=0), labelled.sum(1), own)

    def _choose_penalty(self, train: Dataset, validation: Dataset) -> tuple[float, float]:
        """Return the penalty that explains the validation rows best, each at its best temperature, and what scores are worth then."""
        judged = []
        for penalty in PENALTIES:
            path, crf = self._fit(train, penalty, 1.0)
            judged.append((*self._judge(path, crf, validation), penalty))
        _, worth, penalty = min(judged)
        return penalty, worth

    def _judge(self, path: LinearEmissions, crf: LinearChainCRF | None, validation: Dataset) -> tuple[float, float]:
        """Return the loss of validation rows at the best temperature, and what scores are worth: one over it, near 1 if rows are few."""
        batches = self._batches(validation, lambda ids, mask: path.look_up(self._keys(path, ids, mask)))
        scored = [(batch, sum_weights(batch.values, path.weight)) for batch in batches]
        scaled = copy.deepcopy(crf)

        @torch.no_grad()
        def loss(worth: float) -> float:
            if crf is not None and scaled is not None:
                mix_moves(scaled, (worth, crf))
            return sum(float(batch.loss(worth * emissions, scaled)) for batch, emissions in scored)

        temperature, least = search_temperature(loss, precision=0.01)
        return least, 1 / temperature

    def _weigh(self, path: LinearEmissions, crf: LinearChainCRF | None, validation: Dataset, judged: list[TaggedBatch]) -> np.ndarray:
        """Return the factors of both taggers that explain the validation rows best, given the prior: (2,)."""
        ours = list(self._batches(validation, lambda ids, mask: path.look_up(self._keys(path, ids, mask))))
        emissions = [sum_weights(batch.values, path.weight) for batch in ours]
        mixed = LinearChainCRF(self.model.config.num_labels) if crf is not None else None
        if mixed is not None:
            mixed.load_state_dict(self.model.crf.state_dict())

        @torch.no_grad()
        def loss(factors: np.ndarray) -> float:
            a, b = (float(factor) for factor in factors)
            if mixed is not None and crf is not None:
                mix_moves(mixed, (a, crf), (b, self.model.crf))
            pairs = zip(emissions, judged, strict=True)
            return sum(float(batch.loss(a * linear + b * batch.values, mixed)) for linear, batch in pairs)

        return choose_factors(loss, PRIOR)

    @torch.no_grad()
    def _attach(self, path: LinearEmissions, crf: LinearChainCRF | None) -> None:
        path.weight *= float(self.factors[0])
        self.model.set_linear_path(path)
        if crf is not None and self.own is not None:
            mix_moves(self.model.crf, (float(self.factors[1]), self.own), (float(self.factors[0]), crf))


def mix_moves(chain: LinearChainCRF, *parts: tuple[float, LinearChainCRF]) -> None:
    """Set the moves of a chain to the sum of others' moves, each times a factor."""
    for name in MOVES:
        moves = [factor * getattr(part, name).detach().cpu() for factor, part in parts]
        getattr(chain, name).data.copy_(sum(moves))


def weights_of_rows(rows: Dataset) -> Tensor | None:
    """Return how much rows count (N,), if they have weights; one without, as a held-out row is, counts once."""
    if "sample_weights" not in rows.column_names:
        return None
    return torch.tensor([1.0 if weight is None else weight for weight in rows["sample_weights"]])
