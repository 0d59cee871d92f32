"""Fitting heads to each other: registration, deformation transfer, solving for weights."""
