"""Audio to units to any rig: the model every speaker shares, the session each speaker owns."""

from __future__ import annotations

from .bake import SpokenLine, bake, session_meta
from .manifest import Manifest
from .model import Model, load
from .session import Session
from .table import RigTable

__all__ = ["Manifest", "Model", "RigTable", "Session", "SpokenLine", "bake", "load", "session_meta"]
