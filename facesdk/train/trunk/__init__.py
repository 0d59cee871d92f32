"""The trunk: its network, data, losses, training, export and scores."""

from .export import export, export_checkpoint
from .fit import load_trunk, trunk_loop
from .network import Trunk, TrunkConfig
from .run import train

__all__ = [
    "Trunk",
    "TrunkConfig",
    "export",
    "export_checkpoint",
    "load_trunk",
    "train",
    "trunk_loop",
]
