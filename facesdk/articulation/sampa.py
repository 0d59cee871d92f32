"""Symbols of SAMPA and X-SAMPA, as MAUS writes them, in IPA."""

from __future__ import annotations

import re
from types import MappingProxyType

_PAIRS = """
@ ə  @U əʊ  { æ  } u  & œ  1 ɨ  2 ø  3 ɜ  3` ɝ  @` ɝ  6 ɐ  7 ɤ  9 œ  A ɑ  E ɛ  I ɪ  M ɯ  O ɔ  Q ɒ
U ʊ  V ʌ  Y ʏ  aI aɪ  aU aʊ  eI eɪ  OI ɔɪ  OY ɔɪ  oU oʊ  I@ ɪ  e@ ɛ  E@ ɛ  U@ ʊ
B β  C ç  D ð  F ɱ  G ɣ  H ɥ  J ɲ  K ɬ  L ʎ  N ŋ  R ʁ  S ʃ  T θ  W ʍ  X χ  Z ʒ  ? ʔ  4 ɾ  P ʋ
tS ʧ  dZ ʤ  ts ts  dz dz  pf f  h\\ ɦ  r\\ ɹ  s\\ ɕ  z\\ ʑ  l` ɭ  s` ʂ  z` ʐ  t` ʈ  d` ɖ  n` ɳ
5 ɫ  @r ɝ  3r ɝ  r= ɝ  =r ɝ  s\\= s  b_< b  d_< d
e~ ɛ  a~ ɑ  o~ ɔ  9~ œ  E~ ɛ  O~ ɔ  A~ ɑ  =n n  =m m  =l l  =N ŋ  n= n  m= m  l= l  N= ŋ
"""
_MARKS = re.compile(r":|_[^_]+|(?<=.)'")
_WORDS = _PAIRS.split()

SAMPA = MappingProxyType(dict(zip(_WORDS[::2], _WORDS[1::2], strict=True)))
"""IPA by symbol, where the two differ."""


def to_ipa(symbol: str) -> str:
    """Return the IPA of a SAMPA symbol; marks of length, stress and articulation are dropped.

    Sounds of several letters, such as MAUS's vowels before a vocalic r (`i:6`), are put together.
    """
    plain = _MARKS.sub("", symbol.strip("'\"%"))
    if plain in SAMPA or len(plain) < 2 or plain[-1] not in "6@":
        return SAMPA.get(plain, plain)
    return "".join(SAMPA.get(letter, letter) for letter in plain)
