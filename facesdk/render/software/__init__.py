"""A renderer in numpy: runs everywhere, the same bytes on every machine. Frozen."""
