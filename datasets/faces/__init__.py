"""Recordings of faces: speech and what a face did meanwhile."""
