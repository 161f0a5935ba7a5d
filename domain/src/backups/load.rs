//! Reading a backup into an empty database of either kind.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, Value};
use serde_json::Value as Json;
use tokio::sync::mpsc;

use super::fault::Fault;
use super::file::{Header, Line, Reader, Sizes};
use super::make::Progress;
use super::settle::{self, Tokens};
use super::store::Location;
use super::tables::{self, Column};
use crate::crypto::keyring::RootKeyring;
use crate::kernel::lists::value_marks;
use crate::kernel::{Backend, Db, Error, Reads, Result, WriteTx};

/// Rows of one statement at most.
const ROWS: usize = 500;
/// About how much goes into one statement at most, bytes.
const BYTES: usize = 4 * 1024 * 1024;
/// Parameters of one statement at most: SQLite takes 32,766.
const MARKS: usize = 30_000;
/// Parts that wait for the database.
const QUEUE: usize = 4;

/// A part of a backup.
enum Part {
    /// Rows of this table of the header follow.
    Table(usize),
    Rows(Vec<Vec<Json>>),
    /// Everything was authentic and complete.
    End,
}

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    pub header: Header,
    pub sizes: Sizes,
}

/// Restores a backup. Every byte of it is checked before anything is written; then all rows are written in one
/// transaction, and the schema is brought up to date.
///
/// # Errors
/// [`Fault::Refused`] for a file that does not open, is of a newer version or is not whole, and for a database that is
/// not empty.
pub(super) async fn load(
    from: &Location,
    keys: Arc<RootKeyring>,
    target: &Db,
    tokens: Tokens,
    progress: &Progress,
) -> Result<Restored, Fault> {
    let (header, sizes) = {
        let (from, keys) = (from.clone(), Arc::clone(&keys));
        let examined = tokio::task::spawn_blocking(move || examine(&from, &keys)).await;
        examined.map_err(|_| Error::internal("the reader of a backup panicked"))??
    };
    if !tables::names(target).await?.is_empty() {
        return Err(Fault::refused(
            "The database is not empty. A backup is restored into an empty one only.",
        ));
    }
    target.migrate_some(steps(&header)?).await?;
    progress.begin(header.rows());
    let restored = Restored { header, sizes };
    fill(from, keys, target, &restored, tokens, progress).await?;
    target.migrate().await?;
    Ok(restored)
}

/// Reads a backup to its end, which proves every byte of it.
fn examine(from: &Location, keys: &RootKeyring) -> Result<(Header, Sizes), Fault> {
    let mut reader = Reader::open(from.open()?, keys)?;
    walk(&mut reader, |_| true)?;
    let sizes = reader.sizes();
    Ok((reader.header, sizes))
}

/// Hands on what a backup holds, in batches, and holds it to its header.
fn walk(reader: &mut Reader, mut take: impl FnMut(Part) -> bool) -> Result<(), Fault> {
    let tables = reader.header.tables.clone();
    let mut is_over = false;
    let mut next_table = 0;
    let (mut width, mut left) = (0, 0_u64);
    let (mut rows, mut size) = (Vec::new(), 0);
    while let Some(line) = reader.next()? {
        if is_over {
            return Err(Fault::damaged());
        }
        match line {
            Line::Table(name) if left == 0 => {
                let table = tables.get(next_table).ok_or_else(Fault::damaged)?;
                if table.name != name {
                    return Err(Fault::damaged());
                }
                (width, left) = (table.columns.len(), table.rows);
                if !flush(&mut rows, &mut take) || !take(Part::Table(next_table)) {
                    return Ok(());
                }
                next_table += 1;
            }
            Line::Row(row) if left > 0 && row.len() == width => {
                rows.push(row);
                left -= 1;
                size += reader.length();
                if rows.len() >= batch(width) || size >= BYTES {
                    size = 0;
                    if !flush(&mut rows, &mut take) {
                        return Ok(());
                    }
                }
            }
            Line::End if left == 0 && next_table == tables.len() => is_over = true,
            Line::Table(_) | Line::Row(_) | Line::End => return Err(Fault::damaged()),
        }
    }
    if !is_over {
        return Err(Fault::damaged());
    }
    if flush(&mut rows, &mut take) {
        take(Part::End);
    }
    Ok(())
}

fn flush(rows: &mut Vec<Vec<Json>>, take: &mut impl FnMut(Part) -> bool) -> bool {
    rows.is_empty() || take(Part::Rows(std::mem::take(rows)))
}

/// Rows of so many columns that go into one statement.
fn batch(width: usize) -> usize {
    (MARKS / width.max(1)).clamp(1, ROWS)
}

/// How many migrations make the schema of a backup.
fn steps(header: &Header) -> Result<u32, Fault> {
    let known = migration::names();
    let mut first: Vec<&String> = known.iter().take(header.migrations.len()).collect();
    first.sort_unstable();
    let mut theirs: Vec<&String> = header.migrations.iter().collect();
    theirs.sort_unstable();
    if first != theirs {
        let why = format!(
            "The backup has a schema that this version does not know. Restore it with Strongroom {} or newer.",
            header.product
        );
        return Err(Fault::refused(why));
    }
    u32::try_from(theirs.len()).map_err(|_| Fault::damaged())
}

/// Writes every row, all of them or none.
async fn fill(
    from: &Location,
    keys: Arc<RootKeyring>,
    target: &Db,
    restored: &Restored,
    tokens: Tokens,
    progress: &Progress,
) -> Result<(), Fault> {
    let (parts, mut incoming) = mpsc::channel(QUEUE);
    let reading = {
        let (from, examined) = (from.clone(), restored.header.id);
        tokio::task::spawn_blocking(move || {
            let mut reader = Reader::open(from.open()?, &keys)?;
            if reader.header.id != examined {
                return Err(Fault::refused("The backup was changed while it was read."));
            }
            walk(&mut reader, |part| parts.blocking_send(part).is_ok())
        })
    };
    let tx = target.begin_write().await?;
    let written = write_parts(&tx, &restored.header, &mut incoming, progress).await;
    drop(incoming);
    let read = reading
        .await
        .map_err(|_| Error::internal("the reader of a backup panicked"))?;
    let is_whole = written?;
    read?;
    if !is_whole {
        return Err(Fault::damaged());
    }
    settle::settle(&tx, restored, tokens).await?;
    tx.commit_bookkeeping().await?;
    Ok(())
}

/// Returns whether it came to the end.
async fn write_parts(
    tx: &WriteTx,
    header: &Header,
    incoming: &mut mpsc::Receiver<Part>,
    progress: &Progress,
) -> Result<bool, Fault> {
    if tx.backend() == Backend::Postgres {
        // What triggers put off to the end would undo the last table, which is theirs.
        tx.execute_unprepared("SET CONSTRAINTS ALL IMMEDIATE").await?;
    }
    let mut into = None;
    while let Some(part) = incoming.recv().await {
        match part {
            Part::Table(index) => {
                let table = header.tables.get(index).ok_or_else(Fault::damaged)?;
                let columns = paired(tx, &table.name, &table.columns).await?;
                tx.execute_unprepared(&tables::delete(&table.name)).await?;
                into = Some((tables::insert(&table.name, &table.columns), columns));
            }
            Part::Rows(rows) => {
                let (begin, columns) = into.as_ref().ok_or_else(Fault::damaged)?;
                let count = rows.len();
                let sql = format!("{begin}{}", value_marks(tx.backend(), count, columns.len()));
                tx.conn().execute_raw(tx.sql(&sql, values(rows, columns)?)).await?;
                progress.add(count as u64);
            }
            Part::End => return Ok(true),
        }
    }
    Ok(false)
}

/// Each column of the backup with what it is in the database.
async fn paired(tx: &WriteTx, table: &str, written: &[Column]) -> Result<Vec<(Column, Column)>, Fault> {
    let there = tables::columns(tx, table).await?;
    let pair = |column: &Column| {
        let own = there.iter().find(|own| own.name == column.name)?;
        Some((column.clone(), own.clone()))
    };
    let pairs: Vec<_> = written.iter().filter_map(pair).collect();
    if pairs.len() != written.len() || pairs.len() != there.len() {
        return Err(Fault::refused(format!(
            "The backup's table {table} is not the one that this version makes."
        )));
    }
    Ok(pairs)
}

fn values(rows: Vec<Vec<Json>>, columns: &[(Column, Column)]) -> Result<Vec<Value>, Fault> {
    let mut values = Vec::with_capacity(rows.len() * columns.len());
    for row in rows {
        for (value, (written, own)) in row.into_iter().zip(columns) {
            values.push(tables::read(value, written.kind, own.kind)?);
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_takes_no_more_parameters_than_sqlite_does() {
        for width in [0, 1, 12, 21, 60, 61, 1000, 40_000] {
            assert!(batch(width) >= 1 && batch(width) <= ROWS, "{width}");
            assert!(width > MARKS || batch(width) * width <= MARKS, "{width}");
        }
    }

    #[test]
    fn a_backup_of_another_history_is_refused() {
        let header = |migrations: &[&str]| Header {
            id: crate::kernel::id::BackupId(uuid::Uuid::from_u128(1)),
            created_at: String::new(),
            product: "9.0.0".to_owned(),
            database: "sqlite".to_owned(),
            key_id: "k".to_owned(),
            migrations: migrations.iter().map(|name| (*name).to_owned()).collect(),
            tables: Vec::new(),
        };
        let known = migration::names();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        assert_eq!(steps(&header(&known)).unwrap() as usize, known.len());
        assert_eq!(steps(&header(&known[..3])).unwrap(), 3);
        assert!(steps(&header(&[known[0], known[2]])).is_err());
        let newer = [known.as_slice(), &["m99990101_000001_future"]].concat();
        let refused = steps(&header(&newer)).unwrap_err().to_string();
        assert!(refused.contains("9.0.0"), "{refused}");
    }
}
