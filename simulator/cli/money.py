"""Money as JSON keys and in words: what a cost rests on, how much of it nobody checked, how old its prices are."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from simulator.cli.words import number, percent, seconds
from simulator.costs.price_choice import NOT_STATED

if TYPE_CHECKING:
    from simulator.costs.amounts import Amount
    from simulator.costs.model_cost import ModelCost
    from simulator.costs.ownership import BreakEven, CostTerms
    from simulator.costs.price_choice import PriceList

__all__ = ["book_age", "break_even_words", "money_facts", "usd"]

KIND_WORDS = {"purchase": "bought", "ownership": "bought, housed and powered", "cloud": "rented by the hour"}


def usd(amount: float) -> str:
    """Write dollars: cents where they matter.

    Examples
    --------
    >>> usd(1234567.0), usd(2.436), usd(0.00123), usd(0.0)
    ('1,234,567', '2.44', '0.00123', '0')
    """
    if abs(amount) >= 1000 or amount == 0:
        return f"{amount:,.0f}"
    return f"{amount:,.2f}" if abs(amount) >= 0.1 else f"{amount:.3g}"


def money_facts(cost: ModelCost | None, amount: Amount | None) -> list[tuple[str, str]]:
    """Say what a cost rests on."""
    if cost is None or amount is None:
        return []
    from simulator.costs.model_cost import unverified_share

    used = list(cost.prices())
    dates = sorted({price.date for price, _ in used})
    dated = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    share = unverified_share(used) or 0.0
    ends = f"{usd(float(amount.low_usd))} to {usd(float(amount.high_usd))} USD" if amount.low_usd < amount.high_usd else ""
    facts = []
    if cost.total is not None:
        life = f"{cost.terms.life_s / (365.25 * 86400):.3g} years, used {percent(cost.terms.utilisation)} of the time"
        facts.append(("cluster", f"{usd(float(cost.total.usd))} USD, {KIND_WORDS[cost.terms.kind]}; {life}"))
    else:
        rent = used[0][0]
        whole = "each" if cost.units > 1 else "in all"
        facts.append(
            (
                "rent",
                f"{usd(rent.usd)} USD an hour {whole}, {rent.kind.replace('_', ' ')} ({rent.called}); {cost.units} at hand",
            )
        )
    facts.append(
        (
            "prices",
            f"of {'no stated date' if dated == NOT_STATED else dated}; {percent(share)} by prices nobody checked"
            + (f"; at their ends {ends} a model" if ends else ""),
        )
    )
    return facts


def book_age(prices: PriceList, today: datetime.date | None = None) -> str:
    """Say how old the price book is: its newest price, and the days since then."""
    newest = prices.newest
    if newest is None:
        return "the price book is empty"
    days = ((today or datetime.datetime.now(tz=datetime.UTC).date()) - newest).days
    age = f"{number(max(0, days))} days ago" if days < 730 else f"{days / 365.25:.1f} years ago"
    return f"the newest price of the book is of {newest.isoformat()}, {age}"


def break_even_words(found: BreakEven, terms: CostTerms) -> list[tuple[str, str]]:
    """Say which of renting and buying is cheaper at this use, and where both cost the same."""
    if found.hours == float("inf"):
        return [("rent or buy", "rent: an hour of power alone costs as much as a rented hour")]
    hours, used = float(found.hours), float(found.utilisation)
    ends = [float(found.low_hours), float(found.high_hours)]
    between = (
        f" ({' to '.join(number(round(end)) for end in ends)} at the ends of the prices)"
        if ends[0] < ends[1] < float("inf")
        else ""
    )
    cheaper = "rent" if found.rent_is_cheaper else "buy"
    equal = f"{number(round(hours))} hours of training{between}, {percent(used)} of {seconds(terms.life_s)}"
    return [
        ("rent or buy", f"{cheaper}, where it trains {percent(terms.utilisation)} of the time"),
        ("", f"both cost the same at {equal}" + (": never within its life" if used > 1 else "")),
        ("", f"or at a rent of {usd(float(found.usd_per_node_hour))} USD per node and hour"),
    ]
