"""Scenarios: files to models. `load_scenario` reads and checks one; `Case.of` gives the model that a verb asks.

sections.py is the format (with workload_section.py, cluster_sections.py and verb_sections.py), inheritance.py lays profiles
in and resolve.py options over, rules.py holds the rule table, cases.py builds the models, effects.py says what had no effect
and how sure the answer is, explain.py says where every number comes from.
"""

from simulator.scenarios.cases import Case
from simulator.scenarios.resolve import Scenario, load_scenario

__all__ = ["Case", "Scenario", "load_scenario"]
