"""What is learnt: labels, answers, metrics."""
