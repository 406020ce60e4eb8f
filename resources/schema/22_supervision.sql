-- Frozen figures of supervision (docs/supervision.md). Append-only as all of this schema: a correction is a new version.
create table if not exists ledger.supervision_versions (
    period text not null check (period ~ '^\d{4}(-\d{2})?$'),
    version integer not null check (version > 0),
    first_day date not null,
    last_day date not null,
    compared_version integer,
    small_sample integer not null,
    rows_digest text not null,
    author text not null,
    recorded_at timestamptz not null default transaction_timestamp(),
    primary key (period, version)
);
comment on table ledger.supervision_versions is '监测报告 / One row per month or year and version of its figures; the last one stands';
comment on column ledger.supervision_versions.compared_version is 'Version of the period before that it is compared with; null: there was none';
comment on column ledger.supervision_versions.small_sample is 'A share of fewer than this is marked';
comment on column ledger.supervision_versions.rows_digest is 'sha256 of cases.csv and orders.csv, from which every figure can be counted again';

create table if not exists ledger.supervision_heads (
    period text not null,
    version integer not null,
    department text not null,
    batch integer not null,
    as_of date not null,
    digest text not null,
    primary key (period, version, department, batch),
    foreign key (period, version) references ledger.supervision_versions
);
comment on table ledger.supervision_heads is 'Links of the departments'' chains: the first of each was counted up to, later ones were looked at and changed nothing';

create table if not exists ledger.supervision_figures (
    period text not null,
    version integer not null,
    scope text not null check (scope in ('city', 'department', 'resource', 'dimension', 'department_dimension')),
    department text not null,
    resource text not null,
    dimension text not null,
    figure text not null,
    amount numeric(20, 1),
    whole bigint,
    primary key (period, version, scope, department, resource, dimension, figure),
    foreign key (period, version) references ledger.supervision_versions
);
comment on table ledger.supervision_figures is 'One row per version, scope and figure; what each counts is quality_checks/supervision.py and figures.csv';
comment on column ledger.supervision_figures.amount is 'The count, of a share its numerator; null: nothing to measure';
comment on column ledger.supervision_figures.whole is 'Denominator of a share; null: the figure is none';

create table if not exists ledger.supervision_list (
    period text not null,
    version integer not null,
    department text not null,
    order_number text not null,
    criterion text not null,
    amount bigint not null,
    whole bigint,
    threshold bigint not null,
    articles text not null,
    rectify_by date not null,
    provisional boolean not null,
    primary key (period, version, department, order_number, criterion),
    foreign key (period, version) references ledger.supervision_versions
);
comment on table ledger.supervision_list is '限期整改 / One row per version and department or order (else empty) that meets a criterion of the jurisdiction';

-- What dashboards read: the version that stands.
create or replace view curated.supervision_figures as
select f.period, f.version, f.scope, f.department, f.resource, f.dimension, f.figure, f.amount, f.whole,
       case when f.whole > 0 then round(f.amount / f.whole, 4) end as share,
       f.whole is not null and f.whole < v.small_sample as small_sample,
       v.first_day, v.last_day, v.recorded_at
from ledger.supervision_figures f
join ledger.supervision_versions v using (period, version)
where v.version = (select max(l.version) from ledger.supervision_versions l where l.period = v.period);
comment on view curated.supervision_figures is '监测报告指标 / One row per period, scope and figure of the version that stands';
comment on column curated.supervision_figures.share is 'amount / whole; null where nothing was due: that is neither 0 nor 1';
comment on column curated.supervision_figures.small_sample is 'too few were counted for the share to mean much';

create or replace view curated.supervision_list as
select l.* from ledger.supervision_list l
where l.version = (select max(v.version) from ledger.supervision_versions v where v.period = l.period);
comment on view curated.supervision_list is '限期整改清单 / One row per department or order to be rectified, of the version that stands';
grant select on curated.supervision_figures, curated.supervision_list to dashboard_reader;
