"""Numbers with their uncertainty."""
import numpy as np
from scipy import stats


def summary(values) -> dict[str, float]:
    """Mean, standard deviation and the 95 % confidence interval of the mean (Student's t) of n independent values.

    Args:
        values: (n,), anything that numpy reads, n >= 2.
    Returns:
        {"mean", "std", "low", "high", "n"}, rounded to 4 decimals.
    """
    values = np.asarray(values, dtype=np.float64)
    mean, std = values.mean(), values.std(ddof=1)
    half = stats.t.ppf(0.975, len(values) - 1) * std / len(values) ** 0.5
    return {name: round(float(v), 4) for name, v in
            {"mean": mean, "std": std, "low": mean - half, "high": mean + half}.items()} | {"n": len(values)}
