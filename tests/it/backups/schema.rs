//! No table is forgotten.

use std::collections::BTreeSet;

use domain::backups::{MIGRATIONS, TABLES};
use domain::kernel::Reads;
use harness::{Backend, on_both};
use sea_orm::ConnectionTrait;

on_both! {
    async fn every_table_of_the_schema_is_backed_up(t: TestApp) {
        let names = match t.backend {
            Backend::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
            Backend::Postgres => {
                "SELECT table_name::text FROM information_schema.tables
                 WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
            }
        };
        let rows = t.db().conn().query_all_raw(t.db().sql(names, [])).await.unwrap();
        let there: BTreeSet<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        let known: BTreeSet<String> = TABLES.iter().chain([&MIGRATIONS]).map(|name| (*name).to_owned()).collect();
        let forgotten: Vec<_> = there.difference(&known).collect();
        assert!(forgotten.is_empty(), "put them into domain/src/backups/tables.rs, behind what they refer to: {forgotten:?}");
        let gone: Vec<_> = known.difference(&there).collect();
        assert!(gone.is_empty(), "{gone:?}");
    }
}
