"""The report site: what stands on its pages is what stands in the tables, and nothing that must not."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from conftest import THREADS
from files import copied

from assets import report_words, reports
from assets.report_charts import bars, trend, up_and_down
from assets.report_figures import collect
from assets.report_html import failing_share, passing_share, redact
from assets.report_ledger import collect_ledger
from assets.report_scores import Ratio
from catalog.frozen import Title
from catalog.indicators import DIMENSIONS, INDICATORS
from catalog.load import Catalog
from catalog.models import Cycle
from catalog.rules import Severity
from quality_checks.corrections import ItemState
from quality_checks.rules import all_rules
from resources.city import City

DAY_1, DAY_2 = date(2026, 11, 2), date(2026, 11, 3)
CANARY_ID, CANARY_NAME, CANARY_PHONE = "34150019900307123X", "甄金丝雀", "13955550199"
RESIDENTS = "public_security.resident_registration"
MARRIAGES = "civil_affairs.marriage_registration"
ENTERPRISES = "market_regulation.enterprise_registration"
MARKUP = "<img src=x onerror=alert(1)>"

# Findings 1 to 5 are about residents, 6 about a feed. Every table that may hold a personal value holds canaries.
LAKE = f"""
insert into quality.findings by name
select md5(n::varchar) as finding_id, rule_id, severity, status, first_seen, last_seen, closed_on, reason,
       'd2' as delivery_id, 'accuracy' as dimension, '0301' as indicator, '{CANARY_ID}' as observed_value,
       if(n < 5, '{CANARY_NAME}', '{CANARY_ID}') as suggested_value,
       if(n < 6, 'public_security', 'civil_affairs') as department,
       if(n < 6, 'resident_registration', 'marriage_registration') as resource,
       if(n < 6, '{CANARY_ID}' || n, '') as record_key, if(n < 6, 'birth_date', '') as "column"
from (values
  (1, 'PSB-001', 'error', 'open', DATE '{DAY_1}', DATE '{DAY_2}', NULL::DATE, '出生日期不符：姓名为「{CANARY_NAME}」'),
  (2, 'PSB-001', 'error', 'open', DATE '{DAY_2}', DATE '{DAY_2}', NULL, '出生日期不符'),
  (3, 'PSB-001', 'error', 'resolved', DATE '{DAY_1}', DATE '{DAY_1}', DATE '{DAY_2}', '出生日期不符'),
  (4, '{RESIDENTS}.id_number.identifier', 'block', 'open', DATE '{DAY_1}', DATE '{DAY_2}', NULL, '校验位错误'),
  (5, 'CRV-001', 'warn', 'open', DATE '{DAY_2}', DATE '{DAY_2}', NULL, '超过五家'),
  (6, '{MARRIAGES}.delivery.late', 'error', 'open', DATE '{DAY_2}', DATE '{DAY_2}', NULL, '应于 2026-11-02 前报送')
) f(n, rule_id, severity, status, first_seen, last_seen, closed_on, reason);
insert into quality.results by name
select as_of::date as as_of, split_part(place, '.', 1) as department, split_part(place, '.', 2) as resource, rule_id,
       dimension, '0301' as indicator, severity, applicable, failed, state, message
from (values
  ('{DAY_1}', '{RESIDENTS}', 'PSB-001', 'consistency', 'error', 100000, 2, 'ok', ''),
  ('{DAY_2}', '{RESIDENTS}', 'PSB-001', 'consistency', 'error', 100000, 2, 'ok', ''),
  ('{DAY_2}', '{RESIDENTS}', '{RESIDENTS}.id_number.identifier', 'accuracy', 'block', 100000, 1, 'ok', ''),
  ('{DAY_2}', '{RESIDENTS}', 'CRV-001', 'accuracy', 'warn', 0, 0, 'ok', ''),
  ('{DAY_2}', '{ENTERPRISES}', '{ENTERPRISES}.uscc.identifier', 'accuracy', 'block', 0, 0, 'error',
   'Could not convert string ''{CANARY_ID}''')
) r(as_of, place, rule_id, dimension, severity, applicable, failed, state, message);
insert into quality.scores by name
select DATE '{DAY_2}' as as_of, 'up' as direction, false as small_sample, '本市方案' as scheme, 1 as weight, *
from (values
  ('day', 'city', 'city', 'consistency', NULL, 99998, 100000, 99998, 100000, 0.99998, NULL),
  ('day', 'city', 'city', 'accuracy', NULL, 170, 200, 170, 200, 0.85, NULL),
  ('day', 'city', 'city', NULL, NULL, 100168, 100200, 100168, 100200, 0.92499, '良'),
  ('day', 'department', 'public_security', 'consistency', NULL, 100003, 100010, 99998, 100000, 0.99998, NULL),
  ('day', 'department', 'public_security', 'consistency', '0401', 100003, 100010, 99998, 100000, 0.99998, NULL),
  ('day', 'department', 'public_security', NULL, NULL, 100003, 100010, 99998, 100000, 0.99998, '优'),
  ('month', 'department', 'public_security', NULL, NULL, 100003, 100010, 99998, 100000, 0.81239, '良'),
  ('day', 'resource', '{RESIDENTS}', 'consistency', NULL, 99998, 100000, 99998, 100000, 0.99998, NULL),
  ('day', 'department', 'civil_affairs', 'accuracy', NULL, 0, 0, 0, 0, NULL, NULL)
) s(period, scope, name, dimension, indicator, numerator, denominator, own_numerator, own_denominator, score, grade);
insert into quality.scores by name
select DATE '{DAY_2}' as as_of, 'day' as period, 'department' as scope, 'public_security' as name,
       'uniqueness' as dimension, '0303' as indicator, 'down' as direction, 3 as numerator, 12 as denominator,
       3 as own_numerator, 12 as own_denominator, 0.75 as score, true as small_sample;
insert into quality.precision by name select DATE '{DAY_2}' as as_of, 'public_security' as department, * from (values
  ('PSB-001', 40000, 2, 1, 1, 0.999975), ('{RESIDENTS}.id_number.identifier', 7, 1, 0, 0, NULL),
  ('CRV-001', 9, 0, 0, 0, NULL)
) p(rule_id, findings, objections, upheld, rejected, precision);
insert into base._outcomes values ('population', DATE '{DAY_2}', 'name', 'agreed', 1990),
  ('population', DATE '{DAY_2}', 'name', 'authority_doubted', 7), ('population', DATE '{DAY_2}', 'name', NULL, 3);
insert into base._agreement values
  ('population', DATE '{DAY_2}', 'name', 'civil_affairs', 'marriage_registration', 1180, 20, 800, 1100, 13);
insert into base._coverage values ('population', DATE '{DAY_2}', 'married_registered', '{MARRIAGES}', ['{RESIDENTS}'],
  1188, 1200);
insert into base._copying values ('population', DATE '{DAY_1}', '{RESIDENTS}', '{MARRIAGES}', ['name'], 1200, 41, 40,
  12.3, 40.4, true), ('population', DATE '{DAY_1}', '{RESIDENTS}', '{ENTERPRISES}', [], 555, 0, 0, 0, 0, false);
"""
QUARANTINE = f"""
insert into public_security._quarantine by name
select 'd2' as delivery_id, 'resident_registration' as resource, n as row_number, '{CANARY_ID}' as record_key,
       'duplicate_key' as reason_code, '主键重复' as reason, '{{"name": "{CANARY_NAME}"}}' as content
from range(1, 8) t(n)"""
# Order o1 is overdue, o2 due soon, o3 closed.
LEDGER = f"""
insert into ops.passes (as_of, state) values ('{DAY_1}', 'finished'), ('{DAY_2}', 'started');
insert into ops.deliveries (delivery_id, department, resource, file_name, sha256, bytes, as_of, mode, rows_delivered,
                            rows_pooled, rows_quarantined, state, reasons)
select id, split_part(place, '.', 1), split_part(place, '.', 2), file, id, 1, day::date, mode, rows, pooled,
       rows - pooled, state, reasons::jsonb
from (values
 ('d1', '{RESIDENTS}', 'residents-1.csv', '{DAY_1}', 'full', 99999, 99999, 'pooled', '[]'),
 ('d2', '{RESIDENTS}', 'residents-2-{CANARY_PHONE}.csv', '{DAY_2}', 'full', 100007, 100000, 'pooled', '[]'),
 ('d3', '{ENTERPRISES}', 'bad{MARKUP}.csv', '{DAY_2}', NULL, NULL, NULL, 'rejected',
  '[{{"code": "columns", "message": "bad.csv row 2, id_number = {CANARY_ID}: {MARKUP} is not a column"}}]'),
 ('d4', 'no_such_department.stray', 'stray.csv', NULL, NULL, NULL, NULL, 'rejected',
  '[{{"code": "unknown_department", "message": "no_such_department is not in the catalogue"}}]')
) d(id, place, file, day, mode, rows, pooled, state, reasons);
insert into ledger.orders
select id, number, 'public_security', 'resident_registration', rule_id, 'd2', 'P03', 'consistency', '0401', 'error',
       opened::date, due::date, provisional, 1
from (values ('o1', 'JC-20261020-0001', 'PSB-001', '2026-10-20', '2026-11-02', false),
             ('o2', 'JC-20261103-0002', 'CRV-001', '2026-11-03', '2026-11-06', true),
             ('o3', 'JC-20261020-0003', 'PSB-001', '2026-10-20', '2026-11-02', false)
     ) o(id, number, rule_id, opened, due, provisional);
insert into ledger.order_events (order_id, number, department, event, state, as_of, due_on, due_provisional,
                                 working_days, paused_days, level, actor, batch)
select order_id, 1, department, 'opened', 'open', opened_on, due_on, due_provisional, 10, 0, 0, 'run', 1
from ledger.orders;
insert into ledger.items (item_id, serial, finding_id, department, resource, rule_id, record_key, column_name,
                          opened_on, batch)
select 'i' || n, n, 'i' || n, 'public_security', 'resident_registration', 'PSB-001', '{CANARY_ID}', 'birth_date',
       '{DAY_1}', 1
from generate_series(1, 5) n;
insert into ledger.events (serial, item_id, number, department, event, state, closed, since, order_id, as_of,
                           delivery_id, rule_version, record_hash, observed, suggested, actor, relapses, batch)
select item, 'i' || item, number, 'public_security', event, case event when 'opened' then 'open' else event end,
       event like 'verified%', day::date, order_id, day::date, 'd2', 1, '', '{CANARY_ID}', '{CANARY_NAME}', 'run',
       0, 1
from (values (1, 1, 'opened', '2026-10-20', 'o1'), (1, 2, 'still_wrong', '{DAY_2}', 'o1'),
             (2, 1, 'opened', '{DAY_2}', 'o2'), (3, 1, 'opened', '{DAY_2}', 'o2'),
             (4, 1, 'opened', '2026-10-20', 'o3'), (4, 2, 'verified_as_suggested', '{DAY_2}', 'o3'),
             (5, 1, 'opened', '2026-10-20', 'o1'), (5, 2, 'reopened', '{DAY_2}', 'o2')
     ) e(item, number, event, day, order_id);
"""
OVERDUE = """select count(*) from shuyuan.ledger.order_states where open > 0 and due_on < DATE '2026-11-03'"""


def fill(city: City) -> None:
    """Two passes of a city with something of everything, and canaries wherever a table holds personal values."""
    city.commit("city", lambda con: con.execute(LAKE), author="test")
    city.commit("public_security", lambda con: con.execute(QUARANTINE), author="test")
    with city.server.connect() as postgres, postgres.cursor() as cursor:
        cursor.execute(LEDGER)


class Text(HTMLParser):
    """The words of a page: links, ids, `<dt>` with its `<dd>`, and tiles with their big number."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.terms: list[tuple[str, str]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [str(given[name]) for name in ("href", "src") if name in given]
        self.ids.add(given.get("id") or "")
        if tag in ("dt", "dd") or given.get("class") == "big" or tag == "h2":
            self._open.append((tag, []))

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1][1].append(data)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1][0] != tag:
            return
        _, words = self._open.pop()
        said = " ".join("".join(words).split())
        if tag in ("dt", "h2"):
            self.terms.append((said, ""))
        else:
            self.terms[-1] = (self.terms[-1][0], said)

    def number(self, term: str) -> str:
        """What stands beside the first term that holds `term`."""
        return next(value for name, value in self.terms if term in name and value)


@pytest.fixture(scope="module")
def filled(
    small_home: Path, small_catalog: Catalog, prelude: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[City]:
    home = tmp_path_factory.mktemp("reports") / "home"
    copied(small_home, home)
    with City.open(home, small_catalog, prelude=prelude, threads=THREADS) as city:
        fill(city)
        reports.build(city, DAY_2)
        yield city


@pytest.fixture
def pages(filled: City) -> dict[str, str]:
    folder = filled.home.reports
    return {str(p.relative_to(folder)): p.read_text("utf-8") for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_department_and_resource_has_its_page(pages):
    assert set(pages) == {
        "index.html",
        "anchor.json",
        "deliveries.html",
        "libraries.html",
        "rules.html",
        "supervision.html",
        "themes.html",
        "style.css",
        "departments/civil_affairs.html",
        "departments/market_regulation.html",
        "departments/public_security.html",
        "libraries/legal_entity.html",
        "libraries/population.html",
        "resources/civil_affairs.marriage_registration.html",
        "resources/market_regulation.enterprise_registration.html",
        "resources/public_security.resident_registration.html",
    }


def test_the_site_needs_nothing_from_outside_and_every_link_leads_somewhere(filled, pages):
    followed = 0
    for path, text in pages.items():
        assert not re.search(r"https?:|//[a-z]|@import|url\(", text, re.IGNORECASE), path
    for path in [path for path in pages if path.endswith(".html")]:
        page = filled.home.reports / path
        for link in Text(page).links:
            target, _, anchor = link.partition("#")
            if link == "data:,":
                continue
            found = (page.parent / target).resolve() if target else page
            assert found.is_relative_to(filled.home.reports), (path, link)
            assert found.is_file(), (path, link)
            assert not anchor or anchor in Text(found).ids, (path, link)
            followed += 1
    assert followed > 50


def test_no_personal_value_reaches_any_page(filled, pages):
    held = filled.con.execute("select count(*) from quality.findings where observed_value = $1", [CANARY_ID]).fetchone()
    assert held == (6,)
    for path, text in pages.items():
        for canary in (CANARY_ID, CANARY_NAME, CANARY_PHONE, "3415001990"):
            assert canary not in text, (path, canary)
    assert "341***************" in pages["deliveries.html"]


def test_markup_in_a_file_name_or_a_reason_is_text(pages):
    for path, text in pages.items():
        assert "<img" not in text, path
    assert pages["deliveries.html"].count(html.escape(MARKUP)) >= 2


def test_markup_in_a_title_is_text(filled, tmp_path):
    catalog = filled.catalog
    wild = catalog.departments["civil_affairs"].model_copy(update={"title": Title(zh="<b>局&", en='"><script>x')})
    odd = dataclasses.replace(catalog, departments={**catalog.departments, "civil_affairs": wild})
    figures, ledger = collect(filled.con, odd, DAY_2), collect_ledger(filled.con, DAY_2)
    reports.write(odd, figures, ledger, tmp_path / "site")
    text = (tmp_path / "site/index.html").read_text("utf-8")
    assert "&lt;b&gt;局&amp;" in text
    assert "<b>局" not in text
    assert "<script>x" not in text


def test_the_overview_counts_what_the_tables_hold(filled):
    page = Text(filled.home.reports / "index.html")

    def one(query: str) -> str:
        row = filled.con.execute(query).fetchone()
        assert row
        return f"{int(row[0]):,}"

    day = "from shuyuan.ops.deliveries where as_of = DATE '2026-11-03'"
    opened = "from quality.findings where status = 'open'"
    last = "from shuyuan.ledger.events where as_of = DATE '2026-11-03'"
    items = "from shuyuan.ledger.item_states where not closed"
    assert page.number("Deliveries in this pass") == one(f"select count(*) {day}") == "2"
    assert page.number("Rows in") == one(f"select sum(rows_delivered) {day}") == "100,007"
    assert page.number("Quarantined") == one(f"select sum(rows_quarantined) {day}") == "7"
    assert page.number("Open findings") == one(f"select count(*) {opened}") == "5"
    assert page.number("阻断block") == one(f"select count(*) {opened} and severity = 'block'") == "1"
    assert page.number("Orders overdue") == one(OVERDUE) == "1"
    assert page.number("Items verified this pass") == one(f"select count(*) {last} and event like 'verified%'") == "1"
    assert page.number("Relapsed this pass") == one(f"select count(*) {last} and event = 'reopened'") == "1"
    assert page.number("Open in all") == one(f"select count(*) {items}") == "4"


def test_a_score_shows_its_counts_and_never_rounds_a_failure_away(pages):
    assert "<b>99.99</b><small>2 / 100,000</small>" in pages["departments/public_security.html"]
    assert "&lt;0.01 %" in pages["index.html"]
    assert not re.search(r"(?<!\d)0\.00 %|(?<!\d)100\.00 %", "".join(pages.values()))


def section(page: str, name: str) -> str:
    """The words of one section, its tags taken away."""
    found = re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)
    assert found
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", found[1])).split())


def test_a_scorecard_shows_grade_score_counts_direction_and_what_does_not_apply(pages):
    card = section(pages["departments/public_security.html"], "scorecard")
    assert "99.99 优" in card  # rounded down
    assert "本市方案" in card
    assert "2026-11 （至 2026-11-03） (to 2026-11-03) 81.23 良" in card
    assert "0401 相同数据一致性 Same data agree ↑ 99,998 / 100,000 99.99 % 5 / 10 50.00 % 99.99" in card
    assert "0303 数据重复率 Duplicates ↓ 3 / 12 25.00 % — 75.00 样本少 few" in card
    assert (
        "0305 脏数据出现率 Dirty data 不适用：没有检查脏数据的规则 not applicable: no rule looks for dirty values"
        in card
    )
    assert all(f"{code} {titled[0]} " in card for code, titled in INDICATORS.items())
    assert "92.49 良" in section(pages["index.html"], "scores")


def test_a_library_tells_who_has_the_say_who_agrees_who_is_missing_and_who_shares_errors(pages):
    def told(start: str, end: str = "</section>") -> str:
        page = pages["libraries/population.html"]
        words = re.sub(r"<[^>]+>", " ", page[page.index(start) : page.index(end, page.index(start))])
        return " ".join(html.unescape(words).split())

    assert "姓名 name 市公安局 Public Security Bureau 1. 市民政局" in told("一数一源登记")
    assert re.search(r"姓名 name 0 1,990 99[.]64 % 0 0 7 0[.]35 % 0 3", told('id="outcomes"'))
    assert "98.33 % 1,180 / 1,200 ≠ 20 · – 800" in told('id="agreement"')
    assert re.search(r"married_registered .* 1,188 / 1,200 99[.]00 % 12$", told('id="coverage"'))
    independence = told('id="independence"')
    assert "Measured 2026-11-02" in independence
    assert re.search(r"姓名 1,200 40 / 41 97[.]56 % 12[.]3$", independence)
    assert "555" not in independence
    assert "2,000 4 0 7 0 2026-11-03" in " ".join(re.sub(r"<[^>]+>", " ", pages["libraries.html"]).split())


def test_an_attribute_without_authority_stands_in_the_report_of_those(filled, tmp_path):
    catalog = filled.catalog
    library = catalog.libraries["population"]
    nobody = library.attributes["name"].model_copy(update={"authority": None, "otherwise": "majority"})
    open_one = library.model_copy(update={"attributes": {**library.attributes, "name": nobody}})
    odd = dataclasses.replace(catalog, libraries={**catalog.libraries, "population": open_one})
    reports.write(odd, collect(filled.con, odd, DAY_2), collect_ledger(filled.con, DAY_2), tmp_path / "site")
    page = (tmp_path / "site/libraries.html").read_text("utf-8")
    listed = page[page.index('id="without"') :]
    assert "姓名" in listed
    assert "the majority" in listed
    assert "1,997" in listed


def test_a_rule_nobody_objected_to_has_an_unknown_precision(pages):
    told = section(pages["departments/public_security.html"], "precision")
    assert "PSB-001 40,000 2 1 1 >99.99 %" in told
    assert f"{RESIDENTS}.id_number.identifier 7 1 0 0 未知 unknown" in told
    assert "1 more rules have findings and no objection: their precision is unknown, not 100 %." in told


@pytest.mark.parametrize(
    ("applicable", "failed", "failing", "passing"),
    [
        (0, 0, "—", "—"),
        (10, 0, "0 %", "100 %"),
        (10, 10, "100 %", "0 %"),
        (1_000_000, 1, "<0.01 %", ">99.99 %"),
        (1_000_000, 999_999, ">99.99 %", "<0.01 %"),
        (20_000, 1, "0.01 %", ">99.99 %"),
        (20_001, 1, "<0.01 %", ">99.99 %"),
        (10_000, 1, "0.01 %", "99.99 %"),
        (3, 1, "33.33 %", "66.67 %"),
    ],
)
def test_a_share_is_rounded_but_never_to_none_or_all(applicable, failed, failing, passing):
    assert failing_share(Ratio(applicable, failed)) == failing
    assert passing_share(Ratio(applicable, failed)) == passing


def test_a_refused_file_is_shown_with_its_whole_reason(pages):
    text = pages["deliveries.html"]
    assert "stray.csv" in text
    assert "no_such_department is not in the catalogue" in text
    assert "is not a column" in text
    assert "is not a column" in pages["resources/market_regulation.enterprise_registration.html"]


def test_a_rule_that_failed_to_run_is_neither_passed_nor_hidden(pages):
    assert "Rules that could not be evaluated" in pages["index.html"]
    assert "not evaluated" in pages["resources/market_regulation.enterprise_registration.html"]
    assert "Could not convert" not in "".join(pages.values())


def test_orders_stand_with_their_due_date_and_what_is_provisional(pages):
    text = pages["departments/public_security.html"]
    assert text.index("JC-20261020-0001") < text.index("JC-20261103-0002")  # the more urgent first
    assert "1 day overdue" in text
    assert "provisional" in text
    assert "JC-20261020-0003" not in text  # closed


def test_late_feeds_and_quarantine_reasons_are_told(pages):
    assert "应于 2026-11-02 前报送" in pages["index.html"]
    resource = pages["resources/public_security.resident_registration.html"]
    assert re.search(r"duplicate key</span></span> 7</li>", resource)


def test_the_rule_book_tells_every_rule_a_steward_wrote(pages, small_catalog):
    written = [rule for resource in small_catalog.resources.values() for rule in resource.rules]
    written += [rule for table in small_catalog.thematic.values() for rule in table.rules]
    assert written
    for rule in written:
        for said in (rule.id, rule.zh, rule.en, rule.source):
            assert html.escape(said, quote=False) in pages["rules.html"]


def test_every_rule_of_a_resource_stands_on_its_page(pages, small_catalog):
    for resource in small_catalog.resources.values():
        rules = all_rules(resource, small_catalog)
        assert rules
        for rule in rules:
            assert f'<span class="id">{rule.id}</span>' in pages[f"resources/{resource.id}.html"]


def test_building_again_changes_no_byte_and_leaves_nothing_behind(filled, pages):
    stale = filled.home.reports / "resources/gone.html"
    stale.write_text("a resource of last year")
    index = reports.build(filled, DAY_2)
    again = {
        str(p.relative_to(index.parent)): p.read_text("utf-8") for p in sorted(index.parent.rglob("*")) if p.is_file()
    }
    assert again == pages
    assert not list(filled.home.tmp.rglob("*.html"))


def test_every_page_tells_its_business_date_and_no_time_of_day(pages):
    for path, text in pages.items():
        if path.endswith(".html"):
            assert '<time datetime="2026-11-03">2026-11-03</time>' in text, path
            assert not re.search(r"[0-2]\d:[0-5]\d:[0-5]\d", text), path


def test_an_earlier_pass_shows_nothing_delivered_later(filled, tmp_path):
    figures, ledger = collect(filled.con, filled.catalog, DAY_1), collect_ledger(filled.con, DAY_1)
    reports.write(filled.catalog, figures, ledger, tmp_path / "site")
    text = (tmp_path / "site/deliveries.html").read_text("utf-8")
    assert "residents-1.csv" in text
    assert "residents-2" not in text


def test_a_city_without_a_delivery_has_a_report_too(small_city):
    page = Text(reports.build(small_city, DAY_1))
    assert page.number("Deliveries in this pass") == "0"
    assert page.number("Open findings") == "0"


def test_every_state_severity_dimension_and_cycle_has_words():
    assert set(report_words.STATES) == set(ItemState)
    assert set(report_words.SEVERITIES) == set(Severity)
    assert set(report_words.DIMENSIONS) == set(DIMENSIONS)
    assert set(report_words.CYCLES) == set(Cycle)
    for words in (report_words.STATES, report_words.SEVERITIES, report_words.DIMENSIONS):
        assert all(word.zh and word.en and word.zh_note and word.en_note for word in words.values())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("id_number = 34150019900307123X", "id_number = 341***************"),
        ("旧证 341500900307123，电话13955550199。", "旧证 341************，电话139********。"),
        ("residents-20261103-091500.csv, 100007 rows", "residents-20261103-091500.csv, 100007 rows"),
        ("91341500MA2NXXXX0A", "91341500MA2NXXXX0A"),
    ],
)
def test_what_looks_like_a_person_is_masked_in_reasons(text, shown):
    assert redact(text) == shown


@pytest.mark.parametrize("values", [[], [0], [3, 0, 7], [1_500, 2_000_000], list(range(30))])
def test_a_chart_is_well_formed_named_and_inside_its_box(values):
    days = [date(2026, 11, 1 + i) for i in range(len(values))]
    for chart in (
        trend(days, values, title="a < b"),
        bars(days, values, title="a < b"),
        up_and_down(days, values, values, title="a < b"),
    ):
        drawing = ET.fromstring(chart)
        assert drawing.findtext("title") == "a < b"
        for mark in drawing.iter("rect"):
            top, height = float(mark.attrib["y"]), float(mark.attrib["height"])
            assert height >= 0
            assert 0 <= top <= top + height <= 150
    assert len(list(ET.fromstring(trend(days, values, title="t")).iter("circle"))) == len(values)


@pytest.mark.chromium
def test_no_page_is_wider_than_a_phone_or_a_desk(filled, pages, tmp_path):
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("Debian's chromium is not installed")
    frames = []
    for path in [path for path in pages if path.endswith(".html")]:
        folder = (filled.home.reports / path).parent.as_uri()
        content = html.escape(pages[path].replace("<head>", f'<head><base href="{folder}/">'))
        frames += [
            f'<iframe title="{path} {width}" style="width:{width}px;height:900px;border:0" srcdoc="{content}"></iframe>'
            for width in (390, 1280)
        ]
    wrapper = tmp_path / "pages.html"
    wrapper.write_text(
        "<!doctype html><meta charset=utf-8>"
        + "".join(frames)
        + """<script>addEventListener("load", () => {
        const sizes = {};
        for (const frame of document.querySelectorAll("iframe")) {
          const root = frame.contentDocument.documentElement;
          sizes[frame.title] = [root.scrollWidth, getComputedStyle(root.querySelector(".tile, section")).borderRadius];
        }
        document.title = JSON.stringify(sizes);
        });</script>""",
        encoding="utf-8",
    )
    options = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    options += f" disable-component-update disable-sync user-data-dir={tmp_path / 'profile'} dump-dom"
    command = ["/usr/bin/chromium", *(f"--{option}" for option in options.split()), wrapper.as_uri()]
    found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    title = re.search(r"<title>(.*?)</title>", found)
    assert title
    sizes = json.loads(html.unescape(title[1]))
    assert len(sizes) == len(frames) == 28
    for name, (width, radius) in sizes.items():
        assert radius == "10px", f"{name}: the style sheet was not read"
        assert width <= int(name.split()[-1]), f"{name}: {width} pixels wide"
