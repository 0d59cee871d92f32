"""stub"""
from __future__ import annotations
from collections.abc import Iterable
from ..alignment.sounds import RATE, BandMeter
from ..performance import Performance
import numpy as np
def features_of(samples, model):
    rig = "articulation" if model.manifest.articulation else "units"
    s = model.session(rig=rig, fps=RATE, look_ahead_ms=None, performance=Performance(lips=False, blinks=False, settle=False))
    m = BandMeter(s.sample_rate); out=[]
    for i in range(0,len(samples),16000):
        m.push(samples[i:i+16000]); out.append(s.push_blocks(samples[i:i+16000])[0].values)
    out.append(s.flush_blocks()[0].values)
    c=np.concatenate(out)
    return np.hstack([c,m.finish(len(c))]), s.rig.names
