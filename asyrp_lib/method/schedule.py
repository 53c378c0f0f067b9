"""The noise schedule ᾱ_t and explicit time grids.

The paper writes α_t for the cumulative product that the DDPM literature calls ᾱ_t.  t = −1: no noise, ᾱ = 1.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import check
from ..errors import GridError, WeightsError

#: Steps of the longest schedule; more are a damaged configuration, not a model.
LONGEST = 100_000


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """ᾱ_t for t = 0 … T − 1: (T,) float64, falling, in (0, 1) (Asyrp Eq. 1; Ho et al. 2020, Eq. 4)."""

    alphas_cumprod: Tensor

    def __post_init__(self):
        a = self.alphas_cumprod
        check.kind("ᾱ", a, Tensor, "a tensor (T,)")
        falls = ((a > 0) & (a < 1)).all() and (a.diff(dim=0) < 0).all() if a.ndim == 1 else False
        if not falls or not 1 <= len(a) <= LONGEST:
            raise WeightsError(
                f"The noise schedule has ᾱ of shape {tuple(a.shape)} that do not fall from below 1 to above "
                f"0; expected 1 to {LONGEST} falling values; choose another checkpoint."
            )

    @classmethod
    def linear(
        cls, num_train_timesteps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02
    ) -> "NoiseSchedule":
        """β_t rising linearly, the schedule of every backbone in the paper."""
        return cls.from_betas(torch.linspace(beta_start, beta_end, num_train_timesteps, dtype=torch.float64))

    @classmethod
    def from_betas(cls, betas: Tensor) -> "NoiseSchedule":
        """ᾱ_t = Π (1 − β_s), accumulated in float64, of betas (T,) in (0, 1), else WeightsError: β = 1 would
        leave no signal at T, where ε could not give P_t."""
        check.kind("β", betas, Tensor, "a tensor (T,)")
        if not bool(((betas > 0) & (betas < 1)).all()):
            raise WeightsError("The noise schedule has a β outside (0, 1); expected none; get another one.")
        return cls(torch.cumprod(1 - betas.double(), 0))

    @classmethod
    def from_config(cls, config: dict) -> "NoiseSchedule":
        """The schedule of a diffusers scheduler configuration; WeightsError: another kind than below."""
        try:
            if config.get("trained_betas") is not None:
                return cls.from_betas(torch.as_tensor(config["trained_betas"], dtype=torch.float64))
            kind, length = config.get("beta_schedule", "linear"), config.get("num_train_timesteps", 1000)
            first, last = float(config.get("beta_start", 1e-4)), float(config.get("beta_end", 0.02))
        except (TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise WeightsError(
                f"The scheduler configuration is damaged ({error}); expected numbers; get it again."
            ) from error
        check.whole("num_train_timesteps", length, 1, LONGEST, error=WeightsError)
        if kind == "linear":
            return cls.linear(length, first, last)
        if kind == "scaled_linear":
            return cls.from_betas(torch.linspace(first**0.5, last**0.5, length, dtype=torch.float64) ** 2)
        if kind == "squaredcos_cap_v2":
            phase = (torch.arange(length + 1, dtype=torch.float64) / length + 0.008) / 1.008
            signal = torch.cos(phase * math.pi / 2) ** 2  # Nichol & Dhariwal 2021, Eq. 17
            return cls.from_betas((1 - signal[1:] / signal[:-1]).clamp(max=0.999))
        raise WeightsError(
            f"The scheduler config names the schedule {kind!r}; expected linear, scaled_linear, "
            "squaredcos_cap_v2 or trained_betas; give its betas as trained_betas."
        )

    def shifted(self, factor: float) -> "NoiseSchedule":
        """The schedule whose signal-to-noise ratio ᾱ/(1−ᾱ) is `factor` > 0 times as large at every t.

        A linear schedule made for 256 px hides a small image early; with (256/R)² t means the same at R px.
        Source: Hoogeboom et al. 2023, "simple diffusion", Sec. 3.1.
        """
        if not check.number("factor", factor, -1e9, 1e9) > 0:
            raise WeightsError(
                f"The schedule was to be shifted by {factor}; expected a positive number, e.g. (256 / R)²."
            )
        a = self.alphas_cumprod
        return NoiseSchedule(factor * a / (1 - a + factor * a))

    def __len__(self) -> int:
        return len(self.alphas_cumprod)

    def alpha_bar(self, t: int) -> float:
        """ᾱ_t of one time, 1 for t = −1; GridError: t outside −1 … T − 1."""
        check.whole("t", t, -1, len(self) - 1)
        return 1.0 if t == -1 else float(self.alphas_cumprod[t])

    def alpha_bar_at(self, t: Tensor, like: Tensor) -> Tensor:
        """ᾱ_t of times (B,) int64, 1 where t = −1, as (B, 1, 1, 1) with the dtype and device of `like`."""
        table = torch.cat([self.alphas_cumprod, torch.ones(1).double()])  # so that index −1 is t = −1
        return table[t.cpu()][:, None, None, None].to(like)


def time_grid(steps: int, t_max: int = 999) -> list[int]:
    """`steps` times (1 … t_max + 1, else GridError) from 0 to `t_max`, ascending: an even spacing, truncated.

    The official implementation's; truncation matters: 18 of 40 times differ from rounding.
    """
    steps = check.whole("steps", steps, 1, t_max + 1)
    spacing = torch.linspace(0, 1, steps, dtype=torch.float64) * t_max + 1e-6
    return spacing.long().tolist()


def generation_pairs(grid: list[int]) -> list[tuple[int, int]]:
    """(t, t_next) from the top of an ascending grid down; the last pair is (grid[0], −1)."""
    return list(zip(grid[::-1], grid[-2::-1] + [-1]))


def inversion_pairs(grid: list[int]) -> list[tuple[int, int]]:
    """(t, t_next) from the bottom of an ascending grid up."""
    return list(zip(grid[:-1], grid[1:]))


def interval_pairs(steps: int, t_edit: int, T: int = 1000, *, last: bool = False) -> list[tuple[int, int]]:
    """Pairs (t, t') of a generation in `steps` steps with t >= t_edit; GridError where there are none.

    `last`: the last pair goes to t' = −1, as in training, and not on along the grid.
    """
    pairs = [(t, t_next) for t, t_next in generation_pairs(time_grid(steps, T - 1)) if t >= t_edit]
    if not pairs:
        raise GridError(
            f"t_edit = {t_edit} leaves no step of a {steps}-step grid; expected 0 … {T - 1}; lower t_edit."
        )
    return [*pairs[:-1], (pairs[-1][0], -1)] if last else pairs
