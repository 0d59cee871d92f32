from typing import NamedTuple
class Sound(NamedTuple):
    symbol: str
    stress: int = 0
class Word(NamedTuple):
    text: str
    pronunciations: tuple
