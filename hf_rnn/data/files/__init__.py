"""From a file to rows of plain values: readers of every format, annotations of tools, types of columns, and where a row came from."""
