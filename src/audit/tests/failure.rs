//! A disk that says no: everybody is told, nothing is lost that was taken, and it mends itself.

use super::*;

/// Puts a directory where the file `name` is, so that no write to it succeeds, whoever runs this.
fn block(bench: &Bench, name: &str) -> PathBuf {
    let path = bench.path().join(name);
    let aside = bench.dir.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("in-the-way"), "").unwrap();
    path
}

fn unblock(bench: &Bench, name: &str) {
    let path = bench.path().join(name);
    fs::remove_dir_all(&path).unwrap();
    fs::rename(bench.dir.path().join("aside"), &path).unwrap();
}

fn quick(bench: &Bench) -> Settings {
    Settings {
        flush_every: Duration::from_secs(3600),
        checkpoint_every: Duration::from_secs(3600),
        retry_first: Duration::from_millis(1),
        retry_max: Duration::from_millis(4),
        ..bench.settings()
    }
}

#[test]
fn a_log_that_cannot_be_written_says_so_and_recovers_by_itself() {
    let bench = Bench::new();
    let (log, writer) = bench.open_with(quick(&bench)).unwrap();
    wait(log.append_durably(bench.leaf(1))).unwrap();
    let path = block(&bench, "tile/entries/000");
    // Taken before anybody could know, so it has to be written some time.
    log.append(bench.leaf(2)).unwrap();
    let failed = wait(log.append_durably(bench.leaf(3))).unwrap_err();
    assert!(matches!(&failed, Unavailable::Failing(cause) if cause.contains(&path.display().to_string())), "{failed}");
    assert_eq!(failed.refusal().code, crate::model::RefusalCode::AuditUnavailable);
    until("the log to be unhealthy", || log.healthy().is_err());
    assert!(matches!(log.append(bench.leaf(4)), Err(Unavailable::Failing(_))));
    assert!(matches!(wait(log.append_durably(bench.leaf(5))), Err(Unavailable::Failing(_))));
    assert!(matches!(wait(log.find([].into(), clock().now())), Err(Unavailable::Failing(_))));
    unblock(&bench, "tile/entries/000");
    until("the log to be healthy again", || log.healthy().is_ok());
    wait(log.append_durably(bench.leaf(6))).unwrap();
    writer.close().unwrap();
    // What was refused is not there, however often it was tried.
    assert_eq!(numbers(&bench.path()), [1, 2, 6]);
    assert_eq!(kinds(&bench.path()).iter().filter(|kind| *kind == "log.recovered").count(), 1);
    let recovered = bench.entries().into_iter().find(|leaf| leaf.contains("log.recovered")).unwrap();
    assert!(recovered.contains(r#""given_back":1"#) && recovered.contains("writing failed"), "{recovered}");
    let report = bench.verify();
    assert!(report.ok, "{report}");
}

#[test]
fn half_a_batch_is_taken_back_before_the_next_attempt() {
    let bench = Bench::new();
    let (log, writer) = bench.open_with(quick(&bench)).unwrap();
    for number in 1..=250 {
        log.append(bench.leaf(number)).unwrap();
    }
    wait(log.append_durably(bench.leaf(251))).unwrap();
    // The first bundle can be filled, the second cannot be begun.
    fs::create_dir(bench.path().join("tile/entries/001")).unwrap();
    let before = fs::read(bench.path().join("tile/entries/000")).unwrap();
    for number in 252..=270 {
        log.append(bench.leaf(number)).unwrap();
    }
    assert!(wait(log.append_durably(bench.leaf(999))).is_err());
    until("the log to be unhealthy", || log.healthy().is_err());
    fs::remove_dir(bench.path().join("tile/entries/001")).unwrap();
    until("the log to be healthy again", || log.healthy().is_ok());
    writer.close().unwrap();
    assert!(fs::read(bench.path().join("tile/entries/000")).unwrap().starts_with(&before));
    assert_eq!(numbers(&bench.path()), (1..=270).collect::<Vec<_>>());
    assert!(bench.verify().ok, "{}", bench.verify());
}

#[test]
fn a_checkpoint_that_cannot_be_written_stops_the_log_too() {
    let bench = Bench::new();
    let settings = Settings { checkpoint_every: Duration::ZERO, ..quick(&bench) };
    let (log, writer) = bench.open_with(settings).unwrap();
    block(&bench, "checkpoint");
    wait(log.append_durably(bench.leaf(1))).unwrap();
    until("the log to be unhealthy", || log.healthy().is_err());
    assert!(log.append(bench.leaf(2)).is_err());
    unblock(&bench, "checkpoint");
    until("the log to be healthy again", || log.healthy().is_ok());
    writer.close().unwrap();
    assert_eq!(numbers(&bench.path()), [1]);
    // One outage is one leaf, however many attempts it took.
    assert_eq!(kinds(&bench.path()).iter().filter(|kind| *kind == "log.recovered").count(), 1);
    assert!(bench.verify().ok);
}

#[test]
fn somebody_elses_hand_in_the_files_stops_the_log() {
    let bench = Bench::new();
    let (log, writer) = bench.open_with(quick(&bench)).unwrap();
    wait(log.append_durably(bench.leaf(1))).unwrap();
    let path = bench.path().join("tile/entries/000");
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    let failed = wait(log.append_durably(bench.leaf(2))).unwrap_err();
    assert!(failed.to_string().contains("something else changes the log's files"), "{failed}");
    fs::write(&path, &good).unwrap();
    until("the log to be healthy again", || log.healthy().is_ok());
    writer.close().unwrap();
    assert_eq!(numbers(&bench.path()), [1]);
}

#[test]
fn closing_a_log_that_cannot_be_written_tells_what_is_lost() {
    let bench = Bench::new();
    let (log, writer) = bench.open_with(quick(&bench)).unwrap();
    block(&bench, "tile/entries/000");
    log.append(bench.leaf(1)).unwrap();
    log.append(bench.leaf(2)).unwrap();
    let error = writer.close().unwrap_err();
    assert!(matches!(error, CloseError::Write { lost: 2, .. }), "{error}");
    unblock(&bench, "tile/entries/000");
    // The lock is free again, and what was signed for is whole.
    bench.open().unwrap().1.close().unwrap();
    assert!(bench.verify().ok);
}

#[test]
fn opening_that_fails_again_and_again_does_no_harm() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    log.append(bench.leaf(1)).unwrap();
    writer.close().unwrap();
    fs::create_dir(bench.path().join("checkpoint.new")).unwrap();
    for _ in 0..3 {
        assert!(matches!(bench.open(), Err(OpenError::Write(_))));
    }
    fs::remove_dir(bench.path().join("checkpoint.new")).unwrap();
    bench.open().unwrap().1.close().unwrap();
    assert_eq!(numbers(&bench.path()), [1]);
    assert!(bench.verify().ok);
}
