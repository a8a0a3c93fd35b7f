//! Approvals in one SQLite file, for deployments of one process.
//!
//! One thread writes, and puts everything that waits into one transaction, so that many changes
//! cost one flush of the disk; another thread reads. Nothing here runs on the data plane.

use std::collections::HashSet;
use std::path::Path;

use bytes::Bytes;
use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::params;

use crate::approval::error::ApprovalError;
use crate::approval::record::Approval;
use crate::approval::record::ShownRequest;
use crate::audit::Leaf;
use crate::model::ApprovalId;
use crate::model::CallDigest;
use crate::model::Timestamp;

use super::Answer;
use super::BodyPiece;
use super::Change;
use super::Changed;
use super::Entry;
use super::Kept;
use super::NewEntry;
use super::Notice;
use super::OnStored;
use super::Opened;
use super::Opening;
use super::PAGE_MAX;
use super::Query;
use super::Shelf;
use super::Step;
use super::Store;

mod bodies;
mod kept;
mod opening;
mod reader;
mod schema;
mod writer;

use reader::Reader;
use writer::Writer;

pub use schema::OpenError;

/// The embedded store. Dropping it waits until its thread has written what it was given, and lets
/// go of the file.
#[derive(Debug)]
pub struct Embedded {
    writer: Writer,
    reader: Reader,
}

impl Embedded {
    /// Opens the store in the folder `path`, which is made if it does not exist. `on_stored` hears
    /// of every event, right after it was stored and in that order.
    ///
    /// # Errors
    /// [`OpenError`] if the folder cannot be used, is in use, or was written by a later version.
    pub fn open(path: &Path, on_stored: OnStored) -> Result<Self, OpenError> {
        let lock = schema::lock(path)?;
        let file = path.join("approvals.db");
        let connection = schema::open(&file)?;
        bodies::drop_orphans(&connection).map_err(|source| OpenError::Database { path: file.clone(), source })?;
        let reader = Reader::start(schema::open(&file)?)?;
        Ok(Self { writer: Writer::start(connection, lock, on_stored)?, reader })
    }

    /// Whether this version can open the store in the folder `path` once nobody else has it. Changes
    /// nothing, and does not ask who has it.
    ///
    /// # Errors
    /// [`OpenError`] if it was written by a later version, or is none.
    pub fn check(path: &Path) -> Result<(), OpenError> {
        schema::check(&path.join("approvals.db"))
    }
}

impl Store for Embedded {
    fn open(&self, opening: Opening) -> Answer<Opened> {
        self.writer.run(move |connection| opening::open(connection, &opening))
    }

    fn change(&self, id: ApprovalId, change: Change) -> Answer<Changed> {
        self.writer.run(move |connection| {
            let current = read(connection, id)?.ok_or(ApprovalError::NotFound(id))?;
            let step = change(&current)?;
            if step.events.is_empty() {
                return Ok((Changed { approval: current, seq: None }, Vec::new()));
            }
            let (approval, entries) = update(connection, step)?;
            Ok((Changed { approval, seq: entries.last().map(|entry| entry.seq) }, entries))
        })
    }

    fn read(&self, id: ApprovalId) -> Answer<Option<Approval>> {
        self.reader.run(move |connection| read(connection, id))
    }

    fn request(&self, id: ApprovalId) -> Answer<Option<ShownRequest>> {
        self.reader.run(move |connection| {
            let mut statement = connection.prepare_cached("SELECT request FROM requests WHERE id = ?1").map_err(sql)?;
            let text: Option<String> =
                statement.query_row([id.to_string()], |row| row.get(0)).optional().map_err(sql)?;
            text.map(|text| serde_json::from_str(&text).map_err(|error| corrupt(id, &error))).transpose()
        })
    }

    fn put_body(&self, piece: BodyPiece) -> Answer<()> {
        self.writer.run(move |connection| bodies::put(connection, &piece).map(|()| ((), Vec::new())))
    }

    fn drop_body(&self, id: ApprovalId) -> Answer<()> {
        self.writer.run(move |connection| bodies::drop_orphan(connection, id).map(|()| ((), Vec::new())))
    }

    fn body_piece(&self, id: ApprovalId, number: u64) -> Answer<Option<Bytes>> {
        self.reader.run(move |connection| Ok(bodies::piece(connection, id, number)?.map(Bytes::from)))
    }

    fn body_bytes(&self, id: ApprovalId) -> Answer<u64> {
        self.reader.run(move |connection| bodies::bytes(connection, id))
    }

    fn list(&self, query: Query) -> Answer<Vec<Approval>> {
        self.reader.run(move |connection| list(connection, &query))
    }

    fn runs(&self, principal: String, digest: CallDigest, since: Timestamp) -> Answer<Vec<Approval>> {
        self.reader.run(move |connection| opening::runs(connection, &principal, digest, since))
    }

    fn due(&self, now: Timestamp) -> Answer<Vec<ApprovalId>> {
        self.reader.run(move |connection| {
            let query = "SELECT id FROM approvals WHERE deadline <= ?1 ORDER BY deadline LIMIT ?2";
            ids(connection, query, params![now.unix_micros(), count(PAGE_MAX)])
        })
    }

    fn next_deadline(&self) -> Answer<Option<Timestamp>> {
        self.reader.run(|connection| {
            let query = "SELECT min(deadline) FROM approvals WHERE deadline IS NOT NULL";
            let micros: Option<i64> = one(connection, query)?;
            Ok(micros.map(Timestamp::from_unix_micros))
        })
    }

    fn attached(&self) -> Answer<Vec<ApprovalId>> {
        self.reader.run(|connection| {
            let query = "SELECT id FROM approvals WHERE attached = 1 OR state = 'forwarding' ORDER BY id";
            ids(connection, query, params![])
        })
    }

    fn pending(&self) -> Answer<u64> {
        self.reader.run(|connection| {
            let count: i64 = one(connection, "SELECT count(*) FROM approvals WHERE state = 'pending'")?;
            Ok(count.unsigned_abs())
        })
    }

    fn last_seq(&self, approval: Option<ApprovalId>) -> Answer<u64> {
        self.reader.run(move |connection| {
            let query = match approval {
                None => "SELECT max(seq) FROM events WHERE ?1 IS NULL",
                Some(_) => "SELECT max(seq) FROM events WHERE approval = ?1",
            };
            let mut statement = connection.prepare_cached(query).map_err(sql)?;
            let approval = approval.map(|id| id.to_string());
            let seq: Option<i64> = statement.query_row([approval], |row| row.get(0)).map_err(sql)?;
            Ok(seq.unwrap_or_default().unsigned_abs())
        })
    }

    fn unlogged(&self) -> Answer<Vec<Entry>> {
        self.reader.run(|connection| {
            let query =
                "SELECT seq, approval, kind, at, leaf, disclosures FROM events WHERE logged = 0 ORDER BY seq LIMIT ?1";
            let mut statement = connection.prepare_cached(query).map_err(sql)?;
            let rows = statement.query_map([count(PAGE_MAX)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            });
            let rows = rows.map_err(sql)?.collect::<Result<Vec<StoredEvent>, _>>().map_err(sql)?;
            rows.into_iter().map(entry).collect()
        })
    }

    fn mark_logged(&self, seqs: Vec<u64>) -> Answer<()> {
        self.writer.run(move |connection| {
            let mut statement = connection
                .prepare_cached("UPDATE events SET logged = 1, leaf = NULL, disclosures = NULL WHERE seq = ?1")
                .map_err(sql)?;
            for seq in seqs {
                statement.execute([seq.cast_signed()]).map_err(sql)?;
            }
            Ok(((), Vec::new()))
        })
    }

    fn events_after(&self, seq: u64, approval: Option<ApprovalId>) -> Answer<Vec<Notice>> {
        self.reader.run(move |connection| {
            let query = "SELECT seq, kind, approval, at FROM events
                         WHERE seq > ?1 AND (?2 IS NULL OR approval = ?2) ORDER BY seq LIMIT ?3";
            let mut statement = connection.prepare_cached(query).map_err(sql)?;
            let approval = approval.map(|id| id.to_string());
            let rows = statement.query_map(params![seq.cast_signed(), approval, count(PAGE_MAX)], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, i64>(3)?))
            });
            let rows = rows.map_err(sql)?.collect::<Result<Vec<_>, _>>().map_err(sql)?;
            rows.into_iter()
                .map(|(seq, kind, approval, at)| {
                    let approval = parse_id(&approval)?;
                    Ok(Notice { seq: seq.unsigned_abs(), kind, approval, at: Timestamp::from_unix_micros(at) })
                })
                .collect()
        })
    }

    fn keep(&self, kept: Kept, now: Timestamp) -> Answer<()> {
        self.writer.run(move |connection| kept::put(connection, &kept, now).map(|()| ((), Vec::new())))
    }

    fn drop_kept(&self, shelf: Shelf, name: String) -> Answer<()> {
        self.writer.run(move |connection| kept::drop_one(connection, shelf, &name).map(|()| ((), Vec::new())))
    }

    fn kept(&self, shelf: Shelf, now: Timestamp) -> Answer<Vec<Kept>> {
        self.reader.run(move |connection| kept::all(connection, shelf, now))
    }
}

/// A row of `events`: seq, approval, kind, at, leaf, disclosures.
type StoredEvent = (i64, String, String, i64, String, String);

fn entry((seq, approval, kind, at, leaf, disclosures): StoredEvent) -> Result<Entry, ApprovalError> {
    let id = parse_id(&approval)?;
    let disclosures = serde_json::from_str(&disclosures).map_err(|error| corrupt(id, &error))?;
    let leaf = Leaf::restore(leaf.as_bytes(), disclosures).map_err(|error| ApprovalError::Store(error.to_string()))?;
    let event = NewEntry { kind, at: Timestamp::from_unix_micros(at), leaf };
    Ok(Entry { seq: seq.unsigned_abs(), event, id, approval: None })
}

fn update(connection: &Connection, step: Step) -> Result<(Approval, Vec<Entry>), ApprovalError> {
    let approval = &step.approval;
    let record = serde_json::to_string(approval).map_err(|error| corrupt(approval.id, &error))?;
    let query = "UPDATE approvals SET version = ?2, state = ?3, attached = ?4, deadline = ?5, ended = ?6, record = ?7 WHERE id = ?1";
    let values = params![
        approval.id.to_string(),
        approval.version.cast_signed(),
        approval.state.name(),
        approval.caller.is_some(),
        approval.deadline().map(Timestamp::unix_micros),
        ended(approval),
        record,
    ];
    connection.prepare_cached(query).and_then(|mut statement| statement.execute(values)).map_err(sql)?;
    bodies::release(connection, approval)?;
    let entries = insert_events(connection, &step)?;
    Ok((step.approval, entries))
}

/// When it ceased to be open, in microseconds; `None` while it is.
fn ended(approval: &Approval) -> Option<i64> {
    approval.state.since().filter(|_| !approval.state.is_open()).map(Timestamp::unix_micros)
}

fn insert_events(connection: &Connection, step: &Step) -> Result<Vec<Entry>, ApprovalError> {
    let id = step.approval.id;
    let after = std::sync::Arc::new(step.approval.clone());
    let query = "INSERT INTO events (approval, kind, at, leaf, disclosures) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut statement = connection.prepare_cached(query).map_err(sql)?;
    let mut store = |event: &NewEntry| {
        let leaf = std::str::from_utf8(event.leaf.bytes()).map_err(|error| ApprovalError::Store(error.to_string()))?;
        let disclosures = serde_json::to_string(event.leaf.disclosures()).map_err(|error| corrupt(id, &error))?;
        let values = params![id.to_string(), event.kind, event.at.unix_micros(), leaf, disclosures];
        statement.execute(values).map_err(sql)?;
        let seq = connection.last_insert_rowid().unsigned_abs();
        Ok(Entry { seq, event: event.clone(), id, approval: Some(std::sync::Arc::clone(&after)) })
    };
    step.events.iter().map(&mut store).collect()
}

fn read(connection: &Connection, id: ApprovalId) -> Result<Option<Approval>, ApprovalError> {
    let mut statement = connection.prepare_cached("SELECT record FROM approvals WHERE id = ?1").map_err(sql)?;
    let text: Option<String> = statement.query_row([id.to_string()], |row| row.get(0)).optional().map_err(sql)?;
    text.map(|text| parse(id, &text)).transpose()
}

fn list(connection: &Connection, query: &Query) -> Result<Vec<Approval>, ApprovalError> {
    let wanted: HashSet<&str> = query.states.iter().map(String::as_str).collect();
    let states = serde_json::to_string(&wanted).unwrap_or_default();
    let sql_text = "SELECT record FROM approvals
         WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR principal = ?2) AND (?3 IS NULL OR upstream = ?3)
           AND (?4 = '[]' OR state IN (SELECT value FROM json_each(?4)))
         ORDER BY id DESC LIMIT ?5";
    let mut statement = connection.prepare_cached(sql_text).map_err(sql)?;
    let limit = count(query.limit.clamp(1, PAGE_MAX));
    let after = query.after.map(|id| id.to_string());
    let values = params![after, query.principal, query.upstream, states, limit];
    let rows = statement.query_map(values, |row| row.get::<_, String>(0)).map_err(sql)?;
    rows.map(|row| {
        let text = row.map_err(sql)?;
        serde_json::from_str(&text).map_err(|error| ApprovalError::Store(format!("a record cannot be read: {error}")))
    })
    .collect()
}

fn ids(connection: &Connection, query: &str, values: impl rusqlite::Params) -> Result<Vec<ApprovalId>, ApprovalError> {
    let mut statement = connection.prepare_cached(query).map_err(sql)?;
    let rows = statement.query_map(values, |row| row.get::<_, String>(0)).map_err(sql)?;
    rows.map(|row| parse_id(&row.map_err(sql)?)).collect()
}

fn one<T: rusqlite::types::FromSql>(connection: &Connection, query: &str) -> Result<T, ApprovalError> {
    connection.prepare_cached(query).and_then(|mut statement| statement.query_row([], |row| row.get(0))).map_err(sql)
}

fn parse(id: ApprovalId, text: &str) -> Result<Approval, ApprovalError> {
    serde_json::from_str(text).map_err(|error| corrupt(id, &error))
}

fn parse_id(text: &str) -> Result<ApprovalId, ApprovalError> {
    text.parse().map_err(|error| ApprovalError::Store(format!("a record cannot be read: {error}")))
}

fn corrupt(id: ApprovalId, error: &serde_json::Error) -> ApprovalError {
    ApprovalError::Store(format!("the record of `{id}` cannot be read: {error}"))
}

fn sql(error: rusqlite::Error) -> ApprovalError {
    ApprovalError::Store(format!("SQLite says: {error}"))
}

fn count(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
