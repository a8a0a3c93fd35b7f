//! The tables, and how the file is opened.

use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::config::DbConfig;

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or the lock file cannot be used.
    #[error("the store's folder `{path}` cannot be used; check that it can be written")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the store in `{path}` is in use by another process; stop it, or choose another folder")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// SQLite cannot use the file.
    #[error("the store `{path}` cannot be opened")]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// It was written by a later version.
    #[error(
        "the store `{path}` has the form {found}, and this version knows {known}; use the later version of the program"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its form.
        found: i64,
        /// The form that we know.
        known: i64,
    },
    /// A thread could not be started.
    #[error("a thread for the store could not be started")]
    Thread(#[from] io::Error),
}

/// Keeps other processes out for as long as the answer lives.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    use std::os::unix::fs::DirBuilderExt;
    let folder = |source| OpenError::Folder { path: path.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(folder)?;
    let file = File::options().create(true).truncate(false).write(true).open(path.join("lock")).map_err(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(folder(error)),
    }
}

/// Opens the file and brings its tables to the form that we know.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let database = |source| OpenError::Database { path: path.to_owned(), source };
    let connection = Connection::open(path).map_err(database)?;
    connection.set_prepared_statement_cache_capacity(64);
    // No SQL can corrupt the file, whoever finds a way to have it run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(database)?;
    connection.execute_batch(SETTINGS).map_err(database)?;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(database)?;
    let steps = known_steps(path, found)?;
    steps.iter().try_for_each(|step| connection.execute_batch(step)).map_err(database)?;
    Ok(connection)
}

/// What has to be done to a file of the form `found`.
fn known_steps(path: &Path, found: i64) -> Result<&'static [&'static str], OpenError> {
    let known = STEPS.len();
    usize::try_from(found).ok().and_then(|found| STEPS.get(found..)).ok_or_else(|| OpenError::Version {
        path: path.to_owned(),
        found,
        known: i64::try_from(known).unwrap_or(i64::MAX),
    })
}

/// Looks at the form of a file that another process may be using.
pub(super) fn check(path: &Path) -> Result<(), OpenError> {
    let database = |source| OpenError::Database { path: path.to_owned(), source };
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(database)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(database)?;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(database)?;
    known_steps(path, found).map(drop)
}

/// As in [`SETTINGS`].
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// From one form to the next, the first one from an empty file. Each is a transaction, and ends
/// with the number of the form that it leads to.
pub(super) const STEPS: [&str; 5] = [TABLES, CALLS, BODIES, RUNNING, KEPT];

/// `FULL` makes a commit wait until the disk has it, in WAL mode too.
const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA busy_timeout = 5000;
";

const TABLES: &str = "
    BEGIN IMMEDIATE;
    CREATE TABLE approvals (
        id TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        state TEXT NOT NULL,
        principal TEXT NOT NULL,
        upstream TEXT NOT NULL,
        rule TEXT NOT NULL,
        digest TEXT NOT NULL,
        attached INTEGER NOT NULL,
        deadline INTEGER,
        record TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX open_calls ON approvals (principal, digest) WHERE state IN ('pending', 'approved');
    CREATE INDEX pending_of_principal ON approvals (principal) WHERE state = 'pending';
    CREATE INDEX pending_of_rule ON approvals (rule) WHERE state = 'pending';
    CREATE INDEX deadlines ON approvals (deadline) WHERE deadline IS NOT NULL;
    CREATE INDEX left_behind ON approvals (id) WHERE attached = 1 OR state = 'forwarding';
    CREATE TABLE requests (
        id TEXT PRIMARY KEY REFERENCES approvals (id),
        request TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        approval TEXT NOT NULL REFERENCES approvals (id),
        kind TEXT NOT NULL,
        at INTEGER NOT NULL,
        leaf TEXT,
        disclosures TEXT,
        logged INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX unlogged ON events (seq) WHERE logged = 0;
    CREATE INDEX events_of ON events (approval, seq);
    PRAGMA user_version = 1;
    COMMIT;
";

/// What the second form adds: which calls belong to which approval, and when an approval ended.
/// Those that ended under the first form have nothing to say to a retry any more.
const CALLS: &str = "
    BEGIN IMMEDIATE;
    ALTER TABLE approvals ADD COLUMN ended INTEGER;
    CREATE INDEX ended_calls ON approvals (principal, digest, ended) WHERE ended IS NOT NULL;
    CREATE TABLE calls (
        principal TEXT NOT NULL,
        call_id TEXT NOT NULL,
        approval TEXT NOT NULL REFERENCES approvals (id),
        at INTEGER NOT NULL,
        PRIMARY KEY (principal, call_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX calls_by_age ON calls (at);
    PRAGMA user_version = 2;
    COMMIT;
";

/// What the third form adds: bodies that are too long to stand in their requests.
const BODIES: &str = "
    BEGIN IMMEDIATE;
    CREATE TABLE bodies (
        id TEXT PRIMARY KEY,
        bytes INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE body_pieces (
        id TEXT NOT NULL REFERENCES bodies (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (id, number)
    ) STRICT;
    PRAGMA user_version = 3;
    COMMIT;
";

/// What the fourth form adds: the way to a call that runs. Whoever opens an approval looks for one,
/// and without it would look through all that are held.
const RUNNING: &str = "
    BEGIN IMMEDIATE;
    CREATE INDEX running_calls ON approvals (principal, digest) WHERE state = 'forwarding';
    PRAGMA user_version = 4;
    COMMIT;
";

/// What the fifth form adds: short texts that outlive the process.
const KEPT: &str = "
    BEGIN IMMEDIATE;
    CREATE TABLE kept (
        shelf TEXT NOT NULL,
        name TEXT NOT NULL,
        until INTEGER NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (shelf, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX kept_until ON kept (until);
    PRAGMA user_version = 5;
    COMMIT;
";
