"""Train a tokenizer on a file or a data set; `--help` lists the options."""

import sys

from hf_rnn.commands.cli import run

if __name__ == "__main__":
    sys.exit(run("train_tokenizer"))
