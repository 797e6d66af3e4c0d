//! Pi-hole's long-term database, `pihole-FTL.db`.
//!
//! After Pi-hole's documentation of the query database (the table or view `queries`, status and type numbers) and FTL's
//! `query-table.h` (the schemas since version 1). The database is only read; one that Pi-hole writes to meanwhile is read
//! as it was when the import began.
//!
//! The surprise: rows of a database that forgets old ones keep their `id`, so that is an event's number; which database it
//! is, FTL's table `ftl` says by the time at which it began to count (`id` 2).

use std::path::Path;

use dnsvet_core::verdict::{Action, Reason};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row};

use super::{
    Asked, Decision, ImportError, Intake, RowError, System, address, event, file, fingerprint, name,
};

/// Rows between two words on progress.
const TOLD_EVERY: u64 = 1_000;

/// Reads a database.
pub(super) fn read(path: &Path, intake: &mut Intake) -> Result<(), ImportError> {
    // SQLite's own error for a file that is not there says less.
    std::fs::File::open(path).map_err(file(path))?;
    let failed = |source| ImportError::Database { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let source = format!("import/pihole/{}", identity(&connection).map_err(failed)?);
    let sql = "SELECT id, timestamp, type, status, domain, client FROM queries ORDER BY id";
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut done = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        match parse(row) {
            Ok((asked, decision)) => intake.take(&source, event(System::Pihole, asked, decision))?,
            Err(why) => {
                let id = row.get::<_, i64>(0).unwrap_or(0);
                intake.bad(path, format_args!("queries, id {id}"), &why);
            }
        }
        done += 1;
        if done % TOLD_EVERY == 0 {
            intake.progress(done);
        }
    }
    Ok(())
}

/// How many rows a database has, for who waits.
pub(super) fn rows(path: &Path) -> Option<u64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).ok()?;
    let counted = connection.query_row("SELECT count(*) FROM queries", [], |row| row.get::<_, i64>(0));
    counted.ok().and_then(|count| u64::try_from(count).ok())
}

/// Which database it is, whatever it has forgotten since.
fn identity(connection: &Connection) -> rusqlite::Result<String> {
    let began = connection
        .query_row("SELECT value FROM ftl WHERE id = 2", [], |row| Ok(format!("{:?}", row.get_ref(0)?)))
        .optional();
    // Without the table: a database of the first versions, or part of one.
    if let Ok(Some(began)) = began {
        return Ok(fingerprint(began.as_bytes()));
    }
    let sql = "SELECT timestamp, domain, client FROM queries ORDER BY id LIMIT 1";
    let first = connection
        .query_row(sql, [], |row| {
            Ok(format!("{:?} {:?} {:?}", row.get_ref(0)?, row.get_ref(1)?, row.get_ref(2)?))
        })
        .optional()?;
    Ok(fingerprint(first.unwrap_or_default().as_bytes()))
}

fn parse(row: &Row<'_>) -> Result<(Asked, Decision), RowError> {
    let id: i64 = row.get(0).map_err(|why| RowError::Column("id", why))?;
    let seq = u64::try_from(id).ok().filter(|id| *id > 0).ok_or(RowError::Number(id))?;
    // Whole seconds; with a fraction in some versions.
    let seconds: f64 = match row.get_ref(1) {
        Ok(ValueRef::Integer(seconds)) => seconds as f64,
        Ok(ValueRef::Real(seconds)) => seconds,
        other => return Err(RowError::Time(format!("{other:?}"))),
    };
    if !(0.0..super::MOST_MS as f64 / 1000.0).contains(&seconds) {
        return Err(RowError::Time(seconds.to_string()));
    }
    let column = |what| move |why| RowError::Column(what, why);
    let qtype: i64 = row.get(2).map_err(column("type"))?;
    let status: i64 = row.get(3).map_err(column("status"))?;
    let domain: String = row.get(4).map_err(column("domain"))?;
    let client: String = row.get(5).map_err(column("client"))?;
    let asked = Asked {
        seq,
        time_ms: (seconds * 1000.0).round() as u64,
        client: address(&client)?,
        name: name(&domain)?,
        qtype: record_type(qtype)?,
        took_us: 0,
    };
    Ok((asked, decision(status)))
}

/// FTL's numbers of types: 16 of its own, further ones with 100 added. OTHER (14) is taken for the reserved type 0.
fn record_type(number: i64) -> Result<u16, RowError> {
    const TYPES: [u16; 16] = [1, 28, 255, 33, 6, 12, 16, 35, 15, 43, 46, 48, 2, 0, 64, 65];
    let own = || {
        number.checked_sub(1).and_then(|at| usize::try_from(at).ok()).and_then(|at| TYPES.get(at)).copied()
    };
    let further = number.checked_sub(100).and_then(|number| u16::try_from(number).ok());
    further.or_else(own).ok_or_else(|| RowError::Type(number.to_string()))
}

fn decision(status: i64) -> Decision {
    let (action, reason, what): (_, Option<Reason>, _) = match status {
        1 => (Action::Null, Some(Reason::List), "gravity"),
        4 => (Action::Null, Some(Reason::Rule), "regex denylist"),
        5 => (Action::Null, Some(Reason::Rule), "exact denylist"),
        6 => (Action::Custom, Some(Reason::Response), "blocked upstream, known address"),
        7 => (Action::Null, Some(Reason::Response), "blocked upstream, null address"),
        8 => (Action::Nxdomain, Some(Reason::Response), "blocked upstream, NXDOMAIN"),
        9 => (Action::Null, Some(Reason::Response), "gravity, by CNAME"),
        10 => (Action::Null, Some(Reason::Response), "regex denylist, by CNAME"),
        11 => (Action::Null, Some(Reason::Response), "exact denylist, by CNAME"),
        15 => (Action::Refused, Some(Reason::Failure), "database busy"),
        16 => (Action::Nxdomain, Some(Reason::Special), "special domain"),
        18 => (Action::Null, Some(Reason::Response), "blocked upstream, EDE 15"),
        2 => (Action::Allow, None, "forwarded"),
        3 => (Action::Allow, None, "cache"),
        12 => (Action::Allow, None, "retried"),
        13 => (Action::Allow, None, "retried, ignored"),
        14 => (Action::Allow, None, "already forwarded"),
        17 => (Action::Allow, None, "stale cache"),
        _ => (Action::Allow, None, "unknown"),
    };
    let rule = reason.map(|_| what.to_owned());
    Decision { rule, ..Decision::new(action, reason, format!("status {status} ({what})")) }
}
