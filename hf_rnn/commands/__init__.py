"""The `hf-rnn` command: a module for each of its commands, and the steps that they share."""
