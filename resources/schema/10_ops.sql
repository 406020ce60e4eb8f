-- What has arrived and how far the pipeline is. Run at every preparation of the server, on homes of any age: keep it
-- idempotent, and give a column that is added to a table an `alter table … add column if not exists` too.
create schema if not exists ops;
create schema if not exists ledger;
create schema if not exists curated;

create table if not exists ops.deliveries (
    delivery_id text primary key,
    department text not null,
    resource text not null,
    file_name text not null,
    archive_path text,
    sha256 text not null,
    bytes bigint not null,
    as_of date,
    pass_as_of date,
    mode text,
    rows_declared bigint,
    rows_delivered bigint,
    rows_pooled bigint,
    rows_quarantined bigint,
    state text not null check (state in ('registered', 'pooled', 'rejected')),
    reasons jsonb not null default '[]',
    registered_at timestamptz not null default now()
);
alter table ops.deliveries add column if not exists pass_as_of date;
create index if not exists deliveries_by_resource on ops.deliveries (department, resource, as_of);
comment on table ops.deliveries is 'One row per delivery: a file that arrived once for one resource';
comment on column ops.deliveries.pass_as_of is 'Business day of the pass that takes it in';
comment on column ops.deliveries.reasons is 'Why it was rejected, or what was noticed: [{"code": …, "message": …}]';

create table if not exists ops.passes (
    as_of date primary key,
    state text not null check (state in ('started', 'finished')),
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    summary jsonb
);
comment on table ops.passes is 'One row per as-of date the city was taken to';

create table if not exists ops.applied (
    target text primary key,
    fingerprint text not null,
    applied_at timestamptz not null default now()
);
comment on table ops.applied is 'One row per lake catalog: hash of the tables it was last brought to';
