"""MST and AIM, the public mechanisms of the repository ryan112358/mbi, asked side by side: codes go in as npz, synthetic codes come out.

They live in an environment of their own with mbi, networkx and pandas; nothing of them is imported here. They account in zCDP for one row
more or less, so they are to be compared with our `ADD_REMOVE` at the same epsilon and delta.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
DRIVER = Path(__file__).with_name("mbi_driver.py")
PYTHON = ROOT / ".mbi-venv" / "bin" / "python"
METHODS = ("mst", "aim")
ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_COMPILATION_CACHE": "false",
}
Codes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class MbiPeer:
    """Where the peer is, and how long it may take.

    Parameters
    ----------
    mechanisms : folder with mst.py and aim.py.
    python : the interpreter of its environment.
    most_cpu_seconds : a run that takes longer is ended by the operating system.
    """

    mechanisms: Path
    python: Path = PYTHON
    most_cpu_seconds: int = 1500

    def ask(self, mechanism: str, codes: Codes, sizes: tuple[int, ...], *, epsilon: float, delta: float, seed: int) -> tuple[Codes, float]:
        """Return synthetic codes and CPU seconds.

        Raises
        ------
        RuntimeError : the peer failed, or took too long.
        """
        with tempfile.TemporaryDirectory() as folder:
            question, answer = Path(folder, "question.npz"), Path(folder, "answer.npz")
            np.savez(question, codes=codes, sizes=sizes, mechanism=mechanism, epsilon=epsilon, delta=delta, seed=seed)
            done = subprocess.run(
                [self.python, "-W", "ignore", DRIVER, self.mechanisms, question, answer],
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": ""},
                preexec_fn=self._limit,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode < 0:
                raise RuntimeError(f"{mechanism} was ended by signal {-done.returncode}, at most {self.most_cpu_seconds} CPU seconds")
            if done.returncode > 0:
                raise RuntimeError(f"{mechanism} failed: {done.stderr.strip().splitlines()[-1]}")
            found = np.load(answer)
            return found["codes"], float(found["cpu_seconds"])

    def _limit(self) -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (self.most_cpu_seconds, self.most_cpu_seconds + 5))
