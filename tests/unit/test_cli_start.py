"""The command start: answers in, a design file out that loads."""

from __future__ import annotations

import io
import json
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from simulator.costs.price_book import load_price_book
from simulator.costs.price_choice import PriceList
from simulator.profiles import load_profile, names
from simulator.scenarios import load_scenario
from simulator.scenarios.costing import fitting_switches
from simulator.scenarios.start_file import Answers, design_text, known_vendors
from tests.support import HARDWARE, SCENARIOS, Outcome, command, written

BUY = """\
budget_usd = "5e6 USD"
deadline_s = "3 day"
jobs = ["resnet50-mlperf", "bert-mlperf"]
runs_per_year = [500, 12]
buy_or_rent = "buy"
electricity_usd_per_kwh = 0.129
vendors = ["NVIDIA"]
"""
PRICES = PriceList(book=load_price_book(HARDWARE / "prices.csv"))


def started(folder: Path, answers: str, *flags: str) -> Outcome:
    return command("start", folder / "design.toml", "--answers", written(folder, answers, "answers.toml"), *flags)


def design(folder: Path, answers: str) -> dict[str, Any]:
    found = started(folder, answers)
    assert found.status == 0, found.err
    return tomllib.loads((folder / "design.toml").read_text(encoding="utf-8"))


def test_the_file_says_what_was_answered_and_loads(tmp_path: Path) -> None:
    found = design(tmp_path, BUY)
    assert [(job["use"], job["runs_per_year"]) for job in found["workload"]] == [("resnet50-mlperf", 500), ("bert-mlperf", 12)]
    assert (found["design"]["budget_usd"], found["design"]["deadline_s"]) == (5_000_000, "3 day")
    assert (found["cost"]["kind"], found["cost"]["electricity_usd_per_kwh"]) == ("ownership", 0.129)
    sections = load_scenario(str(tmp_path / "design.toml")).sections
    assert sections.design is not None
    assert sections.design.deadline_s == 3 * 86400
    assert sections.title == "5,000,000 USD within 3 day for resnet50-mlperf, bert-mlperf, buy"


def test_the_catalogue_is_what_can_be_had_from_these_vendors(tmp_path: Path) -> None:
    choose = design(tmp_path, BUY)["design"]["choose"]
    assert "hgx-h100-2025" in choose["node"]
    for name in choose["node"]:
        node = load_profile("nodes", name)[0]
        assert load_profile("accelerators", node.accelerator)[0].vendor == "NVIDIA"
        assert node.power_w is not None  # its power is paid for
        price = PRICES.to_buy(name, "node")
        assert price is not None
        assert not price.old
    assert "dgx1-p100" not in choose["node"]  # a price of 2017
    for name in choose["network"]:
        switches = fitting_switches(load_profile("networks", name)[0])
        assert any(PRICES.to_buy(switch.name, "switch") and (switch.power_w or switch.power_max_w) for switch in switches), name
    assert "roce800" not in choose["network"]  # no node has such NICs, and they have no price
    # 5 million buy 62 of the cheapest, at 80,000
    assert choose["nodes"] == {"min": 1, "max": 62}


def test_what_is_rented_has_an_hour_on_demand(tmp_path: Path) -> None:
    found = design(tmp_path, 'deadline_s = "1 hour"\njobs = ["bert-mlperf"]\nbuy_or_rent = "rent"\n')
    assert found["design"]["objective"] == "cost"  # no budget: the cheapest that is soon enough
    assert found["cost"] == {"kind": "cloud", "prices": "shipped"}
    assert all(PRICES.to_rent(name) for name in found["design"]["choose"]["node"])
    assert "network" not in found["design"]["choose"]  # the NICs are those of the instance
    assert found["network"]["switch"] == "qm9700"
    assert "runs_per_year" not in found["workload"][0]


def test_without_a_tariff_the_purchase_alone_is_counted(tmp_path: Path) -> None:
    found = design(
        tmp_path, 'budget_usd = 1e6\njobs = ["bert-mlperf"]\nbuy_or_rent = "buy"\nruns_per_year = [3]\nvendors = ["AMD"]\n'
    )
    assert found["cost"]["kind"] == "purchase"
    assert found["design"]["choose"]["node"] == ["mi300x-8"]


def test_the_comments_name_prices_and_what_was_left_out(tmp_path: Path) -> None:
    started(tmp_path, BUY)
    text = (tmp_path / "design.toml").read_text(encoding="utf-8")
    assert '"hgx-h100-2025",            # 255,237 USD each, 2025-01-31' in text
    assert "# left out: dgx1-p100 has only an old price, of 2017-03-12" in text
    assert "#   learnersim design design.toml" in text
    assert "\t" not in text


def test_json_names_the_file_and_the_answers(tmp_path: Path) -> None:
    found = started(tmp_path, BUY, "--json").answer
    assert found["path"] == str(tmp_path / "design.toml")
    assert found["answers"]["deadline_s"] == 259_200
    assert json.dumps(found)


def test_a_file_is_not_overwritten_without_force(tmp_path: Path) -> None:
    assert started(tmp_path, BUY).status == 0
    again = started(tmp_path, BUY)
    assert (again.status, again.out) == (1, "")
    assert again.err == f"{tmp_path}/design.toml: exists; give --force to replace it, or another name\n"
    assert started(tmp_path, BUY, "--force").status == 0


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        (BUY.replace('"5e6 USD"', "-5"), "budget_usd: must be finite and > 0, got -5"),
        (BUY.replace('"5e6 USD"', '"5e6 EUR"'), "budget_usd: unit 'EUR' is not known"),
        (BUY.replace('"3 day"', '"3 moons"'), "deadline_s: unit 'moons' is not known"),
        (
            BUY.replace('budget_usd = "5e6 USD"\ndeadline_s = "3 day"\n', ""),
            "budget_usd: must be given, or deadline_s, or both",
        ),
        (BUY.replace("bert-mlperf", "bert"), "jobs[1]: must be a shipped workload, got 'bert'; did you mean 'bert-mlperf'?"),
        (BUY.replace("bert-mlperf", "resnet50-mlperf"), "jobs[1]: must be unique, got 'resnet50-mlperf' again"),
        (BUY.replace('["resnet50-mlperf", "bert-mlperf"]', "[]"), "jobs: must name at least one job"),
        (BUY.replace("[500, 12]", "[1, 2, 3]"), "runs_per_year: must be one number, or one for each of the 2 jobs, got 3"),
        (BUY.replace("[500, 12]", "[0]"), "runs_per_year: must be finite and > 0, got 0"),
        (BUY.replace('"buy"', '"lease"'), "buy_or_rent: must be one of buy, rent, got 'lease'"),
        (
            BUY.replace('"buy"', '"rent"'),
            "electricity_usd_per_kwh: belongs to what is bought: a rented hour has its power in it",
        ),
        (
            BUY.replace("NVIDIA", "Nvidia"),
            "vendors[0]: must be a vendor of a shipped node, got 'Nvidia'; known: AMD, Intel, NVIDIA",
        ),
        (BUY + "colour = 3\n", "colour: unknown key"),
        (BUY.replace("jobs", "job"), "jobs: is missing"),
    ],
)
def test_faulty_answers_are_named_and_nothing_is_written(tmp_path: Path, answers: str, says: str) -> None:
    found = started(tmp_path, answers)
    assert (found.status, found.out) == (1, "")
    assert any(line.startswith(f"{tmp_path}/answers.toml: {says}") for line in found.lines), found.err
    assert not (tmp_path / "design.toml").exists()


def test_what_cannot_be_had_is_said_with_its_reasons(tmp_path: Path) -> None:
    found = started(tmp_path, 'budget_usd = 1e6\njobs = ["bert-mlperf"]\nbuy_or_rent = "buy"\nvendors = ["Intel"]\n')
    assert found.status == 1
    assert found.err.startswith("design.toml: vendors: no shipped node of Intel can be bought: gaudi2-8 has no node price")
    assert not (tmp_path / "design.toml").exists()


def test_the_name_and_the_folder_are_checked(tmp_path: Path) -> None:
    answers = written(tmp_path, BUY, "answers.toml")
    assert command("start", tmp_path / "design.txt", "--answers", answers).err == f"{tmp_path}/design.txt: must end in .toml\n"
    found = command("start", tmp_path / "none" / "design.toml", "--answers", answers)
    assert found.status == 1
    assert "cannot be written" in found.err
    assert command("start", tmp_path / "design.toml", "--answers", tmp_path / "none.toml").err.endswith(
        "none.toml: no such file\n"
    )


def dialogue(monkeypatch: pytest.MonkeyPatch, folder: Path, *typed: str) -> Outcome:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in typed)))
    return command("start", folder / "design.toml")


def test_the_dialogue_asks_again_until_an_answer_is_possible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = dialogue(
        monkeypatch, tmp_path,
        "lots", "$2,500,000", "soon", "", "", "resnet", "resnet50-mlperf", "500",
        "", "lease", "buy", "-1", "0.13", "Cray", "NVIDIA",
    )  # fmt: skip
    assert found.status == 0, found.err
    assert found.out == f"wrote {tmp_path}/design.toml\nNext: learnersim design {tmp_path}/design.toml\n"
    for says in (
        "did you mean 'resnet50-mlperf'?",
        "must be one of buy, rent, got 'lease'",
        "must be answered",
        "got 'Cray'",
        "got -1",
    ):
        assert says in found.err, says
    written_ = tomllib.loads((tmp_path / "design.toml").read_text(encoding="utf-8"))
    assert written_["design"]["budget_usd"] == 2_500_000
    assert written_["workload"][0]["runs_per_year"] == 500


def test_the_dialogue_does_not_ask_a_tenant_for_the_tariff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = dialogue(monkeypatch, tmp_path, "", "", "", "3 day", "bert-mlperf, resnet50-mlperf", "", "rent", "")
    assert found.status == 0, found.err
    assert "kWh" not in found.err
    assert "a budget or a deadline must be given, or both" in found.err


def test_answers_that_end_early_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = dialogue(monkeypatch, tmp_path, "1e6", "")
    assert (found.status, found.out) == (1, "")
    assert found.err.endswith("the answers end before jobs: nothing is written\n")
    assert not (tmp_path / "design.toml").exists()


def test_every_vendor_is_asked_about_by_its_name() -> None:
    assert known_vendors() == ["AMD", "Intel", "NVIDIA"]


@pytest.mark.parametrize("deadline_s", [1.5, 90.0, 5400.0, 86400.0, 100_000.0])
def test_a_deadline_is_written_as_it_was_meant(tmp_path: Path, deadline_s: float) -> None:
    text = design_text(Answers(jobs=("bert-mlperf",), buy_or_rent="rent", deadline_s=deadline_s))
    sections = load_scenario(str(written(tmp_path, text))).sections
    assert sections.design is not None
    assert sections.design.deadline_s == deadline_s


def test_who_gave_neither_budget_nor_deadline_is_asked_for_both_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = dialogue(monkeypatch, tmp_path, "", "", "2e6", "", "bert-mlperf", "", "BUY", "", "")
    assert found.status == 0, found.err
    written_ = tomllib.loads((tmp_path / "design.toml").read_text(encoding="utf-8"))
    assert written_["design"]["budget_usd"] == 2_000_000
    assert written_["cost"]["kind"] == "purchase"


def test_the_names_of_the_jobs_stand_apart_from_their_titles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = dialogue(monkeypatch, tmp_path, "1e6", "").err
    assert "retinanet-mlperf  RetinaNet" in asked  # the longest name


def test_every_fault_of_the_answers_is_named_at_once(tmp_path: Path) -> None:
    answers = """\
deadline_s = "3 parsec"
jobs = ["bert", "bert-mlperf", "bert-mlperf"]
buy_or_rent = "rent"
electricity_usd_per_kwh = -1
runs_per_year = [1, 2]
vendors = ["nvidia", 3]
colour = "red"
"""
    keys = [line.removeprefix(f"{tmp_path}/answers.toml: ").split(":")[0] for line in started(tmp_path, answers).lines]
    assert sorted(keys) == sorted(
        [
            "deadline_s",
            "jobs[0]",
            "jobs[2]",
            *2 * ["electricity_usd_per_kwh"],
            "runs_per_year",
            "vendors[0]",
            "vendors[1]",
            "colour",
        ]
    )
    assert "vendors[0]: must be a vendor of a shipped node, got 'nvidia'" in started(tmp_path, answers).err
    missing = started(tmp_path, "").err
    assert missing.count("\n") == 3  # jobs, buy_or_rent, and a budget or a deadline
    assert "budget_usd: must be given, or deadline_s, or both" in missing


@pytest.mark.parametrize("name", ["my design's.toml", "a b.toml", 'x"\nbudget_usd = 1\n.toml'])
def test_the_name_of_the_file_stays_in_its_comment(tmp_path: Path, name: str) -> None:
    found = command("start", tmp_path / name, "--answers", written(tmp_path, BUY, "answers.toml"))
    assert found.status == 0, found.err
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert tomllib.loads(text)["design"]["budget_usd"] == 5_000_000
    comment = next(line for line in text.splitlines() if line.startswith("#   learnersim design "))
    if "\n" not in name:
        assert shlex.split(comment)[1:] == ["learnersim", "design", name]


@pytest.mark.parametrize("job", [name for name in names("workloads") if name != "pollux-deepspeech2"])
@pytest.mark.parametrize("way", ["buy", "rent"])
def test_every_job_can_run_on_every_node_of_the_file(tmp_path: Path, job: str, way: str) -> None:
    """The tables of a shipped workload say on which accelerators it was timed, or that it can be estimated anywhere."""
    found = started(tmp_path, f'budget_usd = 3e6\njobs = ["{job}"]\nbuy_or_rent = "{way}"\n')
    compute = tomllib.loads((SCENARIOS / "workloads" / f"{job}.toml").read_text(encoding="utf-8"))["compute"]
    if found.status:
        assert (way, set(compute)) == ("buy", {"t4"})  # nobody sells a node with them
        assert found.err.startswith("design.toml: jobs: no shipped node of anybody can be bought: ")
        assert f"dgx-h100, since nobody timed {job} on h100-sxm" in found.err
        return
    for name in tomllib.loads((tmp_path / "design.toml").read_text(encoding="utf-8"))["design"]["choose"]["node"]:
        assert {load_profile("nodes", name)[0].accelerator, "from_flops"} & set(compute), name


def test_a_job_whose_gradient_nobody_knows_is_refused(tmp_path: Path) -> None:
    found = started(tmp_path, BUY.replace("bert-mlperf", "pollux-deepspeech2"))
    says = "jobs[1]: must have gradient_bytes, which a network carries, got 'pollux-deepspeech2'"
    assert found.err == f"{tmp_path}/answers.toml: {says}\n"


def test_vendors_of_whom_nothing_can_be_had_are_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = dialogue(monkeypatch, tmp_path, "1e6", "", "bert-mlperf", "", "rent", "AMD", "NVIDIA")
    assert found.status == 0, found.err
    assert "no shipped node of AMD can be rented: nobody offers one" in found.err
