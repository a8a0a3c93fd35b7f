//! A process that dies at any moment: what was acknowledged stays, and nothing half-written does.

use super::*;

/// The files of a log as a dying process leaves them: signed for up to a point, some leaves
/// acknowledged behind it, and more written that nobody was told of.
struct Wreck {
    bench: Bench,
    /// The files, with everything written.
    image: PathBuf,
    /// The numbers that were acknowledged.
    acknowledged: u64,
    /// The numbers that were written.
    written: u64,
}

fn wreck(signed: u64, acknowledged: u64, written: u64) -> Wreck {
    let bench = Bench::new();
    let hour = Duration::from_secs(3600);
    let (log, writer) = bench.open().unwrap();
    for number in 1..signed {
        log.append(bench.leaf(number)).unwrap();
    }
    writer.close().unwrap();
    // No checkpoint from here on, apart from the first.
    let (log, writer) = bench.open_with(Settings { checkpoint_every: hour, ..bench.settings() }).unwrap();
    for number in signed..=written {
        wait(log.append_durably(if number % 3 == 0 { numbered_private(&bench, number) } else { bench.leaf(number) }))
            .unwrap();
    }
    let image = bench.dir.path().join("image");
    copy(&bench.path(), &image);
    writer.close().unwrap();
    Wreck { bench, image, acknowledged, written }
}

fn numbered_private(bench: &Bench, number: u64) -> Leaf {
    let event = bench.event(EventKind::RequestAllowed, Fields::new().with("number", number));
    let private = vec![("reason", serde_json::json!("none"))];
    Event { private, ..event }.seal("node-1", || [7; 16]).unwrap()
}

impl Wreck {
    /// Lays the files out again, lets `damage` loose on them, and opens the log.
    fn after(&self, damage: impl FnOnce(&Path)) -> (Vec<u64>, Vec<String>) {
        let path = self.bench.path();
        fs::remove_dir_all(&path).unwrap();
        copy(&self.image, &path);
        damage(&path);
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
