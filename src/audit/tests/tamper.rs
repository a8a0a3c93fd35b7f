//! Whatever is done to the files of a log is noticed.

use super::*;

/// A small closed log with a bit of everything in it.
fn small() -> Bench {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    for number in 0..3 {
        log.append(bench.leaf(number)).unwrap();
    }
    log.append(story::private_leaf(&bench)).unwrap();
    writer.close().unwrap();
    assert!(bench.verify().ok);
    bench
}

/// Whether verifying finds anything wrong.
fn noticed(bench: &Bench) -> bool {
    verify(&bench.path(), Some(&bench.vkey()), None).map_or(true, |report| !report.ok)
}

#[test]
fn every_changed_byte_is_noticed() {
    let bench = small();
    let secret = ["lock", "pseudonym.key"].map(|name| bench.path().join(name));
    let mut changed = 0;
    for path in files(&bench.path()).into_iter().filter(|path| !secret.contains(path)) {
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                fs::write(&path, &bad).unwrap();
                assert!(noticed(&bench), "byte {at} of {} changed by {flip:#x}", path.display());
                changed += 1;
            }
        }
        fs::write(&path, &good).unwrap();
    }
    assert!(changed > 3_000, "{changed}");
    assert!(!noticed(&bench));
}

#[test]
fn every_cut_is_noticed_by_the_verifier_and_at_opening() {
    let bench = small();
    for name in ["tile/entries/000", "tile/0/000", "checkpoint"] {
        let path = bench.path().join(name);
        let good = fs::read(&path).unwrap();
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            assert!(noticed(&bench), "{name} cut to {length}");
            let opened = bench.open();
            let refused = matches!(
                opened,
                Err(OpenError::Truncated { .. } | OpenError::Edited { .. } | OpenError::Checkpoint { .. })
            );
            assert!(refused, "{name} cut to {length}");
            assert_eq!(fs::read(&path).unwrap(), good[..length], "refusing changes nothing");
        }
        fs::remove_file(&path).unwrap();
        assert!(noticed(&bench), "{name} removed");
        assert!(bench.open().is_err(), "{name} removed");
        fs::write(&path, &good).unwrap();
    }
    assert!(!noticed(&bench));
    bench.open().unwrap().1.close().unwrap();
    assert!(!noticed(&bench));
}

/// Writes the bundle and the tile of a small log anew, as somebody would who knows the format.
fn rewrite(bench: &Bench, entries: &[Vec<u8>]) {
    let (mut bundle, mut tile) = (Vec::new(), Vec::new());
    for entry in entries {
        bundle.extend(u16::try_from(entry.len()).unwrap().to_be_bytes());
        bundle.extend(entry);
        tile.extend(tree::leaf_hash(entry).as_bytes());
    }
    fs::write(bench.path().join("tile/entries/000"), bundle).unwrap();
    fs::write(bench.path().join("tile/0/000"), tile).unwrap();
}

#[test]
fn dropped_swapped_repeated_and_forged_entries_are_noticed() {
    let bench = small();
    let good: Vec<Vec<u8>> = bench.entries().into_iter().map(String::into_bytes).collect();
    let mut cases = Vec::new();
    for at in 0..good.len() {
        let mut dropped = good.clone();
        dropped.remove(at);
        cases.push(dropped);
        let mut repeated = good.clone();
        repeated.insert(at, good[at].clone());
        cases.push(repeated);
        for other in 0..at {
            let mut swapped = good.clone();
            swapped.swap(at, other);
            cases.push(swapped);
        }
        let mut forged = good.clone();
        forged[at] = bench.leaf(9).bytes().to_vec();
        cases.push(forged);
    }
    cases.push(Vec::new());
    for case in cases {
        rewrite(&bench, &case);
        assert!(noticed(&bench), "{case:?}");
        assert!(bench.open().is_err(), "{case:?}");
    }
    rewrite(&bench, &good);
    assert!(!noticed(&bench));
}

#[test]
fn a_changed_entry_in_a_large_log_is_named() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    for number in 0..700 {
        log.append(bench.leaf(number)).unwrap();
    }
    writer.close().unwrap();
    let path = bench.path().join("tile/entries/001");
    let mut bytes = fs::read(&path).unwrap();
    let at = memchr::memmem::find(&bytes, b"\"number\":300").unwrap();
    bytes[at + 11] = b'1';
    fs::write(&path, bytes).unwrap();
    let report = bench.verify();
    assert_eq!(report.findings[0].index, Some(301), "{report}");
    assert!(
        report.findings.iter().any(|finding| finding.sentence.contains("are not those that the checkpoint")),
        "{report}"
    );
    // Opening looks at the end only; the tiles still vouch for what was signed.
    bench.open().unwrap().1.close().unwrap();
    assert!(!bench.verify().ok);

    for name in ["tile/1/000", "tile/0/000", "tile/entries/001"] {
        fs::rename(bench.path().join(name), bench.path().join("away")).unwrap();
        assert!(noticed(&bench), "{name}");
        fs::rename(bench.path().join("away"), bench.path().join(name)).unwrap();
    }
}

#[test]
fn another_key_or_origin_is_told_apart() {
    let bench = small();
    let other = Bench::new();
    let key = other.key.clone();
    let opened = Log::open(bench.settings(), key, clock(), Metrics::new(&Registry::new()).unwrap());
    assert!(
        matches!(&opened, Err(OpenError::Checkpoint { source: NoteError::NotSigned(_), .. })),
        "{:?}",
        opened.err()
    );
    let opened = bench.open_with(Settings { origin: "holdpoint.example/node-2".into(), ..bench.settings() });
    assert!(matches!(&opened, Err(OpenError::Checkpoint { .. })), "{:?}", opened.err());
    assert!(!verify(&bench.path(), Some(&other.vkey()), None).unwrap().ok);
    assert!(verify(&bench.path(), None, None).unwrap().ok);
    assert!(matches!(verify(&bench.path(), Some("nonsense"), None), Err(VerifyError::Vkey(_))));
    assert!(matches!(verify(&bench.dir.path().join("none"), Some(&bench.vkey()), None), Err(VerifyError::NoLog(_))));
    fs::remove_file(bench.path().join("vkey")).unwrap();
    assert!(matches!(verify(&bench.path(), None, None), Err(VerifyError::NoVkey(_))));
}

#[test]
fn a_log_without_its_checkpoint_is_not_begun_anew() {
    let bench = small();
    fs::remove_file(bench.path().join("checkpoint")).unwrap();
    assert!(matches!(bench.open(), Err(OpenError::NoCheckpoint(_))));
    assert_eq!(bench.entries().len(), 6);
}

#[test]
fn an_older_checkpoint_must_be_a_beginning() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    let old = log.checkpoint().unwrap();
    // The same log, gone on in two ways.
    let fork = bench.dir.path().join("fork");
    copy(&bench.path(), &fork);
    log.append(bench.leaf(1)).unwrap();
    writer.close().unwrap();
    let new = log.checkpoint().unwrap();
    let report = |path: &Path, old: &str| verify(path, Some(&bench.vkey()), Some(old)).unwrap();
    assert!(report(&bench.path(), &old).ok);
    assert!(report(&bench.path(), &new).ok);
    let set_back = report(&fork, &new);
    assert!(set_back.findings.iter().any(|finding| finding.sentence.contains("set back")), "{set_back}");

    let settings = Settings { path: fork.clone(), ..bench.settings() };
    let (log, writer) = bench.open_with(settings).unwrap();
    for number in 2..9 {
        log.append(bench.leaf(number)).unwrap();
    }
    writer.close().unwrap();
    assert!(report(&fork, &old).ok);
    let forked = report(&fork, &new);
    assert!(
        forked.findings.iter().any(|finding| finding.sentence.contains("the older checkpoint was signed")),
        "{forked}"
    );

    let foreign = Bench::new();
    let (log, writer) = foreign.open().unwrap();
    let result = verify(&bench.path(), Some(&bench.vkey()), log.checkpoint().as_deref());
    assert!(matches!(result, Err(VerifyError::OldCheckpoint(_))));
    writer.close().unwrap();
}

#[test]
fn nothing_can_be_added_to_a_closed_log() {
    let bench = small();
    let good: Vec<Vec<u8>> = bench.entries().into_iter().map(String::into_bytes).collect();
    let mut added = good.clone();
    added.push(bench.leaf(9).bytes().to_vec());
    rewrite(&bench, &added);
    assert!(matches!(bench.open(), Err(OpenError::Edited { .. })));
    let report = bench.verify();
    assert_eq!((report.size, report.unsigned, report.findings[0].index), (6, 1, Some(6)), "{report}");
}
