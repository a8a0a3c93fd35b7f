//! A log in daily use: opening, writing, reading, closing.

use super::*;

#[test]
fn a_new_log_begins_with_its_key_and_is_signed_from_the_start() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    assert_eq!(log.vkey(), bench.vkey());
    assert_eq!(log.healthy(), Ok(()));
    let note = log.checkpoint().unwrap();
    assert_eq!(Checkpoint::open(&note, &bench.vkey().parse().unwrap()).unwrap().size, 1);
    writer.close().unwrap();
    assert_eq!(kinds(&bench.path()), ["log.opened", "log.closed"]);
    assert_eq!(fs::read_to_string(bench.path().join("vkey")).unwrap().trim(), bench.vkey());
    assert_ne!(log.checkpoint().unwrap(), note);
    let report = bench.verify();
    assert!(report.ok && report.notes.is_empty(), "{report}");
    assert_eq!((report.size, report.unsigned), (2, 0));
}

#[test]
fn a_durable_leaf_is_on_disk_at_once() {
    let bench = Bench::new();
    let settings = Settings { flush_every: Duration::from_secs(3600), ..bench.settings() };
    let (log, writer) = bench.open_with(settings).unwrap();
    // Whatever was queued before goes first, without having to wait for its own time.
    log.append(bench.leaf(1)).unwrap();
    let leaf = bench.leaf(2);
    let hash = leaf.hash();
    let receipt = wait(log.append_durably(leaf)).unwrap();
    assert_eq!(receipt, Receipt { index: 2, hash });
    assert_eq!(numbers(&bench.path()), [1, 2]);
    writer.close().unwrap();
}

#[test]
fn a_queued_leaf_is_written_and_signed_for_without_anybody_waiting() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    let vkey = bench.vkey().parse().unwrap();
    log.append(bench.leaf(1)).unwrap();
    until("a checkpoint over the leaf", || Checkpoint::open(&log.checkpoint().unwrap(), &vkey).unwrap().size == 2);
    assert_eq!(numbers(&bench.path()), [1]);
    assert_eq!(fs::read_to_string(bench.path().join("checkpoint")).unwrap(), log.checkpoint().unwrap());
    writer.close().unwrap();
}

#[test]
fn many_writers_get_every_leaf_in_once() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    let mut indices: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u64)
            .map(|thread| {
                let (log, bench) = (log.clone(), &bench);
                scope.spawn(move || {
                    let mut indices = Vec::new();
                    for number in 0..50 {
                        log.append(bench.leaf(thread * 1000 + number)).unwrap();
                        indices.push(wait(log.append_durably(bench.leaf(thread * 1000 + 500 + number))).unwrap().index);
                    }
                    indices
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    writer.close().unwrap();
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(indices.len(), 400);
    let mut written = numbers(&bench.path());
    // Leaves of one thread keep their order.
    let of_one: Vec<u64> = written.iter().copied().filter(|number| *number < 500).collect();
    assert!(of_one.is_sorted(), "{of_one:?}");
    written.sort_unstable();
    written.dedup();
    assert_eq!(written.len(), 800);
    assert!(bench.path().join("tile/1/000").exists());
    let report = bench.verify();
    assert!(report.ok, "{report}");
    assert_eq!(report.size, 802);
}

#[test]
fn a_log_goes_on_where_it_ended_at_every_size() {
    let bench = Bench::new();
    let mut size = 0;
    for count in [0, 1, 250, 1, 1, 1, 255, 256, 257, 511, 300] {
        let (log, writer) = bench.open().unwrap();
        for number in 0..count {
            log.append(bench.leaf(number)).unwrap();
        }
        writer.close().unwrap();
        size += count + 2;
        let report = bench.verify();
        assert!(report.ok && report.notes.is_empty(), "{report}");
        assert_eq!((report.size, super::size(&bench.path()).unwrap()), (size, size));
    }
}

#[test]
fn a_tree_of_three_levels_is_opened_from_its_tiles() {
    let bench = Bench::new();
    let vkey = bench.vkey().parse().unwrap();
    let mut opened = super::open::open(&bench.path(), &vkey, clock().now()).unwrap();
    let data = Fields::new().with("vkey", bench.vkey());
    opened.files.append(&[&bench.sealed(EventKind::LogOpened, data)]).unwrap();
    let leaf = bench.leaf(7);
    for _ in 0..5 {
        opened.files.append(&vec![&leaf; 13_200]).unwrap();
    }
    let (size, root) = (opened.files.size(), opened.files.root_hash());
    let note = Checkpoint { origin: vkey.name().into(), size, root }.sign(&bench.key, &vkey);
    opened.files.write_checkpoint(&note).unwrap();
    drop(opened);
    let opened = super::open::open(&bench.path(), &vkey, clock().now()).unwrap();
    assert_eq!((opened.files.size(), opened.files.root_hash()), (66_001, root));
    assert_eq!(fs::metadata(bench.path().join("tile/2/000")).unwrap().len(), 32);
    drop(opened);
    let report = bench.verify();
    assert!(report.ok, "{report}");
}

#[test]
fn leaves_are_read_from_any_place() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    for number in 1..=600 {
        log.append(bench.leaf(number)).unwrap();
    }
    writer.close().unwrap();
    let read = |start| -> Vec<u64> { tail(&bench.path(), start).unwrap().map(|entry| entry.unwrap().0).collect() };
    assert_eq!(read(Start::Index(0)), (0..602).collect::<Vec<_>>());
    assert_eq!(read(Start::Index(255)), (255..602).collect::<Vec<_>>());
    assert_eq!(read(Start::Index(256)), (256..602).collect::<Vec<_>>());
    assert_eq!(read(Start::Last(3)), [599, 600, 601]);
    assert_eq!(read(Start::Last(9999)).len(), 602);
    for beyond in [602, 603, 768, 5000] {
        assert!(read(Start::Index(beyond)).is_empty(), "{beyond}");
    }
    assert_eq!(numbers(&bench.path()), (1..=600).collect::<Vec<_>>());
    let nothing = bench.dir.path().join("nothing");
    assert_eq!((super::size(&nothing).unwrap(), entries(&nothing, Start::Last(5)).len()), (0, 0));
}

#[test]
fn events_are_found_by_their_ids() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    let leaves: Vec<Leaf> = (0..600).map(|number| bench.leaf(number)).collect();
    let early = clock().now();
    let written = [leaves[0].id(), leaves[300].id(), leaves[599].id()];
    leaves.into_iter().for_each(|leaf| log.append(leaf).unwrap());
    let missing = bench.leaf(0).id();
    let ids = written.into_iter().chain([missing]).collect();
    let start = Timestamp::from_unix_micros(0);
    assert_eq!(wait(log.find(ids, start)).unwrap(), written.into_iter().collect());
    // Looking back no further than told, give or take a minute: nothing is that old here.
    let late = early.plus(Duration::from_secs(3600));
    assert_eq!(wait(log.find([written[0]].into(), late)).unwrap(), [].into());
    writer.close().unwrap();
    assert_eq!(wait(log.find([missing].into(), start)), Err(Unavailable::Closed));
}

#[test]
fn one_log_has_one_writer() {
    let bench = Bench::new();
    let (_, writer) = bench.open().unwrap();
    assert!(matches!(bench.open(), Err(OpenError::Locked(_))));
    writer.close().unwrap();
    bench.open().unwrap().1.close().unwrap();
    assert_eq!(kinds(&bench.path()), ["log.opened", "log.closed", "log.opened", "log.closed"]);
}

#[test]
fn a_closed_log_takes_nothing() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    writer.close().unwrap();
    assert_eq!(log.append(bench.leaf(1)), Err(Unavailable::Closed));
    assert_eq!(wait(log.append_durably(bench.leaf(1))), Err(Unavailable::Closed));
    assert!(log.healthy().is_err());
}

#[test]
fn dropping_the_writer_closes_the_log() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    log.append(bench.leaf(1)).unwrap();
    drop(writer);
    assert_eq!(kinds(&bench.path()), ["log.opened", "request.allowed", "log.closed"]);
}

#[test]
fn a_full_queue_refuses_and_counts() {
    let bench = Bench::new();
    let hour = Duration::from_secs(3600);
    let settings = Settings { queue_max: 2, flush_every: hour, ..bench.settings() };
    let (log, writer) = bench.open_with(settings).unwrap();
    log.append(bench.leaf(1)).unwrap();
    log.append(bench.leaf(2)).unwrap();
    assert_eq!(log.append(bench.leaf(3)), Err(Unavailable::Full));
    writer.close().unwrap();
    assert_eq!(numbers(&bench.path()), [1, 2]);
    let text = prometheus::TextEncoder::new().encode_to_string(&bench.registry.gather()).unwrap();
    for line in [
        "holdpoint_log_refused_total{reason=\"full\"} 1",
        "holdpoint_log_refused_total{reason=\"failing\"} 0",
        "holdpoint_log_size 4",
        "holdpoint_log_unintegrated 0",
        "holdpoint_log_checkpoint_age_seconds 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }

    let settings = Settings { queue_bytes_max: 400, flush_every: hour, ..bench.settings() };
    let (log, writer) = bench.open_with(settings).unwrap();
    log.append(bench.leaf(1)).unwrap();
    assert_eq!(log.append(bench.leaf(2)), Err(Unavailable::Full));
    writer.close().unwrap();
}

#[test]
fn a_call_waits_for_room_and_is_refused_only_if_there_is_none() {
    let bench = Bench::new();
    let settings = Settings { queue_max: 4, flush_every: Duration::from_secs(3600), ..bench.settings() };
    let (log, writer) = bench.open_with(settings.clone()).unwrap();
    // Nothing is written for an hour, unless the queue is full.
    wait_with_timer(async {
        for number in 1..=100 {
            log.append_waiting(bench.leaf(number)).await.unwrap();
        }
    });
    writer.close().unwrap();
    assert_eq!(numbers(&bench.path()), (1..=100).collect::<Vec<_>>());
    let text = prometheus::TextEncoder::new().encode_to_string(&bench.registry.gather()).unwrap();
    assert!(text.contains("holdpoint_log_refused_total{reason=\"full\"} 0"), "{text}");
    assert!(!text.contains("holdpoint_log_waited_total 0"), "{text}");

    // No room ever: it is told so after a while, and no sooner.
    let none = Settings { queue_max: 0, room_wait_max: Duration::from_millis(50), ..settings };
    let (log, writer) = bench.open_with(none).unwrap();
    let started = Instant::now();
    assert_eq!(wait_with_timer(log.append_waiting(bench.leaf(101))), Err(Unavailable::Full));
    assert!(started.elapsed() >= Duration::from_millis(50));
    writer.close().unwrap();
    assert_eq!(numbers(&bench.path()).len(), 100);
}

#[test]
fn pseudonyms_outlive_a_restart() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    let name = log.pseudonym("ana@example.com");
    writer.close().unwrap();
    let (log, writer) = bench.open().unwrap();
    assert_eq!(log.pseudonym("ana@example.com"), name);
    writer.close().unwrap();
}

#[test]
fn a_bad_origin_is_refused() {
    let bench = Bench::new();
    for origin in ["", "a b", "a+b", "a\nb"] {
        let settings = Settings { origin: origin.into(), ..bench.settings() };
        assert!(matches!(bench.open_with(settings), Err(OpenError::Origin(_))), "{origin:?}");
    }
    assert!(!bench.path().exists());
}

#[test]
fn secrets_and_disclosures_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    wait(log.append_durably(story::private_leaf(&bench))).unwrap();
    writer.close().unwrap();
    for file in ["pseudonym.key", "disclosures/000.jsonl", "tile/entries/000", "checkpoint"] {
        let mode = fs::metadata(bench.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}
