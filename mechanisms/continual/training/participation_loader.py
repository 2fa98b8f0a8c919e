"""A data loader that tells a ledger which records it serves; otherwise it serves what the user's loader would."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler, SequentialSampler

from mechanisms.continual.training.ledger import ParticipationLedger
from mechanisms.continual.training.schedule import FixedOrder, Schedule
from mechanisms.errors import UnsupportedClaimError


class _WatchedBatches(Sampler[list[int]]):
    """Passes batches of indices on; without workers they are served as soon as they are drawn, with workers when the loader yields them."""

    def __init__(self, batches: Iterable[list[int]], ledger: ParticipationLedger, at_once: bool) -> None:
        self.batches, self.ledger, self.at_once = batches, ledger, at_once
        self.drawn: deque[list[int]] = deque()

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            indices = [int(index) for index in batch]
            if self.at_once:
                self.ledger.serve(indices)
            else:
                self.drawn.append(indices)
            yield indices

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]


class ParticipationLoader(DataLoader[object]):
    """The user's loader, watched.

    Parameters
    ----------
    loader : serves a data set of known size in batches of indices.
    ledger : is told of each batch.
    """

    def __init__(self, loader: DataLoader[object], ledger: ParticipationLedger) -> None:
        assert loader.batch_sampler is not None
        self.watched = _WatchedBatches(loader.batch_sampler, ledger, loader.num_workers == 0)
        super().__init__(
            dataset=loader.dataset,
            batch_sampler=self.watched,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            generator=loader.generator,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
        )

    def __iter__(self) -> Iterator[object]:  # type: ignore[override]
        """Serve the batches of one pass."""
        self.watched.drawn.clear()
        for batch in super().__iter__():
            if not self.watched.at_once:
                self.watched.ledger.serve(self.watched.drawn.popleft())
            yield batch


def require_schedule(loader: DataLoader[object], schedule: Schedule | None, n_steps: int) -> Schedule:
    """Return the schedule that the loader can keep; None stands for its own fixed order.

    Raises
    ------
    UnsupportedClaimError : Poisson sampling, no batches of indices, or an order that doesn't fit the schedule.
    ValueError : steps per epoch that aren't the loader's.
    """
    batches = loader.batch_sampler
    if type(batches).__name__ in ("UniformWithReplacementSampler", "DistributedUniformWithReplacementSampler"):
        raise UnsupportedClaimError(
            "the loader draws Poisson batches, where a record may take part in any steps, so no participation can be claimed; "
            "call make_private with poisson_sampling=False"
        )
    if batches is None or not hasattr(loader.dataset, "__len__"):
        raise UnsupportedClaimError("the loader must serve a data set of known size in batches of indices")
    order = batches.sampler if isinstance(batches, BatchSampler) else None
    changes = isinstance(order, RandomSampler)
    if schedule is None:
        if not isinstance(order, SequentialSampler | list):
            raise UnsupportedClaimError(
                "the order of the loader isn't known to be fixed; shuffle once, with sampler=torch.randperm(n).tolist(), "
                "or say participation=Participation(n_participations=epochs) and pay for it"
            )
        return FixedOrder(-(-n_steps // len(loader)), len(loader))
    if isinstance(schedule, FixedOrder) and changes:
        raise UnsupportedClaimError(
            "the loader shuffles anew in each epoch, so no fixed order can be claimed; shuffle once, with "
            "sampler=torch.randperm(n).tolist(), or say participation=Participation(n_participations=epochs)"
        )
    if isinstance(schedule, FixedOrder) and schedule.steps_per_epoch != len(loader):
        raise ValueError(f"steps_per_epoch must be {len(loader):,}, the loader's number of batches, got {schedule.steps_per_epoch:,}")
    return schedule
