"""When a fit has ended: how far it may be from the best, how it is seen to go on, and what is said where a limit ended it.

All that is fitted beside a recurrence is a sum of losses over examples and a sum of squares of the weights, which makes it strongly
convex: where its gradient is g and its second derivatives are m at least, it is within |g|^2 / 2m of its least value (Boyd and
Vandenberghe 2004, section 9.1.2). So one number says for all of them what converged means, however many examples there are: `GAP`.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from scipy import optimize
from torch import Tensor
from transformers.utils import logging

logger = logging.get_logger(__name__)

# a point to its loss and gradient
Objective: TypeAlias = Callable[[Tensor], tuple[float, Tensor]]
# from a point to the next, what it changed in the gradient, and the product of both
Step: TypeAlias = tuple[Tensor, Tensor, float]
# nats that the loss of an example may be above its least, on the average; iterations; steps that L-BFGS remembers
GAP, ITERATIONS, HISTORY = 1e-5, 1000, 10
# what makes scikit-learn fit to the end: its loss is a mean, whose gradient shrinks with the rows; it warns where its limit ends a fit
TO_THE_END = {"tol": 1e-6, "max_iter": 10_000}
# share of the promised descent that is enough (Armijo 1966), the shortest step, and the share of a loss that may be rounding
DESCENT, SHORTEST, NOISE = 1e-4, 1e-9, 1e-6
# seconds between two lines of a long fit
QUIET = 10.0


def minimize(
    objective: Objective, start: Tensor, curvature: float, examples: int, name: str, enough: float = 0.0, iterations: int = ITERATIONS
) -> Tensor:
    """Return the point where a strongly convex loss is least, within `GAP` an example, by L-BFGS (Liu and Nocedal 1989).

    It is as near where its gradient proves it; or, as the proof is late where most examples are easy, where the last `HISTORY`
    iterations lowered it by no more than is `enough`. A warning says so if the limit of iterations or the precision of the loss ended it
    before.

    Args:
        objective (`Callable`): Returns the loss, summed over examples, and its gradient (P,) at a point (P,).
        start (`Tensor`): Where to begin, (P,).
        curvature (`float`): What the second derivatives of the loss are at least, as its sum of squares has it.
        examples (`int`): Rows or words that are summed over.
        name (`str`): What is fitted, for those who watch.
        enough (`float`): Nats by which the last iterations have to lower the loss of an example to go on without that proof.
        iterations (`int`): Limit.
    """
    point, (loss, gradient) = start, objective(start)
    steps: deque[Step] = deque(maxlen=HISTORY)
    losses = deque([np.inf] * HISTORY, maxlen=HISTORY)
    with Watch(name, enough) as watch:
        for taken in range(iterations + 1):
            gap = squares(gradient) / (2 * curvature * max(examples, 1))
            fall = (losses[0] - loss) / max(examples, 1)
            losses.append(loss)
            watch.tell(taken, gap, fall)
            if has_converged(gap, fall, enough):
                break
            found = _step(objective, point, loss, gradient, _direction(gradient, steps)) if taken < iterations else None
            if found is None:
                reason = f"the limit of {iterations} iterations" if taken == iterations else "the precision of its loss"
                logger.warning(f"{name} ended by {reason}, {gap:.1e} nats an example from its best at most ({GAP:g} is wanted).")
                break
            step, change = found[0] - point, found[2] - gradient
            steps.append((step, change, float(step.dot(change))))
            point, loss, gradient = found
    return point


def has_converged(gap: float, fall: float, enough: float) -> bool:
    """Return whether the loss of an example is at its least, by its bound, or by how far the last iterations lowered it."""
    return gap <= GAP or fall <= enough


def squares(values: Tensor) -> float:
    """Return the sum of the squares of values, in fp64."""
    return float(torch.linalg.vector_norm(values, dtype=torch.float64)) ** 2


def _direction(gradient: Tensor, steps: deque[Step]) -> Tensor:
    """Return where to go: the gradient times the inverse of the second derivatives, as far as the last steps tell them."""
    if not steps:
        # of length 1
        return -gradient / gradient.norm()
    # in place: new memory for vectors of this size costs more than the sums
    direction, shares = -gradient, []
    for step, change, product in reversed(steps):
        shares.append(float(step.dot(direction)) / product)
        direction.sub_(change, alpha=shares[-1])
    _, change, product = steps[-1]
    direction.mul_(product / change.dot(change))
    for (step, change, product), share in zip(steps, reversed(shares), strict=True):
        direction.add_(step, alpha=share - float(change.dot(direction)) / product)
    return direction


def _step(objective: Objective, point: Tensor, loss: float, gradient: Tensor, direction: Tensor) -> tuple[Tensor, float, Tensor] | None:
    """Return a lower point in a direction, with its loss and gradient; nothing if no step that can be told leads down."""
    slope, size = float(gradient.dot(direction)), 1.0
    while size > SHORTEST:
        moved = torch.add(point, direction, alpha=size)
        new_loss, new_gradient = objective(moved)
        # where rounding hides the descent, the slopes at both ends tell it (Hager and Zhang 2005, section 2.1)
        is_hidden = new_loss <= loss + NOISE * abs(loss) and float(new_gradient.dot(direction)) <= (2 * DESCENT - 1) * slope
        if new_loss <= loss + DESCENT * size * slope or is_hidden:
            return moved, new_loss, new_gradient
        # the least of the parabola through what is known, but no shorter than a tenth
        bend = new_loss - loss - slope * size
        size *= min(0.5, max(0.1, -slope * size / (2 * bend)))
    return None


def search(loss: Callable[[np.ndarray], float], start: np.ndarray, name: str, iterations: int = ITERATIONS) -> np.ndarray:
    """Return the few numbers with the least loss, each within 0.005, by its values alone (Nelder and Mead 1965).

    Args:
        loss (`Callable`): Nats, by the numbers.
        start (`np.ndarray`): Where to begin.
        name (`str`): What is looked for.
        iterations (`int`): Limit; a warning says that it ended the search.
    """
    found = optimize.minimize(loss, start, method="Nelder-Mead", options={"maxiter": iterations, "xatol": 0.005, "fatol": 1e-3})
    logger.info(f"{name}: {found.nit} iterations, {found.nfev} evaluations.")
    if not found.success:
        logger.warning(f"{name} ended by the limit of {iterations} iterations, and may not be the best.")
    return found.x


class Watch:
    """Show that a fit goes on: a bar on a terminal, and a line now and then.

    Args:
        name (`str`): What is fitted.
        enough (`float`): See `minimize`.
    """

    def __init__(self, name: str, enough: float) -> None:
        self.name, self.enough = name, enough
        self.bar: Any = logging.tqdm(desc=name, unit=" iterations", leave=False, disable=None)
        self.started = self.told = time.monotonic()

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def tell(self, taken: int, gap: float, fall: float) -> None:
        """Say how many iterations were taken, how far above its best the loss of an example is at most, and how far it fell lately."""
        self.bar.update(taken - self.bar.n if taken else 0)
        now = time.monotonic()
        if now - self.told > QUIET:
            self.told = now
            lately = f"the last {HISTORY} lowered the loss of an example by {fall:.1e} nats, and it is {gap:.1e} above its best at most"
            logger.warning(f"{self.name}: {taken} iterations in {now - self.started:.0f} s, {lately}.")
        if has_converged(gap, fall, self.enough):
            logger.info(f"{self.name}: converged after {taken} iterations, {gap:.1e} nats an example above its best at most.")
