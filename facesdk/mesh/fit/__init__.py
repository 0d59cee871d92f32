"""Fit heads to each other: registration, deformation transfer, solving for shape weights."""
