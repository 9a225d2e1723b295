"""What other models know: teachers, made-up rows, and the answers to learn from."""
