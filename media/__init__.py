"""Drives, discs and packets. Knows nothing of UDF."""
