"""Audio to units to any rig: the model every speaker shares, the session each speaker owns."""

from __future__ import annotations

from .bake import SpokenLine, bake, session_meta
from .manifest import Manifest
from .model import Model, load
from .output import Output
from .outputs import Outputs
from .perform import perform
from .runner import Runner
from .session import Session
from .table import RigTable

__all__ = [
    "Manifest",
    "Model",
    "Output",
    "Outputs",
    "RigTable",
    "Runner",
    "Session",
    "SpokenLine",
    "bake",
    "load",
    "perform",
    "session_meta",
]
