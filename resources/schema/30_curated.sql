-- What dashboards read: views in schema curated over versioned tables that nobody but the pipeline reaches.
create schema if not exists curated;
create schema if not exists curated_versions;
comment on schema curated is '发布产品 / Curated products: always whole, gated by quality, masked by level';
comment on schema curated_versions is 'Versioned tables behind the views of curated; no reader has access';
grant usage, create on schema curated_versions to pipeline;

create table if not exists curated.meta_products (
    product text primary key,
    as_of date,
    rows bigint not null default 0,
    version bigint not null default 0,
    published_at timestamptz,
    gate text not null check (gate in ('passed', 'held')),
    gate_as_of date not null,
    reason text not null default '',
    content text
);
comment on table curated.meta_products is '发布情况 / One row per product: what its view shows and what the gate last said';
comment on column curated.meta_products.as_of is '数据日期 / business day of the pass whose data the view shows; null before the first';
comment on column curated.meta_products.version is '版本 / number of the version shown; 0 before the first';
comment on column curated.meta_products.gate is '闸门 / passed, or held: the last good version stays';
comment on column curated.meta_products.gate_as_of is '检查日期 / business day of the pass in which the gate last judged';
comment on column curated.meta_products.reason is '原因 / why the gate held; empty when it passed';
comment on column curated.meta_products.content is '指纹 / fingerprint of columns and rows: an equal one is not written again';
grant select, insert, update on curated.meta_products to pipeline;
grant select on curated.meta_products to dashboard_reader;
