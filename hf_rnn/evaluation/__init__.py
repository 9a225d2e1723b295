"""Models beside each other: scores on the same rows, intervals, sizes, speeds."""
