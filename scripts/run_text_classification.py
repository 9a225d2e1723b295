"""Train, evaluate and apply a text classifier; `--help` lists the options."""

import sys

from hf_rnn.commands.cli import run

if __name__ == "__main__":
    sys.exit(run("text_classification"))
