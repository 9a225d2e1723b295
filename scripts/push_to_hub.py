"""Push a model to the Hub; `--help` lists the options."""

import sys

from hf_rnn.commands.cli import run

if __name__ == "__main__":
    sys.exit(run("push"))
