"""ONNX graphs for game engines and other runtimes; needs onnx, but not torch."""

from .builder import GraphBuilder
from .engine import EngineExportOptions, export_engine

__all__ = ["EngineExportOptions", "GraphBuilder", "export_engine"]
