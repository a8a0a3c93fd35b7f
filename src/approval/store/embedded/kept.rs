//! Short texts that outlive the process, each until its time is over.

use rusqlite::Connection;
use rusqlite::params;

use crate::approval::error::ApprovalError;
use crate::model::Timestamp;

use super::super::Kept;
use super::super::Shelf;
use super::sql;

/// Puts it in the place of what was there, and takes away what is over.
pub(super) fn put(connection: &Connection, kept: &Kept, now: Timestamp) -> Result<(), ApprovalError> {
    let over = "DELETE FROM kept WHERE until <= ?1";
    connection.prepare_cached(over).and_then(|mut over| over.execute([now.unix_micros()])).map_err(sql)?;
    let query = "INSERT INTO kept (shelf, name, until, text) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (shelf, name) DO UPDATE SET until = excluded.until, text = excluded.text";
    let values = params![kept.shelf.as_str(), kept.name, kept.until.unix_micros(), kept.text];
    connection.prepare_cached(query).and_then(|mut put| put.execute(values)).map_err(sql)?;
    Ok(())
}

/// Takes one away.
pub(super) fn drop_one(connection: &Connection, shelf: Shelf, name: &str) -> Result<(), ApprovalError> {
    let query = "DELETE FROM kept WHERE shelf = ?1 AND name = ?2";
    connection.prepare_cached(query).and_then(|mut gone| gone.execute(params![shelf.as_str(), name])).map_err(sql)?;
    Ok(())
}

/// All that is on a shelf and not over.
pub(super) fn all(connection: &Connection, shelf: Shelf, now: Timestamp) -> Result<Vec<Kept>, ApprovalError> {
    let query = "SELECT name, until, text FROM kept WHERE shelf = ?1 AND until > ?2 ORDER BY name";
    let mut statement = connection.prepare_cached(query).map_err(sql)?;
    let rows = statement.query_map(params![shelf.as_str(), now.unix_micros()], |row| {
        Ok(Kept { shelf, name: row.get(0)?, until: Timestamp::from_unix_micros(row.get(1)?), text: row.get(2)? })
    });
    rows.map_err(sql)?.collect::<Result<_, _>>().map_err(sql)
}
