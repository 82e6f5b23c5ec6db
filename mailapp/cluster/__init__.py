"""The instances as operators see them: each keeps a heartbeat where all can read it.

`record` is what an instance says of itself, `registry` where, `heartbeat` when, and `pulse` what it
knows of its last minutes; `services`, `plots` and `views` make the operators' page of them all.
"""
