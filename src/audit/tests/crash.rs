//! A process that dies at any moment: what was acknowledged stays, and nothing half-written does.

use super::*;

/// The files of a log as a dying process leaves them: signed for up to a point, some leaves
/// acknowledged behind it, and more written that nobody was told of.
struct Wreck {
    bench: Bench,
    /// The files, with everything written.
    image: PathBuf,
    /// The same files, as they were when the journal was begun: what is in them is on the disk.
    settled: PathBuf,
    /// The numbers that were acknowledged.
    acknowledged: u64,
    /// The numbers that were written.
    written: u64,
}

fn wreck(signed: u64, acknowledged: u64, written: u64) -> Wreck {
    wreck_with(signed, acknowledged, written, Duration::from_secs(3600))
}

fn wreck_with(signed: u64, acknowledged: u64, written: u64, checkpoint_every: Duration) -> Wreck {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    for number in 1..signed {
        log.append(bench.leaf(number)).unwrap();
    }
    writer.close().unwrap();
    let settled = bench.dir.path().join("settled");
    copy(&bench.path(), &settled);
    // Mostly no checkpoint from here on, apart from the first.
    let (log, writer) = bench.open_with(Settings { checkpoint_every, ..bench.settings() }).unwrap();
    for number in signed..=written {
        wait(log.append_durably(if number % 3 == 0 { numbered_private(&bench, number) } else { bench.leaf(number) }))
            .unwrap();
    }
    until("a checkpoint", || {
        checkpoint_every > Duration::ZERO || log.checkpoint().unwrap().contains(&format!("\n{}\n", written + 3))
    });
    let image = bench.dir.path().join("image");
    copy(&bench.path(), &image);
    writer.close().unwrap();
    Wreck { bench, image, settled, acknowledged, written }
}

fn numbered_private(bench: &Bench, number: u64) -> Leaf {
    let event = bench.event(EventKind::RequestAllowed, Fields::new().with("number", number));
    let private = vec![("reason", serde_json::json!("none"))];
    Event { private, ..event }.seal("node-1", || [7; 16]).unwrap()
}

impl Wreck {
    /// Lays the files out again, with a journal of what was acknowledged, lets `damage` loose on
    /// them, and opens the log.
    fn after(&self, damage: impl FnOnce(&Path)) -> (Vec<u64>, Vec<String>) {
        let path = self.bench.path();
        fs::remove_dir_all(&path).unwrap();
        copy(&self.image, &path);
        let journal = journal::read(&path).unwrap();
        let kept = journal.iter().filter(|record| record.end() <= self.acknowledged + 3);
        let length = kept.map(journal::Record::bytes).sum();
        fs::File::options().write(true).open(path.join("journal-0")).unwrap().set_len(length).unwrap();
        damage(&path);
        self.open()
    }

    /// Opens the log, and checks that nothing acknowledged is missing.
    fn open(&self) -> (Vec<u64>, Vec<String>) {
        let path = self.bench.path();
        let (log, writer) = self.bench.open().unwrap();
        wait(log.append_durably(self.bench.leaf(9_999))).unwrap();
        writer.close().unwrap();
        let report = self.bench.verify();
        assert!(report.ok, "{report}");
        assert_eq!(report.unsigned, 0);
        let mut numbers = numbers(&path);
        assert_eq!(numbers.pop(), Some(9_999));
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
        assert!(numbers.len() as u64 >= self.acknowledged, "{numbers:?} of {} acknowledged", self.acknowledged);
        (numbers, kinds(&path))
    }
}

/// The end of every entry of a bundle.
fn ends(bundle: &[u8]) -> Vec<usize> {
    let mut entries = super::super::files::Entries::new(bundle);
    std::iter::from_fn(|| entries.next().map(|_| ()).map(|()| entries.offset())).collect()
}

#[test]
fn a_tail_cut_at_any_byte_goes_back_to_the_last_whole_entry() {
    let wreck = wreck(4, 5, 8);
    let name = "tile/entries/000";
    let bundle = fs::read(wreck.image.join(name)).unwrap();
    let ends = ends(&bundle);
    // opened, 1, 2, 3, closed, opened, 4, 5 are acknowledged; 6, 7, 8 are not.
    assert_eq!(ends.len(), 11);
    for length in ends[7]..=bundle.len() {
        let (numbers, kinds) = wreck.after(|path| fs::write(path.join(name), &bundle[..length]).unwrap());
        let whole = ends.iter().filter(|end| **end <= length).count();
        assert_eq!(numbers.len(), whole - 3, "cut to {length}");
        let torn = !ends.contains(&length);
        let disclosed_too_much = whole < 9; // Number 6 has a disclosure, whose entry may be gone.
        let recovered = kinds.iter().filter(|kind| *kind == "log.recovered").count();
        assert_eq!(recovered, usize::from(torn || disclosed_too_much), "cut to {length}: {kinds:?}");
    }
}

#[test]
fn what_a_disk_makes_up_behind_the_last_entry_is_cut_off_and_kept() {
    let wreck = wreck(4, 8, 8);
    let name = "tile/entries/000";
    let bundle = fs::read(wreck.image.join(name)).unwrap();
    for junk in [&[0_u8; 4096][..], &[0xff; 100], &[0, 2, b'{', b'}', 0, 3, b'a', b'b'], &[0], b"\0\x04null"] {
        let (numbers, kinds) = wreck.after(|path| {
            fs::write(path.join(name), [&bundle[..], junk].concat()).unwrap();
        });
        // `{}` and `null` are whole entries as far as their length goes, but no events.
        assert_eq!(numbers.len(), 8);
        assert_eq!(kinds.iter().filter(|kind| *kind == "log.recovered").count(), 1);
        let kept = files(&wreck.bench.path().join("cut"));
        assert_eq!(kept.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>(), [junk]);
    }
}

#[test]
fn tiles_behind_the_checkpoint_are_made_anew() {
    let wreck = wreck(250, 265, 265);
    for (name, junk) in
        [("tile/0/000", &b""[..]), ("tile/0/001", b"junk"), ("tile/1/000", b"junk"), ("tile/0/001", &[0; 8192])]
    {
        let (numbers, kinds) = wreck.after(|path| {
            let path = path.join(name);
            if name == "tile/0/000" {
                let signed = fs::read(&path).unwrap()[..252 * 32].to_vec();
                fs::write(path, signed).unwrap();
            } else {
                fs::write(path, junk).unwrap();
            }
        });
        assert_eq!(numbers.len(), 265, "{name}");
        assert!(!kinds.contains(&"log.recovered".to_owned()), "nothing of the record was lost");
    }
}

#[test]
fn a_write_across_two_bundles_may_be_torn_in_either() {
    let wreck = wreck(240, 245, 270);
    let [first, second] = ["tile/entries/000", "tile/entries/001"];
    let bundle = fs::read(wreck.image.join(first)).unwrap();
    let ends = ends(&bundle);
    assert_eq!(ends.len(), 256);
    // The second bundle reached the disk, the end of the first did not.
    let (numbers, kinds) = wreck.after(|path| fs::write(path.join(first), &bundle[..ends[250] + 5]).unwrap());
    assert_eq!(numbers.len(), 251 - 3);
    assert!(kinds.contains(&"log.recovered".to_owned()));
    // The other way round.
    let (numbers, _) = wreck.after(|path| fs::remove_file(path.join(second)).unwrap());
    assert_eq!(numbers.len(), 256 - 3);
    let (numbers, _) = wreck.after(|path| fs::write(path.join(second), b"").unwrap());
    assert_eq!(numbers.len(), 256 - 3);
}

#[test]
fn disclosures_of_lost_entries_go_too() {
    let wreck = wreck(4, 5, 8);
    let bundle = fs::read(wreck.image.join("tile/entries/000")).unwrap();
    let ends = ends(&bundle);
    let lines =
        |path: &Path| fs::read_to_string(path.join("disclosures/000.jsonl")).unwrap_or_default().lines().count();
    assert_eq!(lines(&wreck.image), 1);
    wreck.after(|path| fs::write(path.join("tile/entries/000"), &bundle[..ends[8] - 1]).unwrap());
    assert_eq!(lines(&wreck.bench.path()), 0);
    // Half a line belongs to nobody; its entry stands, and its value counts as withheld.
    let text = fs::read(wreck.image.join("disclosures/000.jsonl")).unwrap();
    wreck.after(|path| fs::write(path.join("disclosures/000.jsonl"), &text[..text.len() - 3]).unwrap());
    let report = wreck.bench.verify();
    assert_eq!((report.disclosed, report.withheld), (0, 1));
    assert_eq!(wreck.written, 8);
}

#[test]
fn a_log_whose_making_was_cut_short_is_made_again() {
    let bench = Bench::new();
    bench.open().unwrap().1.close().unwrap();
    let path = bench.path();
    let bundle = fs::read(path.join("tile/entries/000")).unwrap();
    let first = ends(&bundle)[0];
    for length in [0, 1, first - 1, first] {
        fs::remove_dir_all(&path).unwrap();
        fs::create_dir_all(path.join("tile/entries")).unwrap();
        fs::write(path.join("tile/entries/000"), &bundle[..length]).unwrap();
        bench.open().unwrap().1.close().unwrap();
        assert_eq!(kinds(&path), ["log.opened", "log.closed"]);
        assert!(bench.verify().ok);
    }
}

/// Leaves behind a file of which the disk has only what was settled, and something else of the
/// rest, if anything.
fn lose(settled: &Path, file: &Path, how: usize) {
    let written = fs::read(file).unwrap();
    let settled = fs::read(settled).unwrap_or_default();
    let rest = written.len() - settled.len();
    let found = match how % 6 {
        0 => settled,
        1 => [settled, vec![0; rest]].concat(),
        2 => [settled, vec![b'{'; rest / 2]].concat(),
        3 => written[..settled.len() + rest / 3].to_vec(),
        4 if settled.is_empty() => return fs::remove_file(file).unwrap(),
        _ => written,
    };
    fs::write(file, found).unwrap();
}

#[test]
fn what_was_acknowledged_is_put_back_whatever_the_files_lost() {
    for checkpoint_every in [Duration::ZERO, Duration::from_secs(3600)] {
        let wreck = wreck_with(250, 530, 530, checkpoint_every);
        let everything = (1..=530).collect::<Vec<_>>();
        let parts = ["tile", "disclosures"].map(|part| wreck.image.join(part));
        let written: Vec<PathBuf> = parts.iter().flat_map(|part| files(part)).collect();
        assert_eq!(written.len(), 3 + 3 + 1 + 3);
        let mut ways: Vec<Vec<usize>> = (0..6).map(|how| vec![how; written.len()]).collect();
        // And all the ways mixed, without anything random.
        ways.extend((1..20).map(|step| (0..written.len()).map(|file| file * step + file * file / 3 + step).collect()));
        for ways in ways {
            let (numbers, kinds) = wreck.after(|path| {
                for (file, how) in written.iter().zip(&ways) {
                    let name = file.strip_prefix(&wreck.image).unwrap();
                    lose(&wreck.settled.join(name), &path.join(name), *how);
                }
                // The verifier accepts it already, and says what is to be mended.
                let report = wreck.bench.verify();
                assert!(report.ok, "{ways:?}: {report}");
                assert_eq!(report.size + report.unsigned, 533, "{ways:?}: {report}");
            });
            assert_eq!(numbers, everything, "{ways:?}");
            assert!(!kinds.contains(&"log.recovered".to_owned()), "{ways:?}: nothing of the record was lost");
        }
    }
}

#[test]
fn a_journal_that_is_lost_does_no_harm_to_files_that_are_there() {
    let wreck = wreck_with(250, 270, 270, Duration::ZERO);
    let journal = fs::read(wreck.image.join("journal-0")).unwrap();
    for (keep, flip) in
        [(0, false), (1, false), (journal.len() / 2, false), (journal.len() - 1, false), (journal.len(), true)]
    {
        let mut bytes = journal[..keep].to_vec();
        if flip {
            bytes[keep / 2] ^= 1;
        }
        let (numbers, _) = wreck.after(|path| fs::write(path.join("journal-0"), &bytes).unwrap());
        assert_eq!(numbers.len(), 270);
    }
}

#[test]
fn a_journal_puts_nothing_back_that_was_not_signed_for() {
    let wreck = wreck_with(4, 8, 8, Duration::ZERO);
    let other = wreck_with(4, 8, 8, Duration::ZERO);
    let path = wreck.bench.path();
    fs::remove_dir_all(&path).unwrap();
    copy(&wreck.image, &path);
    fs::copy(other.image.join("journal-0"), path.join("journal-0")).unwrap();
    let before = fs::read(path.join("tile/entries/000")).unwrap();
    assert!(matches!(wreck.bench.open(), Err(OpenError::Edited { what, .. }) if what.contains("journal")));
    assert_eq!(fs::read(path.join("tile/entries/000")).unwrap(), before);
    assert!(!wreck.bench.verify().ok);
}

#[test]
fn a_journal_without_its_checkpoint_is_not_begun_anew() {
    let wreck = wreck(4, 8, 8);
    let path = wreck.bench.path();
    fs::remove_dir_all(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::copy(wreck.image.join("journal-0"), path.join("journal-0")).unwrap();
    assert!(matches!(wreck.bench.open(), Err(OpenError::NoCheckpoint(_))));
}

#[test]
fn the_journal_takes_turns_and_begins_anew_behind_what_is_settled() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    let long = "x".repeat(10_000);
    // 6 MiB: each of the two files of the journal is written several times.
    for number in 1..=600_u64 {
        let leaf =
            bench.sealed(EventKind::RequestAllowed, Fields::new().with("number", number).with("text", long.as_str()));
        wait(log.append_durably(leaf)).unwrap();
    }
    wait(log.append_durably(bench.leaf(601))).unwrap();
    let journal = journal::read(&bench.path()).unwrap();
    let (first, end) = (journal.first().unwrap().first, journal.last().unwrap().end());
    assert!(first > 300, "{first}: what was settled is written over");
    assert_eq!(end, 602);
    let image = bench.dir.path().join("image");
    copy(&bench.path(), &image);
    writer.close().unwrap();
    fs::remove_dir_all(bench.path()).unwrap();
    fs::rename(&image, bench.path()).unwrap();
    // Nothing since the journal's first entry has reached its file.
    for path in files(&bench.path().join("tile/entries")) {
        let bundle: u64 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        if bundle > first / 256 {
            fs::remove_file(path).unwrap();
        }
    }
    assert!(bench.verify().ok, "{}", bench.verify());
    bench.open().unwrap().1.close().unwrap();
    assert_eq!(numbers(&bench.path()), (1..=601).collect::<Vec<_>>());
    assert!(bench.verify().ok, "{}", bench.verify());
}
