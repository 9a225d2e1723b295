"""From rows to numbers: splits, columns, labels, spans, encoding, batches."""
