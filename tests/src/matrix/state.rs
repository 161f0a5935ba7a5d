//! The whole database in a form that can be compared, and put back.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::collections::BTreeMap;

use domain::kernel::Reads;
use sea_orm::ConnectionTrait;

use crate::app::{Backend, TestApp, eventually};

/// Written at any request, off its path.
const TOUCHED: &[&str] = &["last_used_at", "idle_expires_at"];
/// Requests are counted as they come, and written down now and then.
const METER: &str = "api_usage";
/// Where what happened is kept.
const JOURNAL: &[&str] = &["journal", "ledgers"];

/// The rows of every table, but for the columns that note the use of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State(BTreeMap<String, String>);

impl State {
    /// Names of the tables whose rows are not the same.
    pub fn changed_since(&self, before: &Self) -> Vec<&str> {
        let names = self
            .0
            .iter()
            .filter(|(table, rows)| before.0.get(*table) != Some(*rows));
        names.map(|(table, _)| table.as_str()).collect()
    }

    /// Like [`State::changed_since`], without the journal.
    pub fn changed_beside_the_journal(&self, before: &Self) -> Vec<&str> {
        let mut changed = self.changed_since(before);
        changed.retain(|table| !JOURNAL.contains(table));
        changed
    }
}

/// A copy of every table, inside the database itself.
pub struct Kept {
    /// In the order of their references.
    tables: Vec<Table>,
    look: String,
    beginning: State,
}

impl Kept {
    /// Copies the database as it is, once no job is under way.
    pub async fn of(app: &TestApp) -> Self {
        quiet(app).await;
        let tables = tables(app).await;
        let looks: Vec<_> = tables.iter().map(|table| table.look(app.backend)).collect();
        let mut kept = Self {
            tables,
            look: looks.join(" UNION ALL "),
            beginning: State(BTreeMap::new()),
        };
        kept.beginning = kept.state(app).await;
        let copies = kept
            .tables
            .iter()
            .map(|table| format!("CREATE TABLE kept_{0} AS SELECT * FROM {0};", table.name));
        app.sql(&copies.collect::<String>()).await;
        kept
    }

    /// Puts the database back, once no job is under way.
    pub async fn restore(&self, app: &TestApp) {
        quiet(app).await;
        let now = self.state(app).await;
        let changed = now.changed_since(&self.beginning);
        if changed.is_empty() {
            return;
        }
        let changed: Vec<_> = self
            .tables
            .iter()
            .filter(|table| changed.contains(&table.name.as_str()))
            .collect();
        let deletes = changed.iter().rev().map(|table| table.delete_new());
        // An account has one default address: it moves back in two steps.
        let no_default = changed.iter().any(|table| table.name == "user_emails");
        let no_default = no_default.then(|| "UPDATE user_emails SET is_primary = FALSE;".to_owned());
        let script: String = deletes
            .chain(no_default)
            .chain(changed.iter().map(|table| table.put_back(app.backend)))
            .collect();
        app.sql(&script).await;
    }

    /// The database as it is now.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn state(&self, app: &TestApp) -> State {
        let rows = app.db().conn().query_all_raw(app.db().sql(&self.look, [])).await;
        let pair = |row: &sea_orm::QueryResult| {
            let text = |index| row.try_get_by_index::<String>(index).expect("a text");
            (text(0), text(1))
        };
        State(rows.expect("read every table").iter().map(pair).collect())
    }
}

/// Rows of the journal, in all ledgers, but for what the worker tells of a rotation while it goes on by itself.
pub async fn journal_rows(app: &TestApp) -> i64 {
    let by_itself = "'project.key_reencrypted', 'project.key_destroyed'";
    app.number(&format!(
        "SELECT COUNT(*) FROM journal WHERE action NOT IN ({by_itself})"
    ))
    .await
}

/// Waits until no job is under way. A job of keys that only waits for the end of an old one is none.
async fn quiet(app: &TestApp) {
    eventually("no job is under way", || async {
        let now = app.clock.now().micros();
        let waits = format!("kind = 'keys' AND next_at > {now}");
        let busy = format!("SELECT COUNT(*) FROM jobs WHERE state = 0 AND NOT ({waits})");
        app.number(&busy).await == 0
    })
    .await;
}

struct Table {
    name: String,
    columns: Vec<String>,
    /// Those of the primary key.
    key: Vec<String>,
}

/// Tables in the order in which they were made, without the one that every request counts in.
async fn tables(app: &TestApp) -> Vec<Table> {
    let catalogue = match app.backend {
        Backend::Sqlite => {
            "SELECT m.name, p.name, CASE WHEN p.pk > 0 THEN 'key' ELSE '' END
             FROM sqlite_master m JOIN pragma_table_info(m.name) p
             WHERE m.type = 'table' AND m.name NOT IN ('seaql_migrations', 'request_metrics')
               AND m.name NOT LIKE 'sqlite%' ORDER BY m.rowid, p.cid"
        }
        Backend::Postgres => {
            "SELECT c.relname::text, a.attname::text,
                CASE WHEN a.attnum = ANY((SELECT i.indkey FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)::int2[])
                     THEN 'key' ELSE '' END
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
             WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace 
               AND c.relname NOT IN ('seaql_migrations', 'request_metrics')
               AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.oid, a.attnum"
        }
    };
    let rows = app.db().conn().query_all_raw(app.db().sql(catalogue, [])).await;
    let mut tables: Vec<Table> = Vec::new();
    for row in rows.expect("read the catalogue") {
        let text = |index| row.try_get_by_index::<String>(index).expect("a text");
        if text(0) == METER {
            continue;
        }
        let (name, column, is_key) = (text(0), format!("\"{}\"", text(1)), text(2) == "key");
        if tables.last().is_none_or(|table| table.name != name) {
            let (columns, key) = (Vec::new(), Vec::new());
            tables.push(Table { name, columns, key });
        }
        if let Some(table) = tables.last_mut() {
            table.key.extend(is_key.then(|| column.clone()));
            table.columns.push(column);
        }
    }
    tables
}

impl Table {
    /// A query for the table's name and all of its rows as one text.
    fn look(&self, backend: Backend) -> String {
        let touched = |column: &&String| !TOUCHED.contains(&column.trim_matches('"'));
        let (name, columns) = (&self.name, self.columns.iter().filter(touched).cloned());
        match backend {
            Backend::Sqlite => {
                let row = columns
                    .map(|column| format!("quote({column})"))
                    .collect::<Vec<_>>()
                    .join("||','||");
                format!(
                    "SELECT '{name}', coalesce(group_concat(r, ';'), '') FROM (SELECT {row} AS r FROM {name} ORDER BY 1)"
                )
            }
            Backend::Postgres => {
                let row = columns.collect::<Vec<_>>().join(",");
                format!(
                    "SELECT '{name}', coalesce(md5(string_agg(r, ';' ORDER BY r)), '') FROM (SELECT ROW({row})::text AS r FROM {name}) x"
                )
            }
        }
    }

    /// Deletes the rows that were not there at the beginning.
    fn delete_new(&self) -> String {
        let (name, key) = (&self.name, self.key.join(","));
        format!("DELETE FROM {name} WHERE ({key}) NOT IN (SELECT {key} FROM kept_{name});")
    }

    /// Puts the rows back that are gone or not the same.
    fn put_back(&self, backend: Backend) -> String {
        let (name, key, columns) = (&self.name, self.key.join(","), self.columns.join(","));
        let excluded: Vec<_> = self.columns.iter().map(|column| format!("excluded.{column}")).collect();
        let old: Vec<_> = self.columns.iter().map(|column| format!("{name}.{column}")).collect();
        let (old, excluded) = (old.join(","), excluded.join(","));
        let differs = match backend {
            Backend::Sqlite => "IS NOT",
            Backend::Postgres => "IS DISTINCT FROM",
        };
        format!(
            "INSERT INTO {name} SELECT * FROM kept_{name} WHERE true ON CONFLICT ({key})
             DO UPDATE SET ({columns}) = ({excluded}) WHERE ({old}) {differs} ({excluded});"
        )
    }
}
