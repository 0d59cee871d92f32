"""Heads in files: glTF, OBJ, PLY, Audio2Face, pickles."""
