"""Train, evaluate and apply a tagger: parts of speech, entities, slots.

Example:
    hf-rnn token-classification --train_file train.conllu --do_train --do_eval --output_dir outputs/pos
"""

from .training import run_training


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Run the command; return the metrics of all splits."""
    return run_training("token-classification", argv, __doc__)
