"""Corpora of timed speech, and the recipes that train models from them."""
