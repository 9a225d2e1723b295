"""From files and names to encoded data sets: files, rows, tokenizers; and how checkpoints are found and files are written."""
