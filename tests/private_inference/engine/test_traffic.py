from __future__ import annotations

import pytest

from mechanisms.errors import EngineError
from private_inference.engine.traffic import read_traffic

LOG = """\
[2026-01-01 01:23:08.395] [info] [api.cc:172] [Profiling] SPU execution model completed, input processing took 1.6e-06s, \
execution took 0.036113991s, output processing took 3.1e-06s, total time 3.611873e-02s.
[2026-01-01 01:23:08.395] [info] [api.cc:220] HLO profiling: total time 0.0326
[2026-01-01 01:23:08.395] [info] [api.cc:223] - pphlo.reduce, executed 2 times, duration 0.018s, send bytes 71424 recv bytes 71425, \
send actions 40, recv actions 40
[2026-01-01 01:23:08.395] [info] [api.cc:223] - pphlo.dot_general, executed 1 times, duration 0.01s, send bytes 576 recv bytes 0, \
send actions 3, recv actions 0
[2026-01-01 01:23:08.395] [info] [api.cc:223] - pphlo.add, executed 1 times, duration 1e-05s, send bytes 0 recv bytes 0, \
send actions 0, recv actions 0
[2026-01-01 01:23:08.395] [info] [api.cc:220] MPC profiling: total time 0.0319
[2026-01-01 01:23:08.395] [info] [api.cc:223] - mul_aa, executed 8 times, duration 0.0018s, send bytes 131072 recv bytes 131072, \
send actions 8, recv actions 8
[2026-01-01 01:23:08.395] [info] [api.cc:233] Link details: total send bytes 72000, recv bytes 71425, send actions 43, recv actions 42
"""


def test_log_is_read():
    traffic = read_traffic("warming up\n" + LOG + "\nbye")
    assert (traffic.bytes_sent, traffic.bytes_received, traffic.messages) == (72000, 71425, 43)
    assert traffic.seconds == 0.03611873
    assert traffic.by_operation == {"reduce": 71424, "dot_general": 576}
    assert sum(traffic.by_operation.values()) == traffic.bytes_sent


@pytest.mark.parametrize("log", ["", "Link details: none", LOG + LOG, LOG.replace("SPU execution", "SPU compilation")])
def test_anything_but_one_run_is_an_error(log: str):
    with pytest.raises(EngineError, match="one run's statistics"):
        read_traffic(log)
