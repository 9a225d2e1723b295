"""The search for better options: what is tried, and the study that remembers."""
