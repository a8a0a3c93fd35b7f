//! What goes in comes out, or nothing does.

use std::os::fd::AsRawFd;

use proptest::prelude::*;

use super::*;
use crate::model::BodyReader;

const ROOM: usize = 8 << 20;

fn metrics() -> Metrics {
    Metrics::new(&prometheus::Registry::new()).unwrap()
}

struct Place {
    dir: tempfile::TempDir,
    spool: Arc<Spool>,
}

fn place_of(bytes_total_max: usize) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let spool = Arc::new(Spool::open(&dir.path().join("data/spool"), bytes_total_max, &metrics()).unwrap());
    Place { dir, spool }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

async fn keep(spool: &Arc<Spool>, pieces: &[&[u8]]) -> Result<SpooledBody, SpoolError> {
    let mut writer = spool.begin().await?;
    for piece in pieces {
        writer.write(piece).await?;
    }
    writer.finish().await
}

fn noise(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(31) >> 3) as u8 ^ seed).collect()
}

fn read(body: SpooledBody) -> Result<Vec<u8>, (usize, KeptBodyError)> {
    let (mut reader, mut all) = (BodyReader::new(Arc::new(body)), Vec::new());
    loop {
        match reader.next_piece() {
            Ok(Some(piece)) => all.extend_from_slice(&piece),
            Ok(None) => return Ok(all),
            Err(error) => return Err((all.len(), error)),
        }
    }
}

#[tokio::test]
async fn lengths_around_the_edges_of_pieces_come_back() {
    let Place { dir: _dir, spool } = place_of(ROOM);
    for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, 3 * PIECE_BYTES + 5] {
        let bytes = noise(length, 7);
        let body = keep(&spool, &[&bytes]).await.unwrap();
        assert_eq!((body.bytes(), body.sha256()), (length as u64, Sha256::of(&bytes)));
        assert!(read(body) == Ok(bytes), "{length}");
    }
    assert_eq!(spool.gauge.get(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn however_a_body_arrives_it_comes_back(cuts in prop::collection::vec(0..400_000_usize, 0..6), seed: u8) {
        let Place { dir: _dir, spool } = place_of(ROOM);
        let pieces: Vec<Vec<u8>> = cuts.iter().map(|length| noise(*length, seed)).collect();
        let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let body = runtime().block_on(keep(&spool, &slices)).unwrap();
        prop_assert!(read(body) == Ok(pieces.concat()));
    }

    #[test]
    fn one_changed_bit_anywhere_keeps_the_end_back(at in 0..3 * (PIECE_BYTES + TAG_BYTES), bit in 0..8_u8) {
        let Place { dir: _dir, spool } = place_of(ROOM);
        let body = runtime().block_on(keep(&spool, &[&noise(3 * PIECE_BYTES, 1)])).unwrap();
        let mut byte = [0];
        body.file.read_exact_at(&mut byte, at as u64).unwrap();
        body.file.write_all_at(&[byte[0] ^ (1 << bit)], at as u64).unwrap();
        let intact = at / (PIECE_BYTES + TAG_BYTES) * PIECE_BYTES;
        prop_assert_eq!(read(body), Err((intact, KeptBodyError::Damaged)));
    }
}

#[tokio::test]
async fn pieces_that_were_moved_cut_off_or_exchanged_do_not_open() {
    let Place { dir: _dir, spool } = place_of(ROOM);
    let sealed = (PIECE_BYTES + TAG_BYTES) as u64;
    let three = noise(3 * PIECE_BYTES, 1);
    let copy = |from: &File, at: u64, to: &File, into: u64| {
        let mut piece = vec![0; PIECE_BYTES + TAG_BYTES];
        from.read_exact_at(&mut piece, at * sealed).unwrap();
        to.write_all_at(&piece, into * sealed).unwrap();
    };
    // The same plaintext under another key, and in another place.
    let (body, other) = (keep(&spool, &[&three]).await.unwrap(), keep(&spool, &[&three]).await.unwrap());
    copy(&other.file, 1, &body.file, 1);
    assert_eq!(read(body), Err((PIECE_BYTES, KeptBodyError::Damaged)));
    copy(&other.file, 1, &other.file, 0);
    assert_eq!(read(other), Err((0, KeptBodyError::Damaged)));
    // Cut off, with or without a whole number of pieces.
    for length in [2 * sealed, 2 * sealed + 100, 10] {
        let body = keep(&spool, &[&three]).await.unwrap();
        body.file.set_len(length).unwrap();
        let whole = usize::try_from(length / sealed).unwrap() * PIECE_BYTES;
        assert_eq!(read(body), Err((whole, KeptBodyError::Damaged)), "{length}");
    }
    // Somebody who could change what we think of its length would still be told by the seal.
    for (pieces, bytes) in [(2, 2 * PIECE_BYTES as u64), (3, 3 * PIECE_BYTES as u64 - 1)] {
        let mut body = keep(&spool, &[&three]).await.unwrap();
        (body.pieces, body.bytes) = (pieces, bytes);
        assert_eq!(body.piece(pieces - 1), Err(KeptBodyError::Damaged));
    }
}

#[tokio::test]
async fn nothing_of_it_can_be_found_by_others() {
    let Place { dir, spool } = place_of(ROOM);
    let secret = b"a password that nobody may read ".repeat(20_000);
    let body = keep(&spool, &[&secret]).await.unwrap();
    let mut on_disk = vec![0; secret.len()];
    body.file.read_exact_at(&mut on_disk, 0).unwrap();
    assert!(!on_disk.windows(32).any(|window| window == &secret[..32]));
    // It has no name, and would be for its owner only if it had one.
    assert_eq!(std::fs::read_dir(dir.path().join("data/spool")).unwrap().count(), 0);
    let metadata = body.file.metadata().unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let target = std::fs::read_link(format!("/proc/self/fd/{}", body.file.as_raw_fd())).unwrap();
    assert!(target.to_string_lossy().ends_with("(deleted)"), "{target:?}");
    assert_eq!(std::fs::metadata(dir.path().join("data/spool")).unwrap().permissions().mode() & 0o777, 0o700);
    // Two files with one content have nothing in common.
    let again = keep(&spool, &[&secret]).await.unwrap();
    let mut other = vec![0; secret.len()];
    again.file.read_exact_at(&mut other, 0).unwrap();
    assert_ne!(on_disk[..PIECE_BYTES], other[..PIECE_BYTES]);
}

#[tokio::test]
async fn the_room_is_shared_and_given_back() {
    let Place { dir: _dir, spool } = place_of(3 * PIECE_BYTES);
    let two = noise(2 * PIECE_BYTES, 1);
    let first = keep(&spool, &[&two]).await.unwrap();
    assert_eq!(spool.gauge.get(), two.len() as i64);
    assert!(matches!(keep(&spool, &[&two]).await, Err(SpoolError::Full(_))));
    // What did not fit has left no trace.
    assert_eq!(spool.gauge.get(), two.len() as i64);
    let third = keep(&spool, &[&two[..PIECE_BYTES]]).await.unwrap();
    assert_eq!(spool.room.available_permits(), 0);
    drop((first, third));
    assert_eq!(spool.gauge.get(), 0);
    // One that is given up in the middle takes up nothing either.
    let mut writer = spool.begin().await.unwrap();
    writer.write(&two).await.unwrap();
    drop(writer);
    assert_eq!(spool.gauge.get(), 0);
    keep(&spool, &[&two]).await.unwrap();
}

#[tokio::test]
async fn a_disk_that_is_full_is_an_error_and_ends_the_body() {
    let Place { dir: _dir, spool } = place_of(ROOM);
    // What is written there is answered with `ENOSPC`.
    let full = File::options().read(true).write(true).open("/dev/full").unwrap();
    let mut writer =
        SpoolWriter { sealer: Some(Sealer::new(Arc::clone(&spool), full).unwrap()), waiting: BytesMut::new() };
    let failed = writer.write(&noise(2 * PIECE_BYTES, 1)).await.unwrap_err();
    let SpoolError::Folder { source, .. } = &failed else { panic!("{failed}") };
    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    assert!(writer.write(&noise(2 * PIECE_BYTES, 1)).await.is_err());
    assert!(writer.finish().await.is_err());
    assert_eq!(spool.gauge.get(), 0);
}

#[tokio::test]
async fn a_folder_that_is_gone_or_none_is_an_error() {
    let Place { dir, spool } = place_of(ROOM);
    std::fs::remove_dir_all(dir.path().join("data")).unwrap();
    assert!(matches!(spool.begin().await, Err(SpoolError::Folder { .. })));
    std::fs::write(dir.path().join("file"), "").unwrap();
    assert!(matches!(Spool::open(&dir.path().join("file/spool"), ROOM, &metrics()), Err(SpoolError::Folder { .. })));
}
