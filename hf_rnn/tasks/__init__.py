"""What is learnt, as values: labels, columns, how rows become ids, and how outputs become scores, reports and answers."""
