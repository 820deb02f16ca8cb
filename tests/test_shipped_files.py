"""Every shipped file loads, says where each figure comes from, and answers."""

from __future__ import annotations

import csv
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from simulator.costs.price_book import Price, first_day, load_price_book, prices_for
from simulator.profiles import PROFILE_KINDS, load_profile, names, shipped_folder
from simulator.scenarios import load_scenario
from simulator.scenarios.costing import fitting_switches
from simulator.scenarios.inheritance import load_workload
from tests.mutations import leaves
from tests.samples import RUN, SAMPLES
from tests.support import HARDWARE, ROOT, SCENARIOS, assert_sound, command, written

TOML_FILES = sorted([*SCENARIOS.rglob("*.toml"), *HARDWARE.rglob("*.toml")])
HARDWARE_FILES = sorted(HARDWARE.rglob("*.toml"))
WORKLOADS = sorted((SCENARIOS / "workloads").glob("*.toml"))
EVERY = sorted(SCENARIOS.glob("*.toml"))
ALLOCATIONS = [path for path in EVERY if "\n[allocate]\n" in path.read_text(encoding="utf-8")]
CONTINUOUS = [path for path in EVERY if "\n[design.continuous]\n" in path.read_text(encoding="utf-8")]
RUNS = [path for path in EVERY if path not in (*ALLOCATIONS, *CONTINUOUS)]
WORDS = {"schema", "name", "title", "kind", "vendor", "released", "unit", "sample_unit", "fabric", "latency_kind", "notes"}
DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


def ids(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", TOML_FILES, ids=ids(TOML_FILES))
def test_a_file_begins_with_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert tomllib.loads(text)["schema"] == 1
    assert text.endswith("\n")
    assert "\t" not in text
    assert "\r" not in text


@pytest.mark.parametrize("path", HARDWARE_FILES, ids=ids(HARDWARE_FILES))
def test_every_figure_of_a_hardware_profile_has_source_date_and_verified(path: Path) -> None:
    kind = path.parent.name
    assert kind in PROFILE_KINDS
    profile, records = load_profile(kind, path.stem)
    assert profile.name == path.stem
    figures = [key for key in records if key not in WORDS | {"source", "date", "verified"}]
    assert figures
    for key in figures:
        record = records[key]
        assert record.source, key
        assert record.date, key
        assert DATE.fullmatch(record.date), key
        assert isinstance(record.verified, bool), key


@pytest.mark.parametrize("path", HARDWARE_FILES, ids=ids(HARDWARE_FILES))
def test_what_comes_from_memory_is_not_called_checked(path: Path) -> None:
    _, records = load_profile(path.parent.name, path.stem)
    for key, record in records.items():
        if record.source and "from memory" in record.source:
            assert record.verified is False, key


@pytest.mark.parametrize("path", WORKLOADS, ids=ids(WORKLOADS))
def test_every_figure_of_a_workload_has_source_date_and_verified(path: Path) -> None:
    tree, records = load_workload(path.stem, ROOT, [])
    assert tree["name"] == path.stem
    for parts, value in leaves(tree):
        key = ".".join(map(str, parts))
        if isinstance(value, int | float | list) and not isinstance(value, bool) and parts[-1] != "schema":
            record = records[key]
            assert record.source, key
            assert record.date, key
            assert DATE.fullmatch(record.date), key
            assert isinstance(record.verified, bool), key


@pytest.mark.parametrize(("kind", "fewest"), [("accelerators", 12), ("networks", 8), ("nodes", 8), ("switches", 6)])
def test_the_shelf_holds_enough_to_choose_from(kind: str, fewest: int) -> None:
    assert len(names(kind)) >= fewest


def test_an_id_belongs_to_one_shelf() -> None:
    """An item of the price book is looked up by its id alone."""
    every = [name for kind in PROFILE_KINDS for name in names(kind)]
    assert len(set(every)) == len(every)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name) for name in every)


def test_a_latency_says_what_it_is_the_latency_of() -> None:
    for name in names("networks"):
        network, _ = load_profile("networks", name)
        assert (network.latency_s is None) == (network.latency_kind is None), name


def test_a_node_holds_an_accelerator_that_is_shipped() -> None:
    for path in sorted((HARDWARE / "nodes").glob("*.toml")):
        node, _ = load_profile("nodes", path.stem)
        chip, _ = load_profile("accelerators", node.accelerator)
        assert chip.name == node.accelerator


def test_a_workload_is_timed_on_accelerators_that_are_shipped() -> None:
    for path in WORKLOADS:
        tree, _ = load_workload(path.stem, ROOT, [])
        for accelerator in tree["compute"]:
            if accelerator != "from_flops":
                load_profile("accelerators", accelerator)


@pytest.mark.parametrize("path", RUNS, ids=ids(RUNS))
@pytest.mark.parametrize("verb", ["run", "optimum", "scale", "explain"])
def test_a_scenario_answers(path: Path, verb: str) -> None:
    by_name, by_path = command(verb, path.stem, "--json"), command(verb, path, "--json")
    assert by_name.status == 0, by_name.err
    assert by_name.answer == by_path.answer
    if verb != "explain":
        assert_sound(by_name.answer)
    text = command(verb, path.stem)
    assert text.status == 0
    assert text.out


@pytest.mark.parametrize("path", ALLOCATIONS, ids=ids(ALLOCATIONS))
def test_an_allocation_answers(path: Path) -> None:
    (line,) = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#   learnersim ")]
    _, verb, named, *flags = shlex.split(line.removeprefix("#   "))
    assert (verb, (ROOT / named).resolve()) == ("allocate", path)
    found = command("allocate", path.stem, *flags, "--json", "--workers", "1")
    assert found.status == 0, found.err
    assert_sound(found.answer)
    assert all(row["mean_completion_s"] >= row["lower_bound_completion_s"] for row in found.answer["summary"])


@pytest.mark.parametrize("path", RUNS, ids=ids(RUNS))
def test_every_option_of_a_scenario_answers(path: Path) -> None:
    for option in tomllib.loads(path.read_text(encoding="utf-8")).get("option", []):
        for verb in ("run", "optimum", "scale", "explain"):
            found = command(verb, path.stem, "--option", option["name"], "--json")
            assert found.status == 0, found.err


@pytest.mark.parametrize("path", EVERY, ids=ids(EVERY))
def test_every_number_of_a_scenario_that_was_measured_says_where(path: Path) -> None:
    scenario = load_scenario(path.stem)
    for key in scenario.own_keys:
        if key.startswith(("reduce.", "cost.")) and not key.endswith(".kind"):
            assert scenario.records[key].source, key
            assert scenario.records[key].date, key


@pytest.mark.parametrize("path", RUNS, ids=ids(RUNS))
def test_the_command_in_the_comment_is_right(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#   learnersim "):
            _, verb, named, *flags = shlex.split(line.removeprefix("#   "))
            assert (ROOT / named).resolve() == path
            assert command(verb, path, *flags).status == 0


@pytest.mark.parametrize("path", CONTINUOUS, ids=ids(CONTINUOUS))
def test_a_design_of_real_numbers_answers_and_says_where_its_numbers_come_from(path: Path) -> None:
    (line,) = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#   learnersim ")]
    _, verb, named, *flags = shlex.split(line.removeprefix("#   "))
    assert (verb, (ROOT / named).resolve()) == ("design", path)
    found = command("design", path.stem, *flags, "--json")
    assert found.status == 0, found.err
    assert found.answer["optimality"]["equal_within"] < 1e-6
    records = load_scenario(path.stem).records
    priced = ("usd", "usd_per_learner", "price_exponent", "w", "w_per_learner", "power_exponent")
    figures = [key for key in records if key.startswith("design.continuous.") and key.rsplit(".", 1)[-1] in priced]
    assert figures
    for key in figures:
        record = records[key]
        assert record.source, key
        assert record.date, key
        assert record.verified is not None, key


DESIGNS = [path for path in RUNS if "\n[design]\n" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", DESIGNS, ids=ids(DESIGNS))
def test_what_a_shipped_design_may_choose_is_shipped_and_has_a_price(path: Path) -> None:
    choose = tomllib.loads(path.read_text(encoding="utf-8"))["design"]["choose"]
    for name in choose["node"]:
        load_profile("nodes", name)
        assert prices_for(PRICES, name, "node"), name
    for name in choose["network"]:
        switches = fitting_switches(load_profile("networks", name)[0])
        assert any(prices_for(PRICES, switch.name, "switch") for switch in switches), name


def test_the_shipped_question_rent_or_buy_is_answered_rent() -> None:
    """Cost of the same training on the same nodes, and what `bom` says of the cluster."""
    rented, bought = (command("run", "rent-or-buy", "--option", name, "--json").answer for name in ("rented", "bought"))
    assert rented["converge_time_s"] == bought["converge_time_s"]
    assert rented["cost_usd"] < bought["cost_usd"]
    assert rented["cost_usd_price_range"][1] < bought["cost_usd_price_range"][0]  # at whatever end of the prices
    even = command("bom", "rent-or-buy", "--json").answer["break_even"]
    assert even["cheaper"] == "rent"
    assert command("design", "rent-or-buy", "--json").answer["break_even"] == even  # the same eight nodes
    words = " ".join(command("design", "rent-or-buy").out.split())
    assert "instead renting is cheaper at a rent of 27.52 USD a node and hour (on demand), where it trains 10 % of the" in words


def test_the_shipped_purchases_have_a_total() -> None:
    for name in ("h100-64-nodes", "small-lab", "rent-or-buy"):
        found = command("bom", name, "--json").answer
        assert found["total_usd"] > 0
        assert found["over_life"]["total_usd"] > found["total_usd"]
    # 64 servers, 16 leaves and 8 spines of a published cluster, and cabling per end port
    sixty_four = command("bom", "h100-64-nodes", "--json").answer
    assert sixty_four["total_usd"] == pytest.approx(64 * 255_237.04 + 24 * 50_000 + 512 * 2_560)
    assert command("run", "small-lab", "--json").answer["cluster_usd"] < 100_000


@pytest.mark.parametrize("text", [RUN, SAMPLES["sweep"]])
@pytest.mark.parametrize("verb", ["run", "optimum", "scale", "explain"])
def test_a_file_with_sections_of_other_verbs_answers_this_one(tmp_path: Path, verb: str, text: str) -> None:
    found = command(verb, written(tmp_path, text), "--json")
    assert found.status == 0, found.err


def test_a_file_of_the_format_may_hold_every_section(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    for text in SAMPLES.values():
        found |= tomllib.loads(text)
    assert set(found) >= {
        "simulate",
        "design",
        "compare",
        "allocate",
        "sweep",
        "option",
        "job",
        "network",
        "cost",
        "cross_validation",
    }


@pytest.mark.parametrize("path", sorted((SCENARIOS / "measurements").glob("*.csv")), ids=lambda path: path.name)
def test_measurements_have_a_source_and_a_licence_in_every_row(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        assert row["source"]
        assert row["licence"]


PRICES = load_price_book(HARDWARE / "prices.csv")


def priced(price: Price) -> str:
    return f"{price.item} {price.scope} {price.kind} {price.date}"


def test_the_shipped_price_book_is_found_where_profiles_are() -> None:
    assert load_price_book(shipped_folder("hardware_profiles") / "prices.csv") == PRICES
    assert len(PRICES) >= 100


@pytest.mark.parametrize("price", PRICES, ids=priced)
def test_a_price_is_of_something_shipped(price: Price) -> None:
    """The item is the id of a shipped profile of the right shelf.

    chip: an accelerator that is no board; board: an accelerator that is one, or a node, whose board it then is; node, switch:
    theirs; instance_hour: a node in a cloud (the instance) or an accelerator (one of them, in an instance); nic and cable: a
    network, and for what no profile describes (transceivers, cabling per port) the id of a network, a dash and a word.
    """
    chips = set(names("accelerators"))
    boards = {name for name in chips if load_profile("accelerators", name)[0].unit == "board"}
    clouds = {name for name in names("nodes") if name.startswith(("aws-", "azure-", "gcp-"))}
    allowed = {
        "chip": chips - boards,
        "board": boards | set(names("nodes")) - clouds,
        "node": set(names("nodes")) - clouds,
        "switch": set(names("switches")),
        "instance_hour": clouds | chips - boards,
        "nic": set(names("networks")),
        "cable": set(names("networks")),
    }[price.scope]
    free = price.scope == "cable" and any(price.item.startswith(f"{name}-") for name in allowed)
    assert price.item in allowed or free
    if free:
        assert price.notes


@pytest.mark.parametrize("price", [price for price in PRICES if price.scope == "instance_hour"], ids=priced)
def test_what_can_be_taken_away_or_is_committed_to_is_not_on_demand(price: Price) -> None:
    text = f"{price.notes} {price.source}".lower()
    for words, kind in ((("spot", "zones"), "spot"), (("capacity block", "1 year", "3 years", "reserved cluster"), "reserved")):
        if any(word in text for word in words):
            assert price.kind == kind
    if price.kind == "reserved":
        assert any(term in text for term in ("1 year", "3 years", "short reserved term", "no term given"))


def test_a_spot_price_is_below_the_price_on_demand() -> None:
    compared = 0
    for spot in (price for price in PRICES if price.kind == "spot"):
        for other in prices_for(PRICES, spot.item, kind="on_demand"):
            assert spot.price < other.price, priced(spot)
            compared += 1
    assert compared >= 8


def test_a_share_of_a_system_is_not_sold_as_a_chip() -> None:
    """A list that divides systems by eight would make a chip cost exactly an eighth of a system, and more than a chip does."""
    compared = 0
    for name in names("nodes"):
        node, _ = load_profile("nodes", name)
        for chip in prices_for(PRICES, node.accelerator, "chip"):
            assert not re.search(r"\b(dgx|hgx|server|system|baseboard|8-oam)\b", chip.source), priced(chip)
            for whole in (*prices_for(PRICES, name, "node"), *prices_for(PRICES, name, "board")):
                share = whole.price / node.accelerators
                assert chip.price != pytest.approx(share, rel=1e-4), priced(chip)
                apart = abs((first_day(chip.date) - first_day(whole.date)).days)
                if whole.scope == "node" and whole.verified and whole.currency == chip.currency and apart < 2.5 * 365:
                    assert chip.price < share, priced(chip)
                    compared += 1
    assert compared >= 5


def test_a_board_costs_less_than_the_node_round_it() -> None:
    compared = 0
    for board in (price for price in PRICES if price.scope == "board"):
        for node in prices_for(PRICES, board.item, "node", "street"):
            assert board.price < node.price
            compared += 1
    assert compared >= 2


def test_the_range_of_a_price_holds_the_quotes_like_it() -> None:
    """As docs/scenario.md says: same item, scope, kind, currency; hours a year apart at most, hardware two."""
    compared = 0
    for price in PRICES:
        days = 365 if price.scope == "instance_hour" else 729
        for other in prices_for(PRICES, price.item, price.scope, price.kind):
            apart = abs((first_day(price.date) - first_day(other.date)).days)
            different_terms = any(
                (word in (price.notes or "")) != (word in (other.notes or ""))
                for word in ("1 year", "3 years", "Capacity Block", "no term given", "GPU alone", "before the cut")
            )
            if other.currency == price.currency and apart <= days and not different_terms and other.price != price.price:
                assert price.low is not None, priced(price)
                assert price.high is not None, priced(price)
                assert price.low <= other.price <= price.high, priced(price)
                compared += 1
    assert compared >= 50


def test_what_nobody_checked_is_not_called_checked_in_the_price_book() -> None:
    for price in PRICES:
        if "from memory" in price.source:
            assert not price.verified, priced(price)


def test_what_a_design_buys_has_a_price() -> None:
    """Every node that is sold and every one that is rented; what has none is named here, so that nobody takes it for free."""
    unpriced = {"gb200-nvl72", "gcp-a3-mega", "gaudi2-8", "gaudi3-8"}  # of the Gaudi kits, boards have a price
    for name in names("nodes"):
        scope = "instance_hour" if name.startswith(("aws-", "azure-", "gcp-")) else "node"
        assert bool(prices_for(PRICES, name, scope)) == (name not in unpriced), name
    never_rented = {"p100-sxm-16", "gb200-gpu", "mi250x", "gaudi2", "gaudi3", "k80-board"}
    for name in names("accelerators"):
        assert bool(prices_for(PRICES, name, "instance_hour")) == (name not in never_rented), name
