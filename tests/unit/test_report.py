"""The page of `--report`: sound HTML that loads nothing, every price with its source, the same bytes twice, and its errors."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from simulator.report import Code, Facts, Figure, Items, Page, Section, SourceList, Sources, Table, Text, page_html
from simulator.validation.bill_of_materials import FAT_TREE_BOM, validate_bill_of_materials
from simulator.validation.published import published_errors
from tests.support import SCENARIO, SCENARIOS, assert_shipped, changed, command, written

VOID = {"meta", "img", "br", "wbr"}
HOSTILE = "<script>alert('x')</script> & \"quoted\" \u202egnp.exe\x07"


class Reader(HTMLParser):
    """Reads a page: balance of its elements, its text, what it would load, rows of its tables."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.alts: list[str] = []
        self.words: list[str] = []
        self.items: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self._item = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        assert len(found) == len(attrs)
        assert not any(name.startswith("on") for name in found)
        self.loads += [str(found[name]) for name in ("src", "srcset", "data", "poster", "action") if name in found]
        if tag == "a":
            self.links.append(str(found["href"]))
        assert tag not in {"script", "link", "iframe", "object", "embed", "form", "base"}
        if "id" in found:
            self.ids.append(str(found["id"]))
        if tag == "img":
            self.alts.append(str(found["alt"]))
        if tag == "li":
            self._item = str(found.get("id", ""))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag not in VOID
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if "li" in self.open and self._item:
            self.items[self._item] = self.items.get(self._item, "") + data
        if self.open and self.open[-1] in ("td", "th", "a", "b") and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return "".join(self.words)


def report(tmp_path: Path, *arguments: object) -> tuple[str, Reader]:
    file = tmp_path / "page.html"
    found = command(*arguments, "--report", file)
    assert found.status == 0, found.err
    assert f"wrote {file}" in found.out
    text = file.read_text(encoding="utf-8")
    return text, Reader(text)


def assert_self_contained(text: str, page: Reader) -> None:
    assert page.loads
    assert all(one.startswith("data:image/png;base64,") for one in page.loads)
    for one in page.loads:
        assert base64.b64decode(one.partition(",")[2], validate=True).startswith(b"\x89PNG")
    assert len(page.alts) == len(page.loads)
    assert all(len(alt) > 20 for alt in page.alts)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert "default-src 'none'" in text
    assert len(set(page.ids)) == len(page.ids)
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)


DESIGN = changed(
    (SCENARIOS / "h100-64-nodes.toml").read_text(encoding="utf-8"),
    ("nodes = { min = 32, max = 64 }", "nodes = { min = 4, max = 6 }"),
    ("27e6 USD", "2.2e6 USD"),
)


@dataclass(frozen=True)
class Designed:
    """A design answered once: its page, and the object that `--json` prints beside it."""

    text: str
    page: Reader
    answer: Any
    scenario: Path


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Designed:
    folder = tmp_path_factory.mktemp("design")
    scenario, file = written(folder, DESIGN), folder / "page.html"
    found = command("design", scenario, "--json", "--report", file)
    assert found.status == 0, found.err
    text = file.read_text(encoding="utf-8")
    return Designed(text, Reader(text), found.answer, scenario)


def test_the_page_of_a_design_is_sound_and_loads_nothing(design: Designed) -> None:
    assert_self_contained(design.text, design.page)
    assert len(design.page.loads) == 4  # frontier, mini-batches, spending, importance


def test_every_price_of_the_bill_has_its_source_its_date_and_whether_it_was_checked(
    design: Designed,
) -> None:
    page = design.page
    bill = [row for row in design.answer["bill"] if row["unit_usd"] is not None]
    assert bill
    for line in bill:
        name, dollars = f"{line['part']} {line['id']}", f"{line['usd']:,.0f}"
        (cells,) = (row for row in page.rows if row and row[0] == name and dollars in row)
        assert line["date"] in cells
        assert cells[-2] == ("yes" if line["verified"] else "NO")
        assert page.items[f"source-{cells[-1].strip('[]')}"] == line["source"]


def test_the_page_has_warnings_seed_versions_command_and_the_errors_of_the_laws(design: Designed) -> None:
    page, answer = design.page, design.answer
    for warning in answer["warnings"]:
        assert warning["text"] in page.text
    for name, version in answer["versions"].items():
        assert f"{name} {version}" in page.text
    assert f"learnersim design {design.scenario}" in page.text
    assert str(answer["seed"]) in page.text
    interior = next(row for row in published_errors() if (row["kind"], row["group"]) == ("updates", "interior"))
    assert f"{100 * interior['coverage90']:.0f} %" in page.text
    assert "electricity_usd_per_kwh" in page.text  # of its cost nobody checked: said beside the power
    assert '"n_inf_updates": 182.6' in page.text  # the scenario as resolved: of the workload's profile


def test_the_same_design_gives_the_same_bytes(design: Designed, tmp_path: Path) -> None:
    assert report(tmp_path, "design", design.scenario)[0] == design.text


def test_the_page_of_a_run_has_its_answer_and_every_number_behind_it(tmp_path: Path) -> None:
    scenario = written(tmp_path, SCENARIO)
    text, page = report(tmp_path, "run", scenario, "--seed", "5")
    assert_self_contained(text, page)
    answer = command("run", scenario, "--json", "--seed", "5").answer
    assert f"{answer['batch_samples']:,.0f}" in page.text
    for row in command("explain", scenario, "--json").answer["rows"]:
        assert row["key"].replace("workload[0]", "demo") in [cells[0] for cells in page.rows if cells], row["key"]
    assert "--seed 5" in page.text


def test_the_page_of_a_comparison_has_every_option_and_its_prices(tmp_path: Path) -> None:
    options = '\n[cost]\nkind = "purchase"\n[[option]]\nname = "two"\n[[option]]\nname = "four"\ncluster = { nodes = 4 }\n'
    network = '[network]\ntopology = "fat_tree"\nswitch = "qm8700"\nhost_link = "ib-hdr"\ncollective = "ring"\n'
    text = changed(SCENARIO, ('kind = "constant"\ndelta_s = "4 ms"\n', f'kind = "fabric"\n{network}'))
    html, page = report(tmp_path, "compare", written(tmp_path, text + options))
    assert_self_contained(html, page)
    firsts = [row[0] for row in page.rows if row]
    assert firsts.count("two") >= 2
    assert firsts.count("four") >= 2
    assert firsts.count("node dgx-a100-640") == 2  # the bill of each
    assert all(row[-1].startswith("[") for row in page.rows if row and row[0] == "node dgx-a100-640")


def test_hostile_text_of_a_scenario_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    shown = "<script>alert('x')</script> & <img src=x onerror=alert(1)>"
    scenario = written(tmp_path, changed(SCENARIO, ('"small"', f'"{shown}"'), ('name = "demo"', f'name = "{shown}"')))
    text, page = report(tmp_path, "run", scenario)  # the reader refuses scripts and handlers
    assert "<script" not in text
    assert shown in page.text


def test_every_block_escapes_what_it_holds() -> None:
    sources = Sources()
    mark = sources.mark(HOSTILE)
    page = Page(
        title=HOSTILE,
        subtitle=HOSTILE,
        sections=[
            Section(HOSTILE, [Text(HOSTILE), Facts([(HOSTILE, HOSTILE), ("", HOSTILE)]), Items([HOSTILE], warn=True)]),
            Section("b", [Table(caption=HOSTILE, rows=[{HOSTILE: HOSTILE, "source": mark}]), Code(HOSTILE)]),
            Section("c", [Figure(png=b"\x89PNG", alt=HOSTILE, caption=HOSTILE), SourceList(sources)]),
            Section("left out", []),
        ],
    )
    text = page_html(page)
    read = Reader(text)
    safe = HOSTILE.replace("\u202e", "\ufffd").replace("\x07", "\ufffd")
    assert read.text.count(safe) == 15  # title twice, subtitle, then one for each place above
    assert read.alts == [safe]
    assert "<script" not in text
    assert "\u202e" not in text
    assert "left out" not in text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("page.txt", "must be a file that ends in .html"),
        ("folder.html", "must be a file, got a folder"),
        ("there.html", "exists already; give --force to replace it"),
    ],
)
def test_a_report_in_the_way_is_refused_before_the_work(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.html").mkdir()
    written(tmp_path, "mine", "there.html")
    found = command("run", written(tmp_path, SCENARIO), "--report", tmp_path / name, "--out", tmp_path / "out")
    assert found.status == 1
    assert found.lines == [f"--report {tmp_path / name}: {message}"]
    assert (tmp_path / "there.html").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "out").exists()


def test_a_report_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    written(tmp_path, "a file", "there")
    page = tmp_path / "there" / "page.html"
    found = command("run", written(tmp_path, SCENARIO), "--report", page, "--out", tmp_path / "out")
    assert found.status == 1
    assert found.out == ""
    assert found.lines == [f"--report {page}: cannot be written: {tmp_path / 'there'} is a file"]
    assert not (tmp_path / "out").exists()


def test_a_report_whose_writing_fails_is_an_error_of_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("simulator.cli.report_file.write_text", full)
    found = command("run", written(tmp_path, SCENARIO), "--report", tmp_path / "page.html")
    assert found.status == 1
    assert found.lines == [f"--report {tmp_path / 'page.html'}: cannot be written: No space left on device"]


def test_resume_replaces_the_page_of_its_own_run_and_no_other(tmp_path: Path) -> None:
    scenario, page, out = written(tmp_path, SCENARIO), tmp_path / "page.html", tmp_path / "out"
    asked = ("run", scenario, "--report", page, "--out", out)
    assert command(*asked).status == 0
    first = page.read_text(encoding="utf-8")
    page.write_text(first + "<!-- touched -->", encoding="utf-8")
    assert command(*asked, "--resume").status == 0
    assert page.read_text(encoding="utf-8") == first
    other = first.replace('name="learnersim-run" content="', 'name="learnersim-run" content="0')
    page.write_text(other, encoding="utf-8")
    found = command(*asked, "--resume")
    assert found.status == 1
    assert found.lines == [
        f"--report {page}: exists already, and is not a page of the run that --resume goes on with; name another file"
    ]
    assert page.read_text(encoding="utf-8") == other


def test_force_replaces_a_report_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    scenario = written(tmp_path, SCENARIO)
    written(tmp_path, "old", "page.html")
    found = command("run", scenario, "--report", tmp_path / "page.html", "--force", "--json")
    assert found.status == 0
    assert found.answer["command"] == "run"  # JSON alone on stdout
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert {path.name for path in tmp_path.iterdir()} == {"scenario.toml", "page.html"}


def test_a_failed_answer_writes_no_report(tmp_path: Path) -> None:
    scenario = written(tmp_path, changed(SCENARIO, ('"4 ms"', '"-4 ms"')))
    assert command("run", scenario, "--report", tmp_path / "page.html").status == 1
    assert not (tmp_path / "page.html").exists()


def test_the_published_errors_of_bills_are_those_that_validate_computes() -> None:
    assert_shipped("bill-of-materials", validate_bill_of_materials(FAT_TREE_BOM))


def test_the_report_of_a_comparison_says_how_much_of_each_price_nobody_checked(tmp_path: Path) -> None:
    options = '\n[[option]]\nname = "free"\n[[option]]\nname = "paid"\ncost = { kind = "purchase" }\n'
    network = '[network]\ntopology = "fat_tree"\nswitch = "qm8700"\nhost_link = "ib-hdr"\ncollective = "ring"\n'
    text = changed(SCENARIO, ('kind = "constant"\ndelta_s = "4 ms"\n', f'kind = "fabric"\n{network}'))
    scenario = written(tmp_path, text + options)
    _, page = report(tmp_path, "compare", scenario)
    [row] = [one for one in command("compare", scenario, "--json").answer["rows"] if one["option"] == "paid"]
    assert ["paid", f"{row['cluster_usd']:,.0f}", f"{100 * row['cost_unverified_share']:.0f} %"] in [
        [cells[0], cells[1], cells[3]] for cells in page.rows if len(cells) == 4
    ]
    assert "not known: there is no cost of free" in page.text


def test_the_flips_of_a_variable_are_told_apart(tmp_path: Path) -> None:
    # a server takes 0.3 ms * P, which is above 3.4 ms from the twelfth learner on
    options = (
        '\n[compare]\ncrossovers = ["learners"]\n'
        '[[option]]\nname = "server"\nreduce = { kind = "linear", delta_s = "0.3 ms" }\n'
        '[[option]]\nname = "steady"\n[[option]]\nname = "quick"\nreduce = { delta_s = "3.4 ms" }\n'
    )
    _, page = report(tmp_path, "compare", written(tmp_path, SCENARIO + options))
    assert "server first, then quick from 12 on" in page.text


def test_the_report_of_a_run_adds_power_and_facility_to_the_purchase(tmp_path: Path) -> None:
    money = (
        '\n[cost]\nkind = "ownership"\nelectricity_usd_per_kwh = 0.1\npue = 1.2\nfacility_usd_per_node = 1000\n'
        'life_s = "5 year"\nutilisation = 0.5\nidle_power = 0.5\n'
    )
    network = '[network]\ntopology = "fat_tree"\nswitch = "qm8700"\nhost_link = "ib-hdr"\ncollective = "ring"\n'
    text = changed(SCENARIO, ('kind = "constant"\ndelta_s = "4 ms"\n', f'kind = "fabric"\n{network}'))
    scenario = written(tmp_path, text + money)
    _, page = report(tmp_path, "run", scenario)
    bill = command("bom", scenario, "--json").answer
    # kWh of five years, 75 % of the full draw on average
    power = bill["power_w"] / 1000 * 1.2 * 5 * 8766 * 0.75 * 0.1
    facts = {row[0]: row[1] for row in page.rows if len(row) == 2}
    assert facts["power over the life"].startswith(f"{power:,.0f} USD")
    assert facts["facility over the life"] == "2,000 USD"
    assert facts["in all, over the life"] == f"{bill['total_usd'] + power + 2000:,.0f} USD"


def test_the_report_of_rented_nodes_counts_no_parts_and_says_of_what_the_hour_is(tmp_path: Path) -> None:
    node = changed(SCENARIO, ("dgx-a100-640", "hgx-h100-2025"), ("a100-sxm-80", "h100-sxm"))
    _, page = report(tmp_path, "run", written(tmp_path, node + '\n[cost]\nkind = "cloud"\n'))
    assert "8 x h100-sxm" in [row[0] for row in page.rows if row]
    assert "switches and cables of published clusters" not in page.text


BOOK = "item,scope,kind,currency,price,low,high,date,source,verified\n"


@pytest.mark.parametrize(
    ("node", "purchase"),
    [
        ("dgx-a100-640,node,list,USD,100000,,,2025,a shop,yes\n", ["purchase", "", "", "280,000", "", "", "", "", ""]),
        ("", ["purchase", "", "", "-", "", "no total: a part has no price", "", "", ""]),
    ],
)  # fmt: skip
def test_a_bill_says_what_of_it_nobody_checked_and_has_no_total_without_every_price(
    tmp_path: Path, node: str, purchase: list[str]
) -> None:
    # 16 end ports on one switch of 40 ports: 2 nodes at 100,000, a switch at 40,000, cabling of 16 at 2,500
    rest = "qm8700,switch,list,USD,40000,,,2025,a shop,yes\nib-hdr-cabling-1-tier,cable,list,USD,2500,,,2025,memory,no\n"
    written(tmp_path, BOOK + node + rest, "book.csv")
    network = '[network]\ntopology = "fat_tree"\nswitch = "qm8700"\nhost_link = "ib-hdr"\ncollective = "ring"\n'
    text = changed(SCENARIO, ('kind = "constant"\ndelta_s = "4 ms"\n', f'kind = "fabric"\n{network}'))
    scenario = written(tmp_path, text + '\n[cost]\nkind = "purchase"\nprices = "./book.csv"\n')
    html, page = report(tmp_path, "run", scenario)
    assert purchase in page.rows
    [doubt] = [row for row in page.rows if row and row[0] == "of it at prices that nobody checked"]
    assert (doubt[3], doubt[7]) == ("40,000", "NO")
    assert '<b class="doubt">NO</b>' in html


def test_a_word_wider_than_a_column_may_be_broken_and_nothing_of_it_is_lost() -> None:
    long = "x" * 100 + "<b>" + "\N{GREEK SMALL LETTER PI}" * 60
    text = page_html(
        Page(title="t", subtitle="", sections=[Section("a", [Table(caption="", rows=[{long: long}]), Facts([("f", long)])])])
    )
    whole = text.replace("<wbr>", "")
    assert whole.count("x" * 100 + "&lt;b&gt;" + "\N{GREEK SMALL LETTER PI}" * 60) == 3
    assert max(len(piece) for piece in re.split(r"<[^>]*>", text.split("<main>")[1])) < 60
