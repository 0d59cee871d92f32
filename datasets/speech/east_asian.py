"""Japanese kana and Mandarin characters as the phone alphabet of Kokoro.

Kana are read mora by mora. Characters are read by pypinyin (MIT), syllable by syllable,
with Kokoro's arrows for tones. Symbols are those that Kokoro was trained on (misaki's for
Japanese and for Mandarin); their transcription here is our own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...errors import missing_extra

_PAUSES = {
    "。": ". ", "、": ", ", "，": ", ", "．": ". ", "！": "! ", "？": "? ", "：": ": ", "；": "; ",
    "!": "! ", "?": "? ", ".": ". ", ",": ", ", "…": "… ",
}  # fmt: skip

_ROWS = (
    ("", "ア イ ウ エ オ", "a i ɯ e o"),
    ("", "カ キ ク ケ コ", "ka kʲi kɯ ke ko"), ("", "ガ ギ グ ゲ ゴ", "ɡa ɡʲi ɡɯ ɡe ɡo"),
    ("", "サ シ ス セ ソ", "sa ɕi sɨ se so"), ("", "ザ ジ ズ ゼ ゾ", "ʣa ʥi zɨ ʣe ʣo"),
    ("", "タ チ ツ テ ト", "ta ʨi ʦɨ te to"), ("", "ダ ヂ ヅ デ ド", "da ʥi zɨ de do"),
    ("", "ナ ニ ヌ ネ ノ", "na ɲi nɯ ne no"), ("", "ハ ヒ フ ヘ ホ", "ha çi ɸɯ he ho"),
    ("", "バ ビ ブ ベ ボ", "ba bʲi bɯ be bo"), ("", "パ ピ プ ペ ポ", "pa pʲi pɯ pe po"),
    ("", "マ ミ ム メ モ", "ma mʲi mɯ me mo"), ("", "ヤ ユ ヨ ワ ヲ", "ja jɯ jo βa o"),
    ("", "ラ リ ル レ ロ", "ɾa ɾʲi ɾɯ ɾe ɾo"), ("", "ヴ ァ ィ ゥ ェ", "vɯ a i ɯ e"),
    ("", "ォ ャ ュ ョ ヮ", "o ja jɯ jo βa"),
)  # fmt: skip
_KANA = {
    k: p for _, kana, phones in _ROWS for k, p in zip(kana.split(), phones.split(), strict=True)
}
_GLIDES = {"ャ": "a", "ュ": "ɨ", "ョ": "o", "ァ": "a", "ィ": "i", "ゥ": "ɯ", "ェ": "e", "ォ": "o"}
_HUSHED = ("ɕ", "ʥ", "ʨ")
_VOWELS = "aiɯeoɨ"


def japanese(text: str) -> str:
    """Katakana as phones."""
    out, doubled = "", False
    for kana in text:
        if kana in _PAUSES:
            out, doubled = out.rstrip() + _PAUSES[kana], False
        elif kana == "ッ":
            out, doubled = out + "ʔ", True
        elif kana == "ー":
            out += "ː" if out and out[-1] in _VOWELS else ""
        elif kana == "ン":
            out += "ɴ"
        elif kana in _GLIDES and out and out[-1] in _VOWELS and not doubled:
            out = _glided(out, kana)
        elif kana in _KANA:
            out, doubled = out + _KANA[kana], False
    return _nasals(out).strip()


def _glided(out: str, kana: str) -> str:
    """The last mora with its vowel replaced by a small kana's: キャ, シェ, ティ, ファ."""
    head = out[:-1]
    vowel = _GLIDES[kana]
    if kana in "ャュョ":
        if not head.endswith(("ʲ", *_HUSHED, "ɲ", "ç")):
            head += "ʲ"
    elif head.endswith("ʲ") and vowel != "e":
        head = head[:-1]
    elif out.endswith("ɯ") and not head.endswith(("ɸ", "v")):
        head = head + ("β" if not head or not head[-1].isalpha() or head[-1] in _VOWELS else "ᵝ")
    return head + vowel


def _nasals(phones: str) -> str:
    """ん as the nasal that the next sound makes of it."""
    phones = re.sub("ɴ(?=[pbm])", "m", phones)
    phones = re.sub("ɴ(?=[kɡ])", "ŋ", phones)
    return re.sub("ɴ(?=[tdnʦʣɾʨʥɲ])", "n", phones)


_INITIALS = {
    "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n", "l": "l", "g": "k",
    "k": "kʰ", "h": "x", "j": "ʨ", "q": "ʨʰ", "x": "ɕ", "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ",
    "r": "ɻ", "z": "ʦ", "c": "ʦʰ", "s": "s", "": "",
}  # fmt: skip
_FINALS = {
    "a": "a", "ai": "ai", "an": "an", "ang": "aŋ", "ao": "au", "e": "ɤ", "ei": "ei", "en": "ən",
    "eng": "əŋ", "er": "ɚ", "i": "i", "ia": "ja", "ian": "jɛn", "iang": "jaŋ", "iao": "jau",
    "ie": "je", "in": "in", "iou": "jou", "iu": "jou", "ing": "iŋ", "iong": "jʊŋ", "o": "wo",
    "ong": "ʊŋ", "ou": "ou", "u": "u", "ua": "wa", "uai": "wai", "uan": "wan", "uang": "waŋ",
    "uei": "wei", "ui": "wei", "uen": "wən", "un": "wən", "ueng": "wəŋ", "uo": "wo", "v": "y",
    "ve": "ɥe", "van": "ɥɛn", "vn": "yn",
}  # fmt: skip
_TONES: Mapping[str, str] = {"1": "→", "2": "↗", "3": "↓", "4": "↘"}


def mandarin(text: str) -> str:
    """Simplified characters as phones."""
    try:
        from pypinyin import Style, pinyin
    except ImportError as error:
        raise missing_extra("Mandarin", "train") from error
    each: Any = list  # other characters one by one
    initials = pinyin(text, style=Style.INITIALS, strict=True, errors=each)
    finals = pinyin(text, style=Style.FINALS_TONE3, strict=True, errors=each)
    out = ""
    for (initial,), (final,) in zip(initials, finals, strict=True):
        name, tone = final.rstrip("12345"), final[-1:]
        if name in _FINALS and initial in _INITIALS:
            whistled = name == "i" and initial in ("z", "c", "s", "zh", "ch", "sh", "r")
            vowel = "ɨ" if whistled else _FINALS[name]
            out += _INITIALS[initial] + vowel + _TONES.get(tone, "")
        else:
            out += _PAUSES.get(final, _PAUSES.get(initial, " "))
    return re.sub(r" +", " ", out).strip()
