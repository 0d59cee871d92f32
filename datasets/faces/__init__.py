"""Recordings of faces: takes of speech and the motion of a face."""

from .base import SPLITS, Take, TakeSet
from .folder import AnnotationFolder, AnnotationWriter

__all__ = ["SPLITS", "AnnotationFolder", "AnnotationWriter", "Take", "TakeSet"]
