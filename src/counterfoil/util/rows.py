"""Rows of a batch that is being optimised: those that are finished leave it, others take their places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adadelta, Adam, AdamW, Optimizer, RMSprop

from counterfoil.core.errors import UserError

MakeOptimizer = Callable[[list[Tensor]], Optimizer]
COUNTLESS = (SGD, RMSprop, Adadelta)
"""Optimisers whose move does not depend on how many moves went before."""
PLAIN = ("amsgrad", "maximize", "capturable", "differentiable", "fused", "foreach", "momentum", "nesterov")
"""Options that must be off where the move is worked out here."""


class RowOptimizer:
    """A torch optimiser of tensors (B, ...) whose rows begin and end at different times.

    Every row moves as it would alone, from the moment at which it came. Adam and SGD without momentum are
    worked out here, with a count of moves per row: while all rows have made as many, bit for bit as torch
    does on the CPU, and in fewer operations. Any other optimiser is torch's own. Groups of parameters may
    hold "pace", their step size as a function of the moves made, and "since", the moves before their first.

    Args:
        make: makes the optimiser of a list of tensors; its state must be elementwise.
        variables: tensors (B, ...) by name; those that need a gradient are moved.
        moves: largest number of moves of a row.
        mixed: whether rows will come in later than others.

    Raises:
        UserError: `mixed` with an optimiser that counts its moves for all rows together.
    """

    def __init__(
        self, make: MakeOptimizer, variables: Mapping[str, Tensor], moves: int, mixed: bool = False
    ) -> None:
        self.optimizer = make([value for value in variables.values() if value.requires_grad])
        self.moves = moves
        self.made: int | Tensor = 0
        self._move = _move_of(self.optimizer)
        self._tables: dict[int, Tensor] = {}
        if mixed and self._move is None and not _countless(self.optimizer):
            raise UserError(
                f"refill: {type(self.optimizer).__name__} counts its steps for all rows alike, so none can "
                "come in later; take Adam, AdamW, SGD, RMSprop or Adadelta at their defaults, or refill=null"
            )

    @torch.no_grad()
    def step(self) -> None:
        """Move every tensor that has a gradient."""
        if self._move is None:
            self.optimizer.step()
        else:
            for i, group in enumerate(self.optimizer.param_groups):
                for value in group["params"]:
                    if value.grad is not None:
                        self._move(value, self.optimizer.state[value], group, *self._rates(i, group, value))
        self.made = self.made + 1

    def turn_over(
        self, variables: Mapping[str, Tensor], rows: Tensor, fresh: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Keep `rows` (int64) and put `fresh` rows, not moved yet, behind them; returns the new leaves."""
        if isinstance(self.made, Tensor):
            self.made = self.made[rows]
        if fresh:
            made = self.made if isinstance(self.made, Tensor) else torch.full_like(rows, self.made)
            self.made = torch.cat([made, made.new_zeros(len(next(iter(fresh.values()))))])
        return take_rows(self.optimizer, variables, rows, fresh)

    def _rates(self, i: int, group: dict[str, Any], value: Tensor) -> tuple[Any, Any]:
        """Step size and root of the second correction, as numbers or as tensors (B, 1, ...)."""
        if isinstance(self.made, int):
            return _rates(group, self.made)
        if i not in self._tables:
            table = [_rates(group, made) for made in range(self.moves)]
            self._tables[i] = torch.tensor(table, dtype=value.dtype, device=value.device)
        rates = self._tables[i][self.made.clamp(max=self.moves - 1)]
        return tuple(column.view(-1, *[1] * (value.ndim - 1)) for column in rates.unbind(1))  # type: ignore[return-value]


def take_rows(
    optimizer: Optimizer,
    variables: Mapping[str, Tensor],
    rows: Tensor,
    fresh: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Keep only `rows` of every variable and of the optimiser's elementwise state; returns the new leaves.

    Rows of `fresh` come behind them, with a state of zeros.
    """
    kept: dict[str, Tensor] = {}
    replaced: dict[Tensor, Tensor] = {}
    for name, value in variables.items():
        now = value.detach()[rows]
        now = torch.cat([now, fresh[name].detach()]) if fresh else now
        kept[name] = replaced[value] = now.requires_grad_(value.requires_grad)
    for group in optimizer.param_groups:
        group["params"] = [replaced[old] for old in group["params"]]
    for old, new in replaced.items():
        state = optimizer.state.pop(old, None)
        if state is not None:
            optimizer.state[new] = {
                key: _padded(entry[rows], len(new))
                if isinstance(entry, Tensor) and entry.shape == old.shape
                else entry
                for key, entry in state.items()
            }
    return kept


def _padded(value: Tensor, rows: int) -> Tensor:
    """Zeros behind the rows of a tensor, up to so many rows."""
    if len(value) == rows:
        return value
    return torch.cat([value, value.new_zeros(rows - len(value), *value.shape[1:])])


def _rates(group: Mapping[str, Any], made: int) -> tuple[float, float]:
    """Step size and root of the second correction of a move after `made` others; (0, 1) while held back."""
    count = made + 1 - group.get("since", 0)
    if count < 1:
        return 0.0, 1.0
    rate = float(group["pace"](made) if "pace" in group else group["lr"])
    if "betas" not in group:
        return rate, 1.0
    first, second = group["betas"]
    return rate / (1 - first**count), (1 - second**count) ** 0.5


def _adam(value: Tensor, state: dict[str, Any], group: Mapping[str, Any], size: Any, root: Any) -> None:
    """A move of Adam; in rows that are held back, whose size is 0, the state stays as it is, zero."""
    gradient: Tensor = value.grad  # type: ignore[assignment]
    if "since" in group:
        if isinstance(size, float) and not size:
            return
        gradient = gradient if isinstance(size, float) else torch.where(size > 0, gradient, 0)
    if not state:
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(value), torch.zeros_like(value)
    (first, second), mean, square = group["betas"], state["exp_avg"], state["exp_avg_sq"]
    mean.lerp_(gradient, 1 - first)
    square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
    apart = (square.sqrt() / root).add_(group["eps"])
    if isinstance(size, float):
        value.addcdiv_(mean, apart, value=-size)
    else:
        value.addcdiv_(mean * -size, apart)


def _descend(value: Tensor, state: dict[str, Any], group: Mapping[str, Any], size: Any, root: Any) -> None:
    """A move of plain gradient descent."""
    gradient: Tensor = value.grad  # type: ignore[assignment]
    if isinstance(size, float):
        value.add_(gradient, alpha=-size)
    else:
        value.addcmul_(gradient, size, value=-1)


def _move_of(optimizer: Optimizer) -> Callable[..., None] | None:
    """The move of an optimiser as it is worked out here; None: torch's own is taken."""
    groups = optimizer.param_groups
    plain = not any(group.get(option) for group in groups for option in (*PLAIN, "weight_decay"))
    hooked = bool(getattr(optimizer, "_optimizer_step_pre_hooks", None))
    told = all("pace" in group or "since" in group for group in groups)  # what its hook does
    numbers = not any(isinstance(group["lr"], Tensor) for group in groups)
    if not plain or not numbers or (hooked and not told):
        return None
    return {Adam: _adam, AdamW: _adam, SGD: _descend}.get(type(optimizer))


def _countless(optimizer: Optimizer) -> bool:
    hooked = bool(getattr(optimizer, "_optimizer_step_pre_hooks", None))
    damped = any(group.get("dampening") for group in optimizer.param_groups)
    return type(optimizer) in COUNTLESS and not hooked and not damped
