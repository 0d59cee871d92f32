"""Learned output layers: network, training, scores, and the way into a model folder."""

from .config import LearnConfig
from .evaluate import predict, score
from .fit import HeadTrainer
from .graph import ModelGraph
from .run import learn

__all__ = ["HeadTrainer", "LearnConfig", "ModelGraph", "learn", "predict", "score"]
