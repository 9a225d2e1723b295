"""Train, evaluate and apply a text classifier.

Example:
    hf-rnn text-classification --train_file reviews.csv --do_train --do_eval --output_dir outputs/reviews
"""

from .training import run_training


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Run the command; return the metrics of all splits."""
    return run_training("text-classification", argv, __doc__)
