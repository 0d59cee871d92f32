"""Audio to speech units to any rig: the shared model, and one session per speaker."""

from __future__ import annotations

from .bake import BLOCK_SECONDS, LiveSource, bake, bake_rigs
from .guide import Guide, Text, align_text
from .learned_layer import LearnedLayer
from .manifest import Manifest
from .model import Model, load
from .perform import perform
from .performer import Performer
from .rig_outputs import RigOutput, RigOutputs, RigSpec
from .rig_table import RigTable, table_names
from .runner import Runner
from .session import MultiFrame, MultiSession, Session
from .step_buffer import StepBuffer
from .stream import BatchedStream, Batcher, LocalStream, RowLayout, Stream, UnitDecoder

__all__ = [
    "BLOCK_SECONDS",
    "BatchedStream",
    "Batcher",
    "Guide",
    "LearnedLayer",
    "LiveSource",
    "LocalStream",
    "Manifest",
    "Model",
    "MultiFrame",
    "MultiSession",
    "Performer",
    "RigOutput",
    "RigOutputs",
    "RigSpec",
    "RigTable",
    "RowLayout",
    "Runner",
    "Session",
    "StepBuffer",
    "Stream",
    "Text",
    "UnitDecoder",
    "align_text",
    "bake",
    "bake_rigs",
    "load",
    "perform",
    "table_names",
]
