"""Write a model as ONNX, check it and quantise it; `--help` lists the options."""

import sys

from hf_rnn.commands.cli import run

if __name__ == "__main__":
    sys.exit(run("export"))
