"""Train, evaluate and apply a tagger; `--help` lists the options."""

import sys

from hf_rnn.commands.cli import run

if __name__ == "__main__":
    sys.exit(run("token_classification"))
