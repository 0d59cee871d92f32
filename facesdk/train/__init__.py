"""Training of models; the only room that knows torch."""
