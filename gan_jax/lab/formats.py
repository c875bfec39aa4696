"""Numbers as a table shows them: three significant digits, thousands separated, a real minus sign; absent is a dash."""

import math
from collections.abc import Mapping
from typing import Any

ABSENT = "—"


def number(value: float | str | None) -> str:
  """Three significant digits, whole numbers as they are: number(4.962) = "4.96", number(5) = "5", number(inf) = "∞"."""
  if value is None:
    return ABSENT
  value = float(value)
  if value == round(value, 0) if math.isfinite(value) else False:
    return f"{value:,.0f}"
  return digits(value)


def digits(value: float | str | None) -> str:
  """Three significant digits, zeros kept: digits(5) = "5.00", digits(.25) = "0.250", digits(0) = "0"."""
  if value is None:
    return ABSENT
  value = float(value)
  if not math.isfinite(value):
    return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
  size = abs(value)
  if size == 0:
    return "0"
  if size < 1e-3:
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")
  return f"{value:,.{_decimals(value, 3)}f}".replace("-", "−")


def _decimals(value: float, significant: int) -> int:
  """How many decimals show that many digits of the value."""
  if value == 0:
    return significant - 1
  return max(0, significant - 1 - math.floor(math.log10(float(f"{abs(value):.{significant - 1}e}"))))


def short(value: float | None) -> str:
  """A count at a glance: 1,920,000 is 1.92M."""
  if value is None:
    return ABSENT
  for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
    if abs(value) >= unit:
      return f"{value / unit:.3g}{name}"
  return f"{value:.3g}"


def probability(p: float) -> str:
  return "NaN" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def mean_sd(part: Mapping[str, Any]) -> str:
  """The mean to three digits, and in brackets the standard deviation to as many decimals, one digit at least."""
  mean, sd = float(part["mean"]), float(part["sd"] if part["sd"] is not None else math.nan)
  if len(part["values"]) < 2 or not math.isfinite(mean) or not math.isfinite(sd) or 0 < abs(mean) < 1e-3:
    return digits(mean) + (f" ({digits(sd)})" if len(part["values"]) > 1 and math.isfinite(mean) else "")
  decimals = max(_decimals(mean, 3), min(_decimals(sd, 1), 5) if sd else 0)
  return f"{mean:,.{decimals}f} ({sd:,.{decimals}f})".replace("-", "−") if sd else f"{digits(mean)} (0)"
