"""The stages as Dagster assets, grouped by layer, in the order the data flows.

Each asset is a thin shell: it calls its stage's function and reports counts. Decisions and SQL belong to the stage
modules; owners, kinds, tags and freshness are put on by one policy pass in `pipelines.policy`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import dagster as dg

from assets import (
    base,
    corrections,
    deliveries,
    feedback,
    identity,
    notices,
    passes,
    pools,
    publish,
    quality,
    reports,
    requests,
    scoring,
    supervision,
    supervision_files,
    thematic,
)
from assets.graph_pools import PASS, not_loaded, pool_key, table_of
from assets.passing import Pass
from assets.pooling import PoolResult
from assets.settling import may_retry, settled
from catalog import Catalog, Column, Department, Resource, Rule, ThematicTable
from quality_checks import rules
from quality_checks.results import RuleResult
from resources.cluster import ServerError

LAST_STEP = "reports__site"


def build_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """Every asset of the city, in flow order."""
    pools_by_department = [
        _pools(catalog, catalog.departments[name], resources)
        for name in catalog.departments
        if (resources := catalog.of_department(name))
    ]
    return [
        _deliveries(),
        *pools_by_department,
        _base(catalog),
        _correlation(catalog),
        _thematic(catalog),
        _timeliness(catalog),
        _ledger(catalog),
        _notices(),
        _scores(),
        _publish(catalog),
        _supervision(),
        _site(catalog),
    ]


def _this(context: dg.AssetExecutionContext) -> Pass:
    current: Pass = getattr(context.resources, PASS)
    return current


def _schema(columns: dict[str, Column]) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                column.sql_type,
                description=column.title,
                constraints=dg.TableColumnConstraints(nullable=not column.required),
                tags={"level": column.level.value},
            )
            for name, column in columns.items()
        ]
    )


def _dimensions(written: Iterable[Rule]) -> list[str]:
    return sorted({rule.dimension for rule in written})


def _check(name: str, key: dg.AssetKey, results: Sequence[RuleResult]) -> dg.AssetCheckResult:
    """One check: counts of its rules; a rule whose SQL failed makes it an error of its own, never a pass."""
    broken = [result.rule_id for result in results if result.state == "error"]
    failed = [result for result in results if result.failed > result.tolerated]
    grave = any(result.severity in ("block", "error") for result in failed)
    worst = dict(sorted(((r.rule_id, r.failed) for r in failed), key=lambda item: -item[1])[:20])
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=key,
        passed=not failed and not broken and any(result.applicable for result in results),
        severity=dg.AssetCheckSeverity.ERROR if grave or broken else dg.AssetCheckSeverity.WARN,
        metadata={
            "rules": len(results),
            "applicable": sum(result.applicable for result in results),
            "failed": sum(result.failed for result in results),
            "failed_by_rule": dg.MetadataValue.json(worst),
            "rules_that_could_not_run": dg.MetadataValue.json(broken),
        },
    )


def _by_dimension(results: Iterable[RuleResult]) -> dict[str, list[RuleResult]]:
    grouped: dict[str, list[RuleResult]] = defaultdict(list)
    for result in results:
        grouped[result.dimension].append(result)
    return grouped


def _note_errors(current: Pass, results: Iterable[RuleResult]) -> None:
    current.figures.rule_errors += sum(result.state == "error" for result in results)


def _deliveries() -> dg.AssetsDefinition:
    @dg.asset(key=["ops", "deliveries"], group_name="delivery", required_resource_keys={PASS})
    @settled
    def register(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        """One row per delivery: what arrived in landing, archived and registered."""
        current = _this(context)
        current.progress("deliveries")
        found = deliveries.register(current.city)
        passes.start(current.city, current.as_of)
        return dg.MaterializeResult(metadata={"registered": found.registered, "rejected": found.rejected})

    return register


def _pools(catalog: Catalog, department: Department, resources: Sequence[Resource]) -> dg.AssetsDefinition:
    by_key = {pool_key(resource): resource for resource in resources}
    checks = [
        dg.AssetCheckSpec(dimension, asset=key, description=f"{dimension}: rules of {resource.id}")
        for key, resource in by_key.items()
        for dimension in _dimensions(rules.pool_rules(resource, catalog))
    ]

    @dg.multi_asset(
        name=f"pool_{department.name}",
        specs=[
            dg.AssetSpec(
                key,
                group_name="pool",
                deps=[["ops", "deliveries"]],
                description=f"{resource.title.zh} {resource.title.en}. {resource.summary}",
                metadata={"dagster/column_schema": _schema(resource.columns), "dagster/table_name": resource.id},
            )
            for key, resource in by_key.items()
        ],
        check_specs=checks,
        can_subset=True,
        required_resource_keys={PASS},
    )
    @settled
    def pool(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        current = _this(context)
        chosen = [by_key[key] for key in by_key if key in context.selected_asset_keys]
        current.progress(f"pools of {department.name}")
        try:
            loaded = pools.load(
                current.city, department.name, current.as_of, author=current.author, only=[r.name for r in chosen]
            )
            checked = quality.check_pools(current.city, chosen, current.as_of, author=current.author)
        except Exception as error:
            if not current.whole or isinstance(error, ServerError) or may_retry(context, error):
                raise
            yield from not_loaded(context, department.name, chosen, error)
            return
        for resource in chosen:
            mine = [one for one in loaded if one.resource == resource.name]
            results = checked[resource.id]
            _note_errors(current, results)
            _count_deliveries(current, mine)
            yield dg.MaterializeResult(
                asset_key=pool_key(resource),
                metadata={
                    "dagster/row_count": pools.row_count(current.city, resource),
                    "rows_delivered": sum(one.rows_delivered for one in mine),
                    "rows_pooled": sum(one.rows_pooled for one in mine),
                    "rows_quarantined": sum(one.rows_quarantined for one in mine),
                    "deliveries": table_of(mine),
                },
                check_results=[
                    _check(dimension, pool_key(resource), _by_dimension(results).get(dimension, []))
                    for dimension in _dimensions(rules.pool_rules(resource, catalog))
                ],
            )

    return pool


def _count_deliveries(current: Pass, loaded: Sequence[PoolResult]) -> None:
    figures = current.figures
    figures.deliveries += len(loaded)
    figures.rejected += sum(one.rejected for one in loaded)
    figures.rows_delivered += sum(one.rows_delivered for one in loaded if one.state == "pooled")
    figures.rows_pooled += sum(one.rows_pooled for one in loaded)
    figures.rows_quarantined += sum(one.rows_quarantined for one in loaded)
    figures.rows_removed += sum(one.rows_removed for one in loaded)


def _base(catalog: Catalog) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="base",
        specs=[
            dg.AssetSpec(
                ["base", library.name],
                group_name="base",
                deps=[pool_key(source) for source in catalog.sources_of(library.name)],
                description=f"{library.title.zh} {library.title.en}: one row per {library.entity}. {library.summary}",
                metadata={
                    "dagster/column_schema": _schema({n: a.as_column() for n, a in library.attributes.items()}),
                    "dagster/table_name": f"base.{library.name}",
                },
            )
            for library in catalog.libraries.values()
        ],
        check_specs=[
            dg.AssetCheckSpec("sources_agree", asset=["base", name], description="sources compared with the authority")
            for name in catalog.libraries
        ],
        required_resource_keys={PASS},
    )
    @settled
    def build(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        current = _this(context)
        for library in catalog.libraries.values():
            current.progress(f"base {library.name}")
            known = identity.resolve(current.city, library, current.as_of, author=current.author)
            built = base.build(current.city, library, current.as_of, author=current.author, full=current.full)
            _note_errors(current, built.results)
            key = dg.AssetKey(["base", library.name])
            without_number = {f"without_number_{what}": count for what, count in known.counts.items()}
            yield dg.MaterializeResult(
                asset_key=key,
                metadata={
                    "dagster/row_count": built.entities,
                    "sources": built.sources,
                    "built": built.told,
                    "touched": built.touched,
                    "versions_written": built.changed,
                    **without_number,
                },
                check_results=[_check("sources_agree", key, built.results)],
            )

    return build


def _correlation(catalog: Catalog) -> dg.AssetsDefinition:
    key = dg.AssetKey(["quality", "correlation"])
    speaking = {r.id: r for r in catalog.resources.values() if rules.lookup_rules(r, catalog)}

    @dg.multi_asset(
        name="correlation",
        specs=[
            dg.AssetSpec(
                key,
                group_name="quality",
                deps=[["base", name] for name in catalog.libraries],
                description="One result per rule that compares a department's records with what the libraries know.",
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(f"{r.department}__{r.name}__{dimension}", asset=key)
            for r in speaking.values()
            for dimension in _dimensions(rules.lookup_rules(r, catalog))
        ],
        required_resource_keys={PASS},
    )
    @settled
    def correlation(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        current = _this(context)
        checks = []
        current.progress("correlation")
        found = quality.check_all_lookups(current.city, list(speaking.values()), current.as_of, author=current.author)
        for resource in speaking.values():
            results = found[resource.id]
            _note_errors(current, results)
            checks += [
                _check(
                    f"{resource.department}__{resource.name}__{dimension}",
                    key,
                    _by_dimension(results).get(dimension, []),
                )
                for dimension in _dimensions(rules.lookup_rules(resource, catalog))
            ]
        yield dg.MaterializeResult(asset_key=key, metadata={"resources": len(speaking)}, check_results=checks)

    return correlation


def _thematic(catalog: Catalog) -> dg.AssetsDefinition:
    def upstream(source: str) -> list[str]:
        return ["thematic", *source.split(".")] if source in catalog.thematic else _key_of(source)

    def _key_of(source: str) -> list[str]:
        return source.split(".") if source.startswith("base.") else ["pool", *source.split(".")]

    tables = catalog.thematic_in_order
    keys = {table.id: dg.AssetKey(["thematic", table.topic, table.name]) for table in tables}

    @dg.multi_asset(
        name="thematic",
        specs=[
            dg.AssetSpec(
                keys[table.id],
                group_name="thematic",
                deps=[*(upstream(source) for source in table.reads), ["quality", "correlation"]],
                description=f"{table.title.zh} {table.title.en}. {table.grain}. {table.summary}",
                metadata={
                    "dagster/column_schema": _schema(table.columns),
                    "dagster/table_name": f"thematic.{table.topic}__{table.name}",
                },
            )
            for table in tables
        ],
        check_specs=[
            *(dg.AssetCheckSpec("contract", asset=key, description="columns, types, key") for key in keys.values()),
            *(
                dg.AssetCheckSpec(dimension, asset=keys[table.id])
                for table in tables
                for dimension in _dimensions(rules.thematic_rules(catalog, table))
            ),
        ],
        required_resource_keys={PASS},
    )
    @settled
    def build(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        current = _this(context)
        for table in tables:
            current.progress(f"thematic {table.id}")
            broken = _build_thematic(current, table)
            results = quality.check_thematic(current.city, table, current.as_of, author=current.author)
            _note_errors(current, results)
            yield dg.MaterializeResult(
                asset_key=keys[table.id],
                metadata={"dagster/row_count": thematic.row_count(current.city, table)},
                check_results=[
                    dg.AssetCheckResult(
                        check_name="contract",
                        asset_key=keys[table.id],
                        passed=not broken,
                        metadata={"broken": broken or "kept"},
                    ),
                    *(
                        _check(dimension, keys[table.id], _by_dimension(results).get(dimension, []))
                        for dimension in _dimensions(rules.thematic_rules(catalog, table))
                    ),
                ],
            )

    return build


def _build_thematic(current: Pass, table: ThematicTable) -> str:
    """Why the table broke its contract and keeps its last good content; empty when it was built."""
    try:
        thematic.build(current.city, table, current.as_of, author=current.author)
    except thematic.ThematicContractError as error:
        current.figures.contracts_broken += 1
        return str(error)
    return ""


def _timeliness(catalog: Catalog) -> dg.AssetsDefinition:
    key = dg.AssetKey(["quality", "timeliness"])

    @dg.multi_asset(
        name="timeliness",
        specs=[
            dg.AssetSpec(
                key,
                group_name="quality",
                deps=[pool_key(resource) for resource in catalog.resources.values()],
                description="One result per resource and delivery rule: late, short, misshapen, of unusual size.",
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(f"{department}__freshness", asset=key, description="deliveries due, counted and complete")
            for department in catalog.departments
        ],
        required_resource_keys={PASS},
    )
    @settled
    def timeliness(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        current = _this(context)
        current.progress("timeliness")
        results = quality.check_deliveries(current.city, current.as_of, author=current.author)
        _note_errors(current, results)
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={"late": sum(r.failed for r in results if r.rule_id.endswith(".delivery.late"))},
            check_results=[
                _check(f"{department}__freshness", key, [r for r in results if r.department == department])
                for department in catalog.departments
            ],
        )

    return timeliness


def _ledger(catalog: Catalog) -> dg.AssetsDefinition:
    @dg.asset(
        key=["corrections", "ledger"],
        group_name="corrections",
        deps=[
            ["quality", "correlation"],
            ["quality", "timeliness"],
            *(["thematic", table.topic, table.name] for table in catalog.thematic.values()),
        ],
        required_resource_keys={PASS},
    )
    @settled
    def ledger(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        """One event per change of a correction item: opened, judged by the new delivery, answered."""
        current = _this(context)
        current.progress("corrections")
        feedback.take(current.city, current.as_of, author=current.author)
        requests.take(current.city, current.as_of, author=current.author)
        moved = corrections.advance(current.city, current.as_of, author=current.author)
        figures = current.figures
        figures.orders_opened, figures.items_opened = moved.orders_opened, moved.items_opened
        figures.orders_closed = moved.orders_closed
        figures.findings_open, figures.findings_new = quality.count_findings(current.city, current.as_of)
        figures.items_closed, figures.items_reopened = moved.items_closed, moved.items_reopened
        figures.orders_open, figures.orders_overdue = moved.orders_open, moved.orders_overdue
        figures.orders_held = moved.orders_held
        return dg.MaterializeResult(
            metadata={
                "orders_opened": moved.orders_opened,
                "orders_open": moved.orders_open,
                "orders_held": moved.orders_held,
                "orders_overdue": moved.orders_overdue,
                "items_opened": moved.items_opened,
                "items_closed": moved.items_closed,
                "items_reopened": moved.items_reopened,
            }
        )

    return ledger


def _notices() -> dg.AssetsDefinition:
    @dg.asset(
        key=["corrections", "notices"],
        group_name="corrections",
        deps=[["corrections", "ledger"]],
        required_resource_keys={PASS},
    )
    @settled
    def issue(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        """One notice per department with new orders, in its outbox folder."""
        current = _this(context)
        current.progress("notices")
        written = notices.issue(current.city, current.as_of, author=current.author)
        current.figures.notices = len(written)
        return dg.MaterializeResult(metadata={"files": len(written)})

    return issue


def _scores() -> dg.AssetsDefinition:
    @dg.asset(
        key=["quality", "scores"],
        group_name="quality",
        deps=[["corrections", "ledger"]],
        required_resource_keys={PASS},
    )
    @settled
    def scores(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        """One row per scope, name and indicator or dimension: what is right of what was counted, and its score."""
        current = _this(context)
        current.progress("scores")
        scoring.score(current.city, current.as_of, author=current.author)
        return dg.MaterializeResult(metadata={"dagster/table_name": "quality.scores"})

    return scores


def _publish(catalog: Catalog) -> dg.AssetsDefinition:
    keys = {name: dg.AssetKey(["publish", name]) for name in catalog.products}

    @dg.multi_asset(
        name="publish",
        specs=[
            dg.AssetSpec(
                keys[product.name],
                group_name="publish",
                deps=[product.reads.split("."), ["quality", "scores"]],
                description=f"{product.title.zh} {product.title.en}. {product.summary}",
                metadata={"dagster/table_name": f"curated.{product.name}"},
            )
            for product in catalog.products.values()
        ],
        check_specs=[dg.AssetCheckSpec("gate", asset=key) for key in keys.values()],
        required_resource_keys={PASS},
    )
    @settled
    def products(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        current = _this(context)
        for product in catalog.products.values():
            current.progress(f"publish {product.name}")
            done = publish.publish(current.city, product, current.as_of, author=current.author)
            current.figures.published += done.published
            current.figures.held_back += done.held
            yield dg.MaterializeResult(
                asset_key=keys[product.name],
                metadata={"dagster/row_count": done.rows, "reason": done.reason},
                check_results=[
                    dg.AssetCheckResult(
                        check_name="gate",
                        asset_key=keys[product.name],
                        passed=not done.held,
                        severity=dg.AssetCheckSeverity.WARN,
                        metadata={"reason": done.reason or "passed"},
                    )
                ],
            )

    return products


def _supervision() -> dg.AssetsDefinition:
    @dg.asset(
        key=["reports", "supervision"],
        group_name="reports",
        deps=[["corrections", "notices"]],
        required_resource_keys={PASS},
    )
    @settled
    def monitoring(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        """One monitoring report per month and year that is over, from frozen figures; anew when more is known."""
        current = _this(context)
        current.progress("supervision")
        made = supervision.freeze(current.city, current.as_of, author=current.author)
        written = supervision_files.write_missing(current.city)
        named = ", ".join(f"{one.period} v{one.version}" for one in made)
        return dg.MaterializeResult(metadata={"versions": named or "none", "reports": len(written)})

    return monitoring


def _site(catalog: Catalog) -> dg.AssetsDefinition:
    @dg.asset(
        key=["reports", "site"],
        group_name="reports",
        deps=[
            ["quality", "scores"],
            ["corrections", "notices"],
            ["reports", "supervision"],
            *(["publish", name] for name in catalog.products),
        ],
        required_resource_keys={PASS},
    )
    @settled
    def site(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        """One page for the city, one per department, one per resource."""
        current = _this(context)
        current.progress("reports")
        index = reports.build(current.city, current.as_of)
        current.figures.report = str(index)
        passes.finish(current.city, current.as_of, current.figures)
        yield dg.MaterializeResult(metadata={"dagster/uri": dg.MetadataValue.path(str(index))})
        if current.failures:
            raise dg.Failure(f"made, but not loaded: {'; '.join(current.failures)}", allow_retries=False)

    return site
