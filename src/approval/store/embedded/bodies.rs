//! Bodies that are too long to stand in a request's row: in pieces, apart from all that is read
//! often.
//!
//! They come before the record that they belong to, in transactions of their own, so that nobody
//! waits behind a long one. A record is stored only if its body is whole, and takes it along when
//! it is over; what a crash left without a record is removed at the next start.

use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::params;

use crate::approval::error::ApprovalError;
use crate::approval::record::Approval;
use crate::model::ApprovalId;

use super::super::BodyPiece;
use super::sql;

/// Stores one piece. The first one takes the room for all.
pub(super) fn put(connection: &Connection, piece: &BodyPiece) -> Result<(), ApprovalError> {
    let id = piece.id.to_string();
    if piece.number == 0 {
        let taken: i64 = super::one(connection, "SELECT coalesce(sum(bytes), 0) FROM bodies")?;
        if taken.unsigned_abs().saturating_add(piece.total) > piece.bytes_total_max {
            return Err(ApprovalError::BodiesFull { bytes: taken.unsigned_abs(), max: piece.bytes_total_max });
        }
        let query = "INSERT INTO bodies (id, bytes) VALUES (?1, ?2)";
        execute(connection, query, params![id, piece.total.cast_signed()])?;
    }
    let query = "INSERT INTO body_pieces (id, number, bytes) VALUES (?1, ?2, ?3)";
    execute(connection, query, params![id, piece.number.cast_signed(), &*piece.bytes])
}

/// One piece, if it is there.
pub(super) fn piece(connection: &Connection, id: ApprovalId, number: u64) -> Result<Option<Vec<u8>>, ApprovalError> {
    let query = "SELECT bytes FROM body_pieces WHERE id = ?1 AND number = ?2";
    let mut statement = connection.prepare_cached(query).map_err(sql)?;
    statement.query_row(params![id.to_string(), number.cast_signed()], |row| row.get(0)).optional().map_err(sql)
}

/// How many bytes of a body are there.
pub(super) fn bytes(connection: &Connection, id: ApprovalId) -> Result<u64, ApprovalError> {
    let query = "SELECT coalesce(sum(length(bytes)), 0) FROM body_pieces WHERE id = ?1";
    let mut statement = connection.prepare_cached(query).map_err(sql)?;
    let bytes: i64 = statement.query_row([id.to_string()], |row| row.get(0)).map_err(sql)?;
    Ok(bytes.unsigned_abs())
}

/// Says no to a record whose body is not there whole. `long` is how many bytes it has, if they do
/// not stand in its request.
pub(super) fn require(connection: &Connection, id: ApprovalId, long: Option<u64>) -> Result<(), ApprovalError> {
    match long {
        Some(long) if bytes(connection, id)? != long => Err(ApprovalError::BodyNotStored(id)),
        Some(_) | None => Ok(()),
    }
}

/// Removes the body of a record that is over.
pub(super) fn release(connection: &Connection, approval: &Approval) -> Result<(), ApprovalError> {
    if approval.state.is_over() {
        return execute(connection, "DELETE FROM bodies WHERE id = ?1", params![approval.id.to_string()]);
    }
    Ok(())
}

/// Removes the body of a record that was never stored.
pub(super) fn drop_orphan(connection: &Connection, id: ApprovalId) -> Result<(), ApprovalError> {
    let query = "DELETE FROM bodies WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM approvals WHERE id = ?1)";
    execute(connection, query, params![id.to_string()])
}

/// Removes what the last process left without a record.
pub(super) fn drop_orphans(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("DELETE FROM bodies WHERE id NOT IN (SELECT id FROM approvals)")
}

fn execute(connection: &Connection, query: &str, values: impl rusqlite::Params) -> Result<(), ApprovalError> {
    connection.prepare_cached(query).and_then(|mut statement| statement.execute(values)).map_err(sql)?;
    Ok(())
}
