"""Text tables with one row per frame: plain, Live Link Face, Audio2Face, MetaHuman board."""
