//! The contract, and what a file on a disk can do wrong.

use std::sync::Arc;
use std::sync::mpsc;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::approval::machine::Command;

use super::super::contract::Bench;
use super::super::contract::suite;
use super::*;

/// A store in a folder of its own, and the events that it tells of.
struct Kept {
    dir: TempDir,
    stored: mpsc::Receiver<Vec<Entry>>,
}

fn open_in(dir: &TempDir) -> (Result<Embedded, OpenError>, mpsc::Receiver<Vec<Entry>>) {
    let (tell, stored) = mpsc::channel();
    (Embedded::open(&dir.path().join("store"), Box::new(move |entries| drop(tell.send(entries)))), stored)
}

async fn fresh() -> (Arc<dyn Store>, Kept) {
    let (store, kept) = embedded();
    (store, kept)
}

fn embedded() -> (Arc<Embedded>, Kept) {
    let dir = tempfile::tempdir().unwrap();
    let (store, stored) = open_in(&dir);
    (Arc::new(store.unwrap()), Kept { dir, stored })
}

suite!(fresh);

fn database(dir: &TempDir) -> Connection {
    Connection::open(dir.path().join("store/approvals.db")).unwrap()
}

/// Runs SQL where the store writes, as no other connection can.
async fn execute(store: &Embedded, text: &'static str) {
    let done = store.writer.run(move |connection| {
        connection.execute_batch(text).map_err(sql)?;
        Ok(((), Vec::new()))
    });
    done.await.unwrap();
}

#[tokio::test]
async fn what_was_stored_is_there_after_reopening() {
    let (store, kept) = embedded();
    let bench = Bench::new(store);
    let approval = bench.open("deploy-bot", "export").await;
    let call = approval.caller.unwrap();
    let left = bench.change(approval.id, Command::Leave { call }).await.unwrap();
    let (events, waiting) = (bench.store.events_after(0, None).await.unwrap(), bench.store.unlogged().await.unwrap());
    // Dropping the old store waits until it has let go of the file.
    let Bench { store, ids, people } = bench;
    drop(store);
    let (store, _stored) = open_in(&kept.dir);
    let store: Arc<dyn Store> = Arc::new(store.unwrap());
    assert_eq!(store.read(approval.id).await.unwrap(), Some(left.approval));
    assert_eq!(store.events_after(0, None).await.unwrap(), events);
    assert_eq!(store.unlogged().await.unwrap().len(), waiting.len());
    assert_eq!(store.last_seq(None).await.unwrap(), 2);
    // Places are never given twice, so that whoever watches misses nothing.
    Bench { store: Arc::clone(&store), ids, people }.open("deploy-bot", "import").await;
    assert_eq!(store.last_seq(None).await.unwrap(), 3);
}

#[tokio::test]
async fn a_body_that_a_crash_left_without_its_record_is_removed() {
    let (store, kept) = embedded();
    let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>);
    let [left, whole] = [(); 2].map(|()| bench.opening("deploy-bot", "export"));
    let whole_id = whole.step.approval.id;
    for id in [left.step.approval.id, whole_id] {
        let bytes = bytes::Bytes::from_static(b"12");
        store.put_body(BodyPiece { id, number: 0, bytes, total: 2, bytes_total_max: 10 }).await.unwrap();
    }
    store.open(whole).await.unwrap();
    let id = left.step.approval.id;
    drop((bench, store, left));
    let store = open_in(&kept.dir).0.unwrap();
    assert_eq!((store.body_bytes(id).await.unwrap(), store.body_bytes(whole_id).await.unwrap()), (0, 2));
}

#[tokio::test]
async fn a_file_of_an_earlier_version_is_brought_to_ours() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("store")).unwrap();
    database(&dir).execute_batch(schema::STEPS[0]).unwrap();
    let (store, stored) = open_in(&dir);
    let bench = Bench::new(Arc::new(store.unwrap()));
    bench.open("deploy-bot", "export").await;
    drop((bench, stored));
    let found: i64 = database(&dir).query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(found, 5);
}

#[tokio::test]
async fn a_store_belongs_to_one_process() {
    let (store, kept) = embedded();
    let (second, _) = open_in(&kept.dir);
    let Err(OpenError::InUse { path }) = second else { panic!("it was opened twice") };
    assert_eq!(path, kept.dir.path().join("store"));
    drop(store);
    assert!(open_in(&kept.dir).0.is_ok());
}

#[tokio::test]
async fn a_file_of_a_later_version_is_left_alone() {
    let (store, kept) = embedded();
    drop(store);
    database(&kept.dir).execute_batch("PRAGMA user_version = 99").unwrap();
    let Err(OpenError::Version { found, known, .. }) = open_in(&kept.dir).0 else { panic!("it was opened") };
    assert_eq!((found, known), (99, 5));
    // What cannot be used is not kept from others.
    database(&kept.dir).execute_batch("PRAGMA user_version = 5").unwrap();
    assert!(open_in(&kept.dir).0.is_ok());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("store")).unwrap();
    let file = dir.path().join("store/approvals.db");
    std::fs::write(
        &file,
        "a letter to my aunt, which is longer than one hundred bytes, as a header would be. ".repeat(9),
    )
    .unwrap();
    let before = std::fs::read(&file).unwrap();
    assert!(matches!(open_in(&dir).0, Err(OpenError::Database { .. })));
    assert_eq!(std::fs::read(&file).unwrap(), before);
    std::fs::write(dir.path().join("file"), "").unwrap();
    let inside = Embedded::open(&dir.path().join("file/store"), Box::new(drop));
    assert!(matches!(inside, Err(OpenError::Folder { .. })), "{inside:?}");
}

#[tokio::test]
async fn only_its_owner_can_look_into_the_folder() {
    use std::os::unix::fs::PermissionsExt;
    let (_store, kept) = embedded();
    let mode = std::fs::metadata(kept.dir.path().join("store")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn every_event_is_told_in_order_and_only_once_it_is_stored() {
    let (store, kept) = embedded();
    let reader = Arc::clone(&store);
    let bench = Bench::new(store);
    let mut approvals = Vec::new();
    for index in 0..5 {
        approvals.push(bench.open("deploy-bot", &index.to_string()).await);
    }
    let changes =
        approvals.iter().map(|approval| bench.change(approval.id, Command::Leave { call: approval.caller.unwrap() }));
    futures_util::future::join_all(changes).await;
    let mut seqs = Vec::new();
    while seqs.len() < 10 {
        // It comes from the thread that writes, right after the answer.
        for entry in kept.stored.recv().unwrap() {
            let record = entry.approval.unwrap();
            assert_eq!(reader.read(entry.id).await.unwrap().unwrap().version.max(record.version), 2);
            seqs.push(entry.seq);
        }
    }
    assert_eq!(seqs, (1..=10).collect::<Vec<_>>());
}

/// How a write goes wrong. All but the triggers end with the connection.
const FAILURES: [(&str, &str); 4] = [
    ("a full disk", "PRAGMA max_page_count = 1"),
    ("a write that fails", "CREATE TRIGGER fails BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no'); END"),
    (
        "a write that ends the transaction",
        "CREATE TRIGGER fails BEFORE INSERT ON events BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
    ),
    ("a database that cannot be written", "PRAGMA query_only = ON"),
];

#[tokio::test]
async fn what_cannot_be_stored_is_an_error_and_leaves_nothing_half_written() {
    for (what, fail) in FAILURES {
        let (store, kept) = embedded();
        let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>);
        let before = bench.open("deploy-bot", "export").await;
        execute(&store, fail).await;
        // Enough to need new pages, all in the queue at once.
        let openings = (0..40).map(|index| bench.store.open(bench.opening("deploy-bot", &index.to_string())));
        let mut stored = vec![before.id];
        let mut refused = 0;
        for opened in futures_util::future::join_all(openings).await {
            match opened {
                Ok(opened) => stored.push(opened.approval.id),
                Err(ApprovalError::Store(_)) => refused += 1,
                Err(other) => panic!("{what}: {other}"),
            }
        }
        assert!(refused > 0, "{what}");
        drop((bench, store));
        // Told were those that are stored, and no others.
        let told: Vec<ApprovalId> = kept.stored.iter().flatten().map(|entry| entry.id).collect();
        assert_eq!(told, stored, "{what}");
        database(&kept.dir).execute_batch("DROP TRIGGER IF EXISTS fails").unwrap();
        let store = open_in(&kept.dir).0.unwrap();
        let listed = store.list(Query { limit: PAGE_MAX, ..Query::default() }).await.unwrap();
        assert_eq!(listed.len(), stored.len(), "{what}");
        for id in stored {
            assert!(store.read(id).await.unwrap().is_some(), "{what}");
            assert!(store.request(id).await.unwrap().is_some(), "{what}");
            assert_eq!(store.events_after(0, Some(id)).await.unwrap().len(), 1, "{what}");
        }
        assert_eq!(store.unlogged().await.unwrap().len(), listed.len(), "{what}");
    }
}

/// One job undoes the whole transaction; the jobs before it were told nothing yet, and the jobs
/// after it must not count by themselves.
#[test]
fn a_job_that_ends_the_transaction_takes_its_neighbours_with_it() {
    neighbours_of("ROLLBACK");
    // The transaction lives on, and what this job did could not be undone alone.
    neighbours_of("CREATE TABLE half (a); RELEASE job; SELECT * FROM nowhere");
}

fn neighbours_of(ends: &'static str) {
    let (store, kept) = embedded();
    let (started, wait_started) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    // Holds the thread until all jobs stand in the queue, so that they share a transaction.
    let blocker = store.writer.run(move |_| {
        started.send(()).unwrap();
        wait.recv().unwrap();
        Ok(((), Vec::new()))
    });
    wait_started.recv().unwrap();
    let run = |text: &'static str| {
        store.writer.run(move |connection| {
            connection.execute_batch(text).map_err(sql)?;
            Ok(((), Vec::new()))
        })
    };
    let first = run("CREATE TABLE first (a)");
    let ends = run(ends);
    let fails = run("SELECT * FROM nowhere");
    let last = run("CREATE TABLE last (a)");
    go.send(()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        blocker.await.unwrap();
        for answer in [first, ends, fails, last] {
            assert!(matches!(answer.await, Err(ApprovalError::Store(_))));
        }
        run("CREATE TABLE after (a)").await.unwrap();
    });
    let tables: i64 = database(&kept.dir)
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name IN ('first', 'half', 'last', 'after')", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_an_error_that_names_it() {
    let (store, kept) = embedded();
    let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>);
    let approval = bench.open("deploy-bot", "export").await;
    database(&kept.dir).execute("UPDATE approvals SET record = '{}' WHERE id = ?1", [approval.id.to_string()]).unwrap();
    let error = store.read(approval.id).await.unwrap_err();
    assert!(matches!(&error, ApprovalError::Store(text) if text.contains(&approval.id.to_string())), "{error}");
    assert!(bench.change(approval.id, Command::Tick).await.is_err());
}
