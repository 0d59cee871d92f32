"""Learned output layers: networks, fitting, losses on vertices."""
