"""All pairs: few combinations of settings in which any two settings meet in all their values.

Most faults need one value or two that meet (Kuhn, Wallace, Gallo: Software Fault Interactions, 2004); to try all
combinations would take years.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

Choice = tuple[str, str]
Pair = frozenset[Choice]


def every_pair(factors: Mapping[str, Sequence[str]]) -> set[Pair]:
    """Any two values of two factors: ``{("ipv6", "yes"), ("cache", "no")}``."""
    named = [[(factor, value) for value in values] for factor, values in factors.items()]
    return {frozenset((one, other)) for mine, theirs in combinations(named, 2) for one in mine for other in theirs}


def all_pairs(factors: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Combinations, factor -> value, that hold every pair. The same factors make the same list.

    Greedy: each combination begins with a pair that is missing yet, and each further factor takes the value that
    brings the most of those.
    """
    missing = dict.fromkeys(sorted(every_pair(factors), key=sorted))
    found = []
    while missing:
        chosen = dict(sorted(next(iter(missing))))
        for factor in sorted(factors, key=lambda name: -len(factors[name])):
            if factor not in chosen:
                chosen[factor] = max(factors[factor], key=lambda value: _gain(missing, chosen, (factor, value)))
        for pair in pairs_of(chosen):
            missing.pop(pair, None)
        found.append({factor: chosen[factor] for factor in factors})
    return found


def pairs_of(combination: Mapping[str, str]) -> Iterator[Pair]:
    return (frozenset(pair) for pair in combinations(combination.items(), 2))


def _gain(missing: Mapping[Pair, None], chosen: Mapping[str, str], new: Choice) -> int:
    """How many missing pairs a value makes with those that are chosen."""
    return sum(frozenset((choice, new)) in missing for choice in chosen.items())
