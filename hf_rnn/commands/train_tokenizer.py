"""Train a tokenizer on a file or a data set and save it.

Example:
    hf-rnn train-tokenizer --train_file reviews.csv --tokenizer_type bpe --vocab_size 8000 --output_dir tokenizer
"""

from dataclasses import dataclass

from ..data.files.locations import Places
from ..data.locking import locked
from ..data.rows.splits import TEXT_COLUMNS, TOKEN_COLUMNS, choose_column, iterate_texts, load_splits
from ..data.tokenizers.training import train_tokenizer
from ..data.writing import check_output_dir
from ..options import option, parse_arguments


@dataclass
class TokenizerArguments:
    """What to train a tokenizer on, and which."""

    train_file: str | None = option("csv, tsv, json, jsonl, parquet, conll or conllu file.", essential=True)
    dataset_name: str | None = option("Data set on the Hub.")
    dataset_config_name: str | None = option("Its configuration.")
    text_column_name: str | None = option("Column of texts or of lists of tokens.")
    output_dir: str = option("Folder to save the tokenizer in.", "tokenizer", essential=True)
    tokenizer_type: str = option("unigram, bpe, wordpiece, word or char.", "unigram", essential=True)
    vocab_size: int = option("Largest number of entries.", 16000, essential=True, within="[5, 10000000]")
    lowercase: bool = option("Whether to lower-case.", False)
    split_punctuation: bool = option("Whether punctuation makes words of its own.", False)
    decompose: bool = option("Whether letters are taken apart, Hangul syllables into jamo.", False)
    min_frequency: int = option("Occurrences that a word (word) or pair (bpe, wordpiece) needs.", 2, within="[1, inf)")
    model_max_length: int = option("Tokens to which pipelines truncate.", 256, within="[1, inf)")


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    (arguments,) = parse_arguments(argv, __doc__, TokenizerArguments)
    check_output_dir(arguments.output_dir)
    splits = load_splits(arguments.dataset_name, arguments.dataset_config_name, {"train": arguments.train_file or ""}, streaming=True)
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
