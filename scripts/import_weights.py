"""Turn the weights of a PyTorch LSTM or GRU model into a checkpoint; `--help` lists the options."""

import sys

from hf_rnn.commands.cli import run

if __name__ == "__main__":
    sys.exit(run("import_weights"))
