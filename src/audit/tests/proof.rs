//! One event leaves the log together with its proof.

use super::*;

#[test]
fn every_event_of_a_log_can_be_proven() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    for number in 1..=600 {
        log.append(bench.leaf(number)).unwrap();
    }
    writer.close().unwrap();
    let leaves = bench.entries();
    assert_eq!(leaves.len(), 602);
    for index in [0, 1, 2, 254, 255, 256, 257, 511, 512, 599, 600, 601] {
        let text = prove(&bench.path(), index).unwrap().to_string();
        let proven = Proof::verify(&text, &bench.vkey()).unwrap();
        assert_eq!((proven.index, proven.size, proven.origin.as_str()), (index, 602, "holdpoint.example/node-1"));
        assert_eq!(proven.leaf, leaves[index as usize]);
    }
    assert!(matches!(prove(&bench.path(), 602), Err(ProveError::NotCovered { index: 602, size: 602 })));
}

#[test]
fn a_proof_that_was_changed_or_is_anothers_proves_nothing() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    (1..=5).for_each(|number| log.append(bench.leaf(number)).unwrap());
    writer.close().unwrap();
    let good = prove(&bench.path(), 3).unwrap().to_string();
    assert!(Proof::verify(&good, &bench.vkey()).is_ok());
    assert!(matches!(Proof::verify(&good, &Bench::new().vkey()), Err(ProofError::Checkpoint(_))));
    for at in 0..good.len() {
        for flip in [0x01, 0x20] {
            let mut bad = good.clone().into_bytes();
            bad[at] ^= flip;
            // What is no UTF-8 is no proof.
            let Ok(bad) = String::from_utf8(bad) else { continue };
            assert!(Proof::verify(&bad, &bench.vkey()).is_err(), "byte {at} changed by {flip:#x}:\n{bad}");
        }
        let Some(cut) = good.get(..at) else { continue };
        assert!(Proof::verify(cut, &bench.vkey()).is_err(), "cut to {at}");
    }
}

#[test]
fn nothing_is_proven_of_a_log_that_was_changed() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    (1..=5).for_each(|number| log.append(bench.leaf(number)).unwrap());
    writer.close().unwrap();
    let path = bench.path().join("tile/0/000");
    let mut tile = fs::read(&path).unwrap();
    tile[40] ^= 1;
    fs::write(&path, tile).unwrap();
    assert!(matches!(prove(&bench.path(), 3), Err(ProveError::NotProven)));
}
