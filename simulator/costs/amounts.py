"""An amount of money with the ends of its range, of one design or of many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.quantities import ArrayLike, FloatArray

__all__ = ["Amount"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Amount:
    """Dollars, with every price at its low end and at its high end; NaN where a part has no price.

    Parameters
    ----------
    usd, low_usd, high_usd : float or ndarray
        Dollars; low <= usd <= high.
    """

    usd: FloatArray
    low_usd: FloatArray
    high_usd: FloatArray

    @classmethod
    def certain(cls, usd: ArrayLike) -> Amount:
        """Return an amount without a range."""
        return cls.between(usd, usd, usd)

    @classmethod
    def between(cls, usd: ArrayLike, low_usd: ArrayLike, high_usd: ArrayLike) -> Amount:
        """Return an amount with the ends of its range."""
        value, low, high = (np.asarray(item, dtype=np.float64)[()] for item in (usd, low_usd, high_usd))
        return cls(usd=value, low_usd=low, high_usd=high)

    def __add__(self, other: Amount) -> Amount:
        """Add two amounts, end by end."""
        return Amount(usd=self.usd + other.usd, low_usd=self.low_usd + other.low_usd, high_usd=self.high_usd + other.high_usd)

    def times(self, factor: ArrayLike) -> Amount:
        """Multiply by a factor >= 0.

        Examples
        --------
        >>> Amount(usd=2.0, low_usd=1.0, high_usd=3.0).times([1, 2]).high_usd
        array([3., 6.])
        """
        f = np.asarray(factor, dtype=np.float64)
        return Amount(usd=self.usd * f, low_usd=self.low_usd * f, high_usd=self.high_usd * f)
