"""Training of models; the only package that imports torch."""
