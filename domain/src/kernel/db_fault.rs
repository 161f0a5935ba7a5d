//! What a fault of the database means to the caller.

use sea_orm::sqlx;
use sea_orm::{DbErr, RuntimeErr};

use super::problem::{Problem, ProblemCode};

/// Seconds after which a database that takes no changes may take them again: somebody is moving it.
const MOVING: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// No room to write.
    Full,
    /// It answers reads and takes no changes: it was made a replica, or somebody set it so.
    ReadOnly,
    /// It is away, busy or short of something; trying again may help.
    Passing,
    /// Our own.
    Ours,
}

/// The problem to tell the caller of.
pub(super) fn problem(error: &DbErr) -> Problem {
    match fault(error) {
        Fault::Full => Problem::new(
            ProblemCode::InsufficientStorage,
            "The server has no room left. Nothing was changed.",
        ),
        Fault::ReadOnly => Problem::new(
            ProblemCode::Unavailable,
            "The database takes no changes at the moment. Nothing was changed; try again.",
        )
        .with("retry_after", MOVING),
        // A commit whose confirmation was lost may have been made.
        Fault::Passing => Problem::new(
            ProblemCode::Unavailable,
            "The database is away or busy. Try again; with an Idempotency-Key a change is made once.",
        )
        .with("retry_after", 1),
        Fault::Ours => Problem::new(
            ProblemCode::Internal,
            "The fault is ours. Quote the request id when you report it.",
        ),
    }
}

/// Whether the trouble is with the database as a whole, and not with what was asked of it: the same may succeed later.
pub(super) fn is_passing(error: &DbErr) -> bool {
    fault(error) != Fault::Ours
}

fn fault(error: &DbErr) -> Fault {
    let told = match error {
        DbErr::ConnectionAcquire(_) => Fault::Passing,
        DbErr::Conn(RuntimeErr::SqlxError(told))
        | DbErr::Exec(RuntimeErr::SqlxError(told))
        | DbErr::Query(RuntimeErr::SqlxError(told)) => of_driver(told),
        _ => Fault::Ours,
    };
    // Whatever keeps us from connecting is not the fault of what was asked.
    if told == Fault::Ours && matches!(error, DbErr::Conn(_)) {
        return Fault::Passing;
    }
    told
}

fn of_driver(error: &sqlx::Error) -> Fault {
    match error {
        sqlx::Error::Database(told) => told.code().map_or(Fault::Ours, |code| of_code(&code)),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => Fault::Passing,
        _ => Fault::Ours,
    }
}

/// A SQLSTATE has five letters and digits; the numbers of SQLite are shorter.
fn of_code(code: &str) -> Fault {
    if code.len() == 5 {
        return of_sqlstate(code);
    }
    code.parse().map_or(Fault::Ours, of_sqlite)
}

/// Source: PostgreSQL, Appendix A, error codes.
fn of_sqlstate(state: &str) -> Fault {
    match state {
        // disk_full
        "53100" => Fault::Full,
        // read_only_sql_transaction
        "25006" => Fault::ReadOnly,
        // serialization_failure, deadlock_detected, lock_not_available, io_error
        "40001" | "40P01" | "55P03" | "58030" => Fault::Passing,
        _ => match state.get(..2) {
            // Connection exceptions, insufficient resources, operator intervention: shut down, starting, cancelled.
            Some("08" | "53" | "57") => Fault::Passing,
            _ => Fault::Ours,
        },
    }
}

/// Source: SQLite, result codes; the low byte of an extended code is the primary one.
fn of_sqlite(code: i32) -> Fault {
    match code & 0xff {
        // SQLITE_FULL
        13 => Fault::Full,
        // SQLITE_READONLY: the file system was mounted anew after faults of the disk.
        8 => Fault::ReadOnly,
        // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_NOMEM, SQLITE_IOERR, SQLITE_CANTOPEN
        5 | 6 | 7 | 10 | 14 => Fault::Passing,
        _ => Fault::Ours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_room_and_no_changes_are_told_from_faults_of_ours() {
        for full in ["53100", "13"] {
            assert_eq!(of_code(full), Fault::Full, "{full}");
        }
        for read_only in ["25006", "8", "264", "1032"] {
            assert_eq!(of_code(read_only), Fault::ReadOnly, "{read_only}");
        }
        for passing in [
            "57P01", "57P02", "57P03", "57014", "53300", "53200", "08006", "40P01", "58030", "5", "517", "6", "10",
            "778", "4874", "14",
        ] {
            assert_eq!(of_code(passing), Fault::Passing, "{passing}");
        }
        for ours in [
            "23505", "42P01", "XX001", "22P02", "1", "11", "19", "2067", "no code", "",
        ] {
            assert_eq!(of_code(ours), Fault::Ours, "{ours}");
        }
    }

    #[test]
    fn a_broken_connection_passes_whatever_it_was_about() {
        let broken = || RuntimeErr::SqlxError(sqlx::Error::Io(std::io::ErrorKind::BrokenPipe.into()).into());
        for error in [DbErr::Exec(broken()), DbErr::Query(broken()), DbErr::Conn(broken())] {
            let problem = problem(&error);
            assert_eq!(problem.code, ProblemCode::Unavailable);
            assert_eq!(problem.extra.get("retry_after"), Some(&1.into()));
        }
        let unknown = DbErr::Conn(RuntimeErr::Internal("no such host".to_owned()));
        assert!(is_passing(&unknown));
        assert!(!is_passing(&DbErr::RecordNotUpdated));
    }
}
