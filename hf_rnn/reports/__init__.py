"""What a run leaves to look at: pictures, tables, reports of spans, and what went wrong."""
