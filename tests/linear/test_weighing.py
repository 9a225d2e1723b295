"""A linear model and a recurrence on validation rows: what each counts for, and whether the first pays."""

import numpy as np
import pytest

from hf_rnn.linear import weighing

pytestmark = pytest.mark.lowest


def test_factors_follow_the_rows_and_without_many_the_prior():
    """Many rows that only the recurrence explains raise its factor; two hardly move it."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 2000)
    right = np.eye(2)[labels] * 2 + generator.normal(size=(2000, 2))
    noise = generator.normal(size=(2000, 2))

    def choose(rows):
        def loss(pair):
            return weighing.negative_log_likelihood(pair[0] * noise[:rows] + pair[1] * right[:rows], labels[:rows])

        return weighing.choose_factors(loss, weighing.FROM_LABELS)

    factors = choose(2000)
    assert factors[1] > 0.5
    assert factors[1] > 5 * factors[0]
    few = choose(2)
    assert few[1] / few[0] == pytest.approx(0.2, rel=0.5)


def test_rows_that_are_all_right_make_no_model_sure():
    """Sixty validation rows, each answered rightly and surely, hardly raise the factor of a linear model."""
    labels = np.arange(60) % 2
    right, nothing = np.eye(2)[labels] * 4, np.zeros((60, 2))

    def loss(pair):
        return weighing.negative_log_likelihood(pair[0] * right + pair[1] * nothing, labels)

    assert 1 < weighing.choose_factors(loss, weighing.FROM_LABELS)[0] < 1.5


def test_the_loss_of_several_labels():
    """The sum over the labels of a row, each times its weight; in the range of no exponential too."""
    logits, labels = np.array([[0.0, 2.0], [1000.0, -1000.0]]), np.array([[1.0, 0.0], [0.0, 0.0]])
    losses = weighing.row_losses(logits, labels, problem="multi_label_classification")
    np.testing.assert_allclose(losses, [np.log(2) + np.log1p(np.exp(2)), 1000])
    assert weighing.negative_log_likelihood(logits, labels, np.array([2.0, 0.5]), problem="multi_label_classification") == pytest.approx(
        2 * losses[0] + 500
    )
    assert weighing.negative_log_likelihood(
        logits, labels, np.array([[1.0, 0], [0, 1]]), problem="multi_label_classification"
    ) == pytest.approx(np.log(2))


def test_numbers_are_normal_with_a_deviation_of_their_own():
    """Their losses are squares; the likelihood is that of the best deviation, and is there for none and for no error too."""
    outputs, labels = np.array([[1.0], [5.0]]), np.array([2.0, 3.0])
    assert weighing.row_losses(outputs, labels, problem="regression").tolist() == [0.5, 2.0]
    assert weighing.row_losses(outputs, labels, np.array([2.0, 0.5]), "regression").tolist() == [1.0, 1.0]
    variance = 2.5
    whole = sum(0.5 * np.log(2 * np.pi * variance) + error**2 / (2 * variance) for error in (1.0, 2.0))
    found = [weighing.negative_log_likelihood(scale * outputs, scale * labels, problem="regression") for scale in (1.0, 10.0)]
    assert whole - found[0] == pytest.approx(np.log(4 * np.pi) + 1)
    assert found[1] - found[0] == pytest.approx(2 * np.log(10))
    assert np.isfinite(weighing.negative_log_likelihood(labels[:, None], labels, problem="regression"))
    assert weighing.negative_log_likelihood(outputs[:0], labels[:0], problem="regression") == 0


def test_parts_say_how_far_from_the_centre():
    """Numbers whose parts both are at their centre stay there, whatever the factors."""
    linear, recurrent, factors = np.array([[100.0], [110.0]]), np.array([[100.0], [90.0]]), np.array([0.5, 0.2])
    assert weighing.blend(factors, linear, recurrent, 100.0).tolist() == [[100.0], [103.0]]
    assert weighing.blend(factors, linear, recurrent).tolist() == [[70.0], [73.0]]


@pytest.mark.parametrize("has_shares", [False, True])
def test_a_linear_model_pays_where_it_tells_more(has_shares):
    """One that knows what the recurrence does not, on rows enough; not one of noise, and hardly ever by chance."""
    generator = np.random.default_rng(0)

    def judge(rows, signal):
        labels = generator.integers(0, 3, rows)
        recurrent, linear = (each * np.eye(3)[labels] + generator.normal(size=(rows, 3)) for each in (1.0, signal))
        return weighing.pays(linear, recurrent, np.eye(3)[labels] if has_shares else labels, weighing.LEARNED)

    assert all(judge(400, 1.0) for _ in range(10))
    assert sum(judge(400, 0.0) for _ in range(40)) <= 3
    assert sum(judge(8, 0.0) for _ in range(40)) <= 8
    assert not weighing.pays(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, dtype=int), weighing.LEARNED)
