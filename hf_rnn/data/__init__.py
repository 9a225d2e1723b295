"""From files and names to encoded data sets: readers, splits, labels, encoding, collator, tokenizers, word vectors."""
