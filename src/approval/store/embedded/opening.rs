//! A new record, or the one that a call belongs to.

use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::params;

use crate::approval::error::ApprovalError;
use crate::approval::record::Approval;
use crate::approval::retry::Found;
use crate::approval::retry::Sought;
use crate::model::CallDigest;
use crate::model::Timestamp;

use super::super::How;
use super::super::PAGE_MAX;
use super::super::Related;
use super::Entry;
use super::Opened;
use super::Opening;
use super::bodies;
use super::corrupt;
use super::count;
use super::ended;
use super::insert_events;
use super::parse;
use super::parse_id;
use super::read;
use super::sql;
use super::update;

/// Finds the record that the call belongs to, or makes one.
pub(super) fn open(connection: &Connection, opening: &Opening) -> Result<(Opened, Vec<Entry>), ApprovalError> {
    let sought = &opening.sought;
    for found in [Found::Named, Found::CallId, Found::Open, Found::Ended] {
        for current in candidates(connection, sought, found)? {
            match (opening.relate)(&current, found)? {
                Related::Stranger => {}
                Related::Repeats => {
                    return Ok((Opened { approval: current, how: How::Repeated, seq: 0 }, Vec::new()));
                }
                Related::Joins(step) => {
                    let (approval, entries) = update(connection, *step)?;
                    remember(connection, sought, &approval)?;
                    let seq = entries.last().map_or(0, |entry| entry.seq);
                    return Ok((Opened { approval, how: How::Joined, seq }, entries));
                }
            }
        }
    }
    let approval = &opening.step.approval;
    let rule = approval.obligations.rules.first().map_or("", String::as_str);
    limit(connection, "principal", &approval.principal.id, opening.pending_per_principal_max)?;
    limit(connection, "rule", rule, opening.pending_per_rule_max)?;
    bodies::require(connection, approval.id, opening.request.long_bytes())?;
    insert(connection, opening, rule)?;
    remember(connection, sought, approval)?;
    let entries = insert_events(connection, &opening.step)?;
    let seq = entries.last().map_or(0, |entry| entry.seq);
    Ok((Opened { approval: approval.clone(), how: How::New, seq }, entries))
}

fn insert(connection: &Connection, opening: &Opening, rule: &str) -> Result<(), ApprovalError> {
    let approval = &opening.step.approval;
    let record = serde_json::to_string(approval).map_err(|error| corrupt(approval.id, &error))?;
    let query =
        "INSERT INTO approvals (id, version, state, principal, upstream, rule, digest, attached, deadline, ended, record)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let values = params![
        approval.id.to_string(),
        approval.version.cast_signed(),
        approval.state.name(),
        approval.principal.id,
        approval.upstream.name,
        rule,
        approval.digest.to_hex(),
        approval.caller.is_some(),
        approval.deadline().map(Timestamp::unix_micros),
        ended(approval),
        record,
    ];
    connection.prepare_cached(query).and_then(|mut statement| statement.execute(values)).map_err(sql)?;
    let request = serde_json::to_string(&opening.request).map_err(|error| corrupt(approval.id, &error))?;
    let query = "INSERT INTO requests (id, request) VALUES (?1, ?2)";
    let values = params![approval.id.to_string(), request];
    connection.prepare_cached(query).and_then(|mut statement| statement.execute(values)).map_err(sql)?;
    Ok(())
}

/// The records that the call may belong to, by the way in which they are found.
fn candidates(connection: &Connection, sought: &Sought, found: Found) -> Result<Vec<Approval>, ApprovalError> {
    match found {
        Found::Named => match sought.named {
            Some(id) => Ok(read(connection, id)?.into_iter().collect()),
            None => Ok(Vec::new()),
        },
        Found::CallId => {
            let Some(call_id) = &sought.attempt.of else { return Ok(Vec::new()) };
            let query = "SELECT approval FROM calls WHERE principal = ?1 AND call_id = ?2 AND at >= ?3";
            let mut statement = connection.prepare_cached(query).map_err(sql)?;
            let values = params![sought.principal, call_id, sought.remembered_since().unix_micros()];
            let id: Option<String> = statement.query_row(values, |row| row.get(0)).optional().map_err(sql)?;
            match id {
                Some(id) => Ok(read(connection, parse_id(&id)?)?.into_iter().collect()),
                None => Ok(Vec::new()),
            }
        }
        Found::Open => records(connection, OPEN_CALLS, params![sought.principal, sought.digest.to_hex()]),
        Found::Ended => {
            let digest = sought.digest.to_hex();
            // A run may take longer than anything is remembered.
            let mut found = records(connection, RUNNING_CALLS, params![sought.principal, digest])?;
            let since = sought.ended_since().unix_micros();
            found.append(&mut records(connection, ENDED_CALLS, params![sought.principal, digest, since])?);
            Ok(found)
        }
    }
}

/// What was sent under an approval, by principal and digest, newest first.
pub(super) fn runs(
    connection: &Connection,
    principal: &str,
    digest: CallDigest,
    since: Timestamp,
) -> Result<Vec<Approval>, ApprovalError> {
    let query = "SELECT id, record FROM approvals WHERE principal = ?1 AND digest = ?2 AND ended >= ?3
                 AND state IN ('completed', 'unknown') ORDER BY ended DESC LIMIT ?4";
    records(connection, query, params![principal, digest.to_hex(), since.unix_micros(), count(PAGE_MAX)])
}

fn records(
    connection: &Connection,
    query: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<Approval>, ApprovalError> {
    let mut statement = connection.prepare_cached(query).map_err(sql)?;
    let rows = statement.query_map(values, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
    rows.map_err(sql)?
        .map(|row| {
            let (id, record) = row.map_err(sql)?;
            parse(parse_id(&id)?, &record)
        })
        .collect()
}

/// Keeps the call id with its approval, and forgets those that nobody will come back for.
fn remember(connection: &Connection, sought: &Sought, approval: &Approval) -> Result<(), ApprovalError> {
    let Some(call_id) = &sought.attempt.of else { return Ok(()) };
    let forget = params![sought.remembered_since().unix_micros()];
    let query = "DELETE FROM calls WHERE at < ?1";
    connection.prepare_cached(query).and_then(|mut statement| statement.execute(forget)).map_err(sql)?;
    let query = "INSERT OR REPLACE INTO calls (principal, call_id, approval, at) VALUES (?1, ?2, ?3, ?4)";
    let values = params![sought.principal, call_id, approval.id.to_string(), sought.now.unix_micros()];
    connection.prepare_cached(query).and_then(|mut statement| statement.execute(values)).map_err(sql)?;
    Ok(())
}

fn limit(connection: &Connection, column: &'static str, value: &str, max: u64) -> Result<(), ApprovalError> {
    let query = match column {
        "principal" => "SELECT count(*) FROM approvals WHERE state = 'pending' AND principal = ?1",
        _ => "SELECT count(*) FROM approvals WHERE state = 'pending' AND rule = ?1",
    };
    let mut statement = connection.prepare_cached(query).map_err(sql)?;
    let pending: i64 = statement.query_row([value], |row| row.get(0)).map_err(sql)?;
    let pending = pending.unsigned_abs();
    if pending < max {
        return Ok(());
    }
    Err(ApprovalError::TooManyPending { whose: format!("the {column} `{value}`"), pending, max })
}

/// One index each, or whoever is held waits for all who are.
const OPEN_CALLS: &str = "SELECT id, record FROM approvals WHERE principal = ?1 AND digest = ?2
    AND state IN ('pending', 'approved') ORDER BY id";
const RUNNING_CALLS: &str = "SELECT id, record FROM approvals WHERE principal = ?1 AND digest = ?2
    AND state = 'forwarding' ORDER BY id";
/// Those states in which a record has nothing to say to a call without its name are left out, or a
/// caller could hide a denial behind calls that it takes back itself.
const ENDED_CALLS: &str = "SELECT id, record FROM approvals WHERE principal = ?1 AND digest = ?2 AND ended >= ?3
    AND state NOT IN ('forwarding', 'expired', 'lapsed', 'withdrawn', 'failed')
    ORDER BY ended DESC LIMIT 16";

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    #[test]
    fn the_records_of_a_call_are_found_by_principal_and_digest() {
        let connection = Connection::open_in_memory().unwrap();
        schema::STEPS.iter().for_each(|step| connection.execute_batch(step).unwrap());
        for query in [OPEN_CALLS, RUNNING_CALLS, ENDED_CALLS] {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
            for number in 1..=statement.parameter_count() {
                statement.raw_bind_parameter(number, "x").unwrap();
            }
            let mut plan = Vec::new();
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next().unwrap() {
                plan.push(row.get::<_, String>(3).unwrap());
            }
            assert!(plan.len() == 1 && plan[0].contains("(principal=? AND digest=?"), "{plan:?}");
        }
    }
}
