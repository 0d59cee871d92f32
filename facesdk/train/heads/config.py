"""Settings for learning output layers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...documents import parse_toml
from ...errors import FileFormatError, reading
from ..config import config_from, require, require_positive
from ..loop import Schedule


@dataclass(frozen=True)
class LearnConfig:
    """Settings for learning output layers; every field is a key of the `--settings` TOML file."""

    steps: int = 1500
    rate: float = 2e-3
    """Learning rate of the layers and identities."""
    tune_trunk: bool = False
    """Whether the trunk is trained too; `anchor` holds its units close to their old values."""
    trunk_rate: float = 1e-4
    decoder_warm_up: int = 300
    """First steps in which the trunk is frozen, because new layers would spoil it; 0 is off."""
    pca: bool = True
    """Whether vertices are learned as coefficients of principal components, or one by one."""
    explained_variance: float = 0.995
    """Share of the variance that the components explain."""
    max_components: int = 256
    embedding: int = 16
    """Size of the embedding of a speaker; 0 learns one style for all."""
    pivot_probability: float = 0.1
    """Probability that the pivot replaces a speaker in training; it serves unknown speakers."""
    hidden: int = 96
    coefficients: float = 0.2
    """Weight of the squared error of the predicted numbers themselves."""
    vertices: float = 1.0
    """Weight of the squared error in mm² on the face; see `VertexLoss`."""
    velocity: float = 3.0
    """Weight of the same errors of the change from frame to frame."""
    anchor: float = 100.0
    """Weight of the squared change of the units, if the trunk is trained."""
    batch: int = 8
    crop: int = 150
    """Steps of 20 ms per crop."""
    balance: float = 0.5
    """Data sets are drawn by hours to this power; 0 draws all of them equally often."""
    augment: bool = True
    """Whether crops are augmented with other voices, microphones and noise."""
    flame_model: str = ""
    """Path of the FLAME model on which controls of the rig `flame` are measured; none if empty."""
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, "steps max_components hidden batch crop", 1)
        require(self, "pivot_probability balance", 0, 1)
        require(self, "decoder_warm_up embedding coefficients vertices velocity anchor seed", 0)
        require_positive(self, "rate trunk_rate explained_variance")
        require(self, "explained_variance", 0, 1)
        if not (self.coefficients or self.vertices):
            raise FileFormatError("coefficients and vertices must not both be 0")

    @classmethod
    def load(cls, path: Path) -> LearnConfig:
        """Load a TOML file; raises `FileFormatError` or `UnknownNameError`."""
        try:
            payload = path.read_bytes()
        except OSError as error:
            raise FileFormatError(f"{path} cannot be read as TOML: {error}") from error
        document = parse_toml(payload, str(path))
        with reading(path, FileFormatError):
            return config_from(cls, document, str(path))

    @property
    def schedule(self) -> Schedule:
        """Schedule of the training loop: a short warm-up, and no average of the weights."""
        warmup = min(50, max(1, self.steps // 10))
        return Schedule(self.steps, self.rate, warmup, decay=1e-3, average=0)
