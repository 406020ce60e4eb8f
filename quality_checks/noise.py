"""When many findings have one cause, and when a delivery opens so many items that the bureau looks first.

Settings in, DuckDB SQL out: `catalog.jurisdiction.Noise` says from where on. Which order an item goes into decides
`assets.grouping`; what becomes of orders that are held or accepted, `assets.order_noise`.
"""

from __future__ import annotations

from datetime import date

from catalog.jurisdiction import Noise


def causes_sql(items: str, deliveries: str, settings: Noise, as_of: date) -> str:
    """A query for rules nearly all rows fail: `department, resource, rule_id, failing, rows, told`, one row a rule.

    Rows are those the rule was counted on in the pass, or those of one delivery, when nearly all of its records are
    among `items` (`department, resource, rule_id, record_key, judged_delivery`, to be opened now); `deliveries` says
    how many rows each had. `told` is the sentence a notice says it in.
    """
    share = "printf('%.1f %%', floor(1000.0 * failing / rows) / 10)"
    return f"""
        SELECT *, concat('本规则检查', rows, '行，其中', failing, '行（', {share}, '）不通过：',
                         '很可能出于同一原因（格式、映射或字段取错）。 ', failing, ' of ', rows, ' rows (', {share},
                         ') fail this rule: one cause is likely (a format, a mapping, a wrong column).') AS told
        FROM (
            SELECT department, resource, rule_id, max(failed) AS failing, max(applicable) AS rows
            FROM quality.results WHERE as_of = DATE '{as_of}' AND state = 'ok' GROUP BY ALL
            UNION ALL
            SELECT i.department, i.resource, i.rule_id, count(DISTINCT i.record_key), d.rows_delivered
            FROM {items} i JOIN {deliveries} d ON d.delivery_id = i.judged_delivery
            GROUP BY i.department, i.resource, i.rule_id, i.judged_delivery, d.rows_delivered
        )
        WHERE rows >= {settings.systematic_rows} AND failing >= {settings.systematic_share} * rows
        QUALIFY row_number() OVER (PARTITION BY department, resource, rule_id ORDER BY rows DESC, failing DESC) = 1"""


def storms_sql(items: str, deliveries: str, settings: Noise, as_of: date) -> str:
    """A query for storms: `department, resource, judged_delivery, told`, one row a delivery that opens too much.

    `judged_delivery` is NULL where the deliveries of a resource do so together, as after a change of a rule. Of a
    delivery whose size is not known, and of the resource, the rows that a rule was counted on in the pass stand for it.
    """
    return f"""
        SELECT department, resource, judged_delivery,
               concat('一次产生', items, '条，涉及', rows, '行中的', records, '行：发出前由数据主管部门核查。 ', items,
                      ' items in ', records, ' of ', rows, ' rows at once: the bureau looks before they are sent.')
               AS told
        FROM (
            SELECT i.department, i.resource, i.judged_delivery, count(*) AS items,
                   count(DISTINCT i.record_key) AS records,
                   coalesce(nullif(CASE WHEN GROUPING(i.judged_delivery) = 0 THEN any_value(d.rows_delivered) END, 0),
                            any_value(r.rows), 0) AS rows
            FROM {items} i
            LEFT JOIN {deliveries} d ON d.delivery_id = i.judged_delivery
            LEFT JOIN (
                SELECT department, resource, max(applicable) AS rows FROM quality.results
                WHERE as_of = DATE '{as_of}' AND state = 'ok' GROUP BY ALL
            ) r ON r.department = i.department AND r.resource = i.resource
            WHERE NOT i.joined
            GROUP BY GROUPING SETS ((i.department, i.resource, i.judged_delivery), (i.department, i.resource))
        )
        WHERE items > {settings.storm_items} AND records > {settings.storm_share} * rows"""
