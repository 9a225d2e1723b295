"""Train a tokenizer on a file or a data set and save it.

Example:
    hf-rnn train-tokenizer --train_file reviews.csv --tokenizer_type bpe --vocab_size 8000 --output_dir tokenizer
"""

from dataclasses import dataclass

from ..arguments import TEXT_READING, DataArguments, LabelledTrainingArguments, ModelArguments, text_reading
from ..data.files.locations import Places
from ..data.files.rows import TEXT_COLUMNS, TOKEN_COLUMNS
from ..data.locking import locked
from ..data.rows.splits import choose_column, iterate_texts, load_splits
from ..data.tokenizers.training import train_tokenizer
from ..data.writing import check_output_dir
from ..options import option, pick, read_arguments


@dataclass
class TokenizerArguments:
    """What to train a tokenizer on, and which."""

    min_frequency: int = option("Occurrences that a word (word) or pair (bpe, wordpiece) needs.", 2, within="[1, inf)")
    model_max_length: int = option("Tokens to which pipelines truncate.", 256, within="[1, inf)")


KINDS = (
    TokenizerArguments,
    pick(DataArguments, "train_file", "dataset_name", "dataset_config_name", *TEXT_READING),
    pick(ModelArguments, "lowercase", "split_punctuation", "decompose", tokenizer_type="unigram", vocab_size=16000),
    pick(LabelledTrainingArguments, output_dir="tokenizer"),
)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    arguments = read_arguments(argv, __doc__, *KINDS)
    check_output_dir(arguments.output_dir)
    files, reading = {"train": arguments.train_file or ""}, text_reading(arguments)
    splits = load_splits(arguments.dataset_name, arguments.dataset_config_name, files, streaming=True, reading=reading)
    column = choose_column(splits["train"], "train", arguments.text_column_name, (*TEXT_COLUMNS, *TOKEN_COLUMNS), "text_column_name")
    with Places({"train": arguments.train_file}).named():
        tokenizer = train_tokenizer(
            iterate_texts(splits["train"], column),
            arguments.tokenizer_type,
            arguments.vocab_size,
            arguments.lowercase,
            arguments.split_punctuation,
            arguments.decompose,
            arguments.min_frequency,
            arguments.model_max_length,
        )
    with locked(arguments.output_dir):
        tokenizer.save_pretrained(arguments.output_dir)
    print(f"Saved a {arguments.tokenizer_type} tokenizer of {len(tokenizer)} entries to {arguments.output_dir}.")
