"""What makes a model learn more from the same text: adversarial perturbation."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


class AdversarialEmbeddings:
    """Perturb embeddings in the direction that raises the loss most (Miyato et al. 2017, equations 5 and 6).

    Each row's embeddings, side by side, move along their gradient by `epsilon` in the 2-norm. First `record` a forward and backward
    pass, then `perturb` another one.

    Args:
        embedding (`nn.Module`): Makes one vector of each token that exists, (N, E), row by row.
        epsilon (`float`): Norm of a row's perturbation.
    """

    def __init__(self, embedding: nn.Module, epsilon: float) -> None:
        self.embedding = embedding
        self.epsilon = epsilon
        self._vectors: Tensor | None = None

    @contextmanager
    def record(self) -> Iterator[None]:
        """Keep the embeddings of the forward passes inside, of the last one of several, and their gradient."""

        def keep(_module: nn.Module, _arguments: tuple, vectors: Tensor) -> None:
            vectors.retain_grad()
            self._vectors = vectors

        handle = self.embedding.register_forward_hook(keep)
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def perturb(self, mask: Tensor) -> Iterator[None]:
        """Add the perturbation to the embeddings of the forward passes inside; mask (B, T) says which tokens exist."""
        noise = self._noise(mask)
        handle = self.embedding.register_forward_hook(lambda _module, _arguments, vectors: vectors + noise)
        try:
            yield
        finally:
            handle.remove()

    def _noise(self, mask: Tensor) -> Tensor:
        assert self._vectors is not None
        assert self._vectors.grad is not None
        # (N, E), (N,)
        grad, rows = self._vectors.grad, mask.nonzero()[:, 0]
        norms = grad.new_zeros(len(mask)).index_add(0, rows, grad.square().sum(1)).sqrt()
        return self.epsilon * grad / norms.clamp(min=1e-20)[rows].unsqueeze(1)
