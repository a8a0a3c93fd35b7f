//! Approvals as their events tell them, good stories and bad ones.

use serde_json::json;

use crate::model::ApprovalId;
use crate::model::Assurance;
use crate::model::Sha256;

use super::*;

/// Writes the events of one approval, each linked to the one before.
struct Teller<'a> {
    bench: &'a Bench,
    log: &'a Log,
    subject: ApprovalId,
    prev: Option<Sha256>,
}

impl<'a> Teller<'a> {
    fn new(bench: &'a Bench, log: &'a Log) -> Self {
        Self { bench, log, subject: ApprovalId::new(&bench.ids, clock().now()), prev: None }
    }

    fn tell(&mut self, kind: EventKind, actor: Actor<'_>, data: Fields<'_>) {
        let event = self.bench.event(kind, data);
        let event = Event { subject: Some(self.subject), prev: self.prev, actor, ..event };
        let leaf = event.seal("node-1", || [0; 16]).unwrap();
        self.prev = Some(leaf.hash());
        self.log.append(leaf).unwrap();
    }

    /// One word of a story: an event's last word, or `ana:approve:group+group` for a review.
    fn word(&mut self, word: &str) {
        let parts: Vec<&str> = word.split(':').collect();
        match *parts {
            ["created", requirements] => {
                let requirements: Vec<Fields<'_>> = requirements
                    .split('+')
                    .map(|part| part.split_once('=').unwrap())
                    .map(|(group, count)| {
                        Fields::new().with("group", group.to_owned()).with("count", count.parse::<u32>().unwrap())
                    })
                    .collect();
                let closure = ["deploy-bot".to_owned(), prs("owner")];
                let data = Fields::new()
                    .with("digest", Sha256::of(b"call"))
                    .with("requirements", requirements)
                    .with("closure", closure.to_vec());
                self.tell(EventKind::ApprovalCreated, bot(), data);
            }
            [person, verdict, groups] => self.review(person, verdict, groups, Sha256::of(b"call")),
            [person, verdict, groups, "other-call"] => self.review(person, verdict, groups, Sha256::of(b"other")),
            ["broken-link"] => self.prev = Some(Sha256::of(b"nothing")),
            ["no-link"] => self.prev = None,
            [kind] => {
                let kind = EventKind::from_word(&format!("approval.{kind}")).unwrap();
                self.tell(kind, Actor::System, Fields::new());
            }
            _ => panic!("{word}"),
        }
    }

    fn review(&mut self, person: &str, verdict: &str, groups: &str, digest: Sha256) {
        let groups: Vec<&str> = groups.split('+').collect();
        let data = Fields::new().with("verdict", verdict).with("groups", groups).with("digest", digest);
        let actor = if person == "bot" {
            bot()
        } else {
            Actor::Person { id: prs(person).into(), assurance: Assurance::Session, channel: "api".into() }
        };
        self.tell(EventKind::ApprovalDecided, actor, data);
    }
}

fn prs(person: &str) -> String {
    format!("prs_{person}")
}

fn bot() -> Actor<'static> {
    Actor::Principal { id: "deploy-bot".into() }
}

/// What is wrong with a story, one sentence a line; nothing if it is a good one.
fn told(story: &str) -> String {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    let mut teller = Teller::new(&bench, &log);
    story.split_whitespace().for_each(|word| teller.word(word));
    writer.close().unwrap();
    let report = bench.verify();
    let lines = report.findings.iter().map(|finding| {
        let sentence = finding.sentence.replace(&teller.subject.to_string(), "APPROVAL");
        format!("{}: {sentence}", finding.index.unwrap())
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn good_stories_are_verified() {
    let good = [
        "created:owners=1 viewed ana:approve:owners approved claimed completed",
        "created:owners=1 caller_left ana:approve:owners approved caller_joined claimed unclaimed claimed failed",
        "created:owners=1 ana:approve:owners approved claimed unknown",
        "created:owners=1 ana:approve:owners approved lapsed",
        "created:owners=1 ana:approve:owners approved revoked",
        "created:owners=1 asked answered ana:deny:owners denied",
        "created:owners=2 ana:approve:owners ana:deny:owners denied",
        "created:owners=1 expired",
        "created:owners=1 withdrawn",
        "created:owners=1+security=1 ana:approve:owners+security bo:approve:owners approved claimed completed viewed",
        "created:owners=1 ana:approve:owners",
    ];
    for story in good {
        assert_eq!(told(story), "", "{story}");
    }
}

#[test]
fn bad_stories_are_found_out() {
    let cases = [
        (
            "created:owners=1 approved",
            "2: it was approved without its quorum: 1 of `owners` asked for, 0 people approved",
        ),
        (
            "created:owners=2 ana:approve:owners ana:approve:owners approved",
            "4: it was approved without its quorum: 2 of `owners` asked for, 1 people approved",
        ),
        (
            "created:owners=1+security=1 ana:approve:owners+security approved",
            "3: it was approved without its quorum: 1 of `owners` and 1 of `security` asked for, 1 people approved",
        ),
        (
            "created:owners=1 ana:approve:guests approved",
            "3: it was approved without its quorum: 1 of `owners` asked for, 0 people approved",
        ),
        (
            "created:owners=1 owner:approve:owners approved",
            "2: `prs_owner` approved a call of their own\n\
             3: it was approved without its quorum: 1 of `owners` asked for, 0 people approved",
        ),
        (
            "created:owners=1 ana:approve:owners:other-call approved",
            "2: it is about another call than the approval: the digests differ\n\
             3: it was approved without its quorum: 1 of `owners` asked for, 0 people approved",
        ),
        (
            "created:owners=1 ana:deny:owners bo:approve:owners approved",
            "4: it was approved although a reviewer had denied it",
        ),
        (
            "created:owners=1 bot:approve:owners approved",
            "2: only a person can review, and this actor is none\n\
             3: it was approved without its quorum: 1 of `owners` asked for, 0 people approved",
        ),
        ("created:owners=1 ana:maybe:owners", "2: its verdict is neither `approve` nor `deny`"),
        ("created:owners=0", "1: it asks for no reviewer at all"),
        ("created:owners=1 denied", "2: it was denied, and nobody who might review it said so"),
        ("created:owners=1 owner:deny:owners denied", "3: it was denied, and nobody who might review it said so"),
        ("created:owners=1 claimed", "2: `approval.claimed` cannot happen to an approval that is pending"),
        (
            "created:owners=1 ana:approve:owners approved claimed claimed",
            "5: `approval.claimed` cannot happen to an approval that is forwarding",
        ),
        (
            "created:owners=1 ana:approve:owners approved completed",
            "4: `approval.completed` cannot happen to an approval that is approved",
        ),
        (
            "created:owners=1 ana:approve:owners approved claimed completed claimed",
            "6: `approval.claimed` cannot happen to an approval that is at its end",
        ),
        (
            "created:owners=1 expired ana:approve:owners approved",
            "3: it was reviewed while it was at its end\n\
             4: `approval.approved` cannot happen to an approval that is at its end",
        ),
        ("viewed created:owners=1", "1: `approval.viewed` comes before `approval.created`"),
        ("created:owners=1 created:owners=1", "2: `approval.created` cannot happen to an approval that is pending"),
        (
            "created:owners=1 broken-link viewed",
            "2: its `prev` is not the previous event of `APPROVAL`: one is missing or out of place",
        ),
        (
            "created:owners=1 no-link viewed",
            "2: its `prev` is not the previous event of `APPROVAL`: one is missing or out of place",
        ),
        ("broken-link created:owners=1", "1: its `prev` names an event of `APPROVAL`, of which this log has none"),
    ];
    for (story, expected) in cases {
        assert_eq!(told(story), expected, "{story}");
    }
}

/// A leaf with something private in it.
pub(super) fn private_leaf(bench: &Bench) -> Leaf {
    let private = vec![("reason", json!("wants to help")), ("source_ip", json!("192.0.2.7"))];
    let event = Event { private, ..bench.event(EventKind::RequestDenied, Fields::new()) };
    let mut salt = 0;
    let salt = || {
        salt += 1;
        [salt; 16]
    };
    event.seal("node-1", salt).unwrap()
}

#[test]
fn disclosures_match_or_are_withheld() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    for number in 0..300 {
        log.append(bench.leaf(number)).unwrap();
        if number % 100 == 99 {
            log.append(private_leaf(&bench)).unwrap();
        }
    }
    writer.close().unwrap();
    let report = bench.verify();
    assert!(report.ok, "{report}");
    assert_eq!((report.disclosed, report.withheld), (6, 0));

    let path = bench.path().join("disclosures/000.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let (first, rest) = text.split_at(text.find('\n').unwrap() + 1);
    assert!(!bench.entries().concat().contains("192.0.2.7"));
    fs::write(&path, rest).unwrap();
    let report = bench.verify();
    assert!(report.ok, "{report}");
    assert_eq!((report.disclosed, report.withheld), (4, 2));
    fs::remove_file(&path).unwrap();
    let report = bench.verify();
    assert_eq!((report.ok, report.disclosed, report.withheld), (true, 2, 4));

    for (wrong, why) in [
        (text.replace("evt_0", "evt_1"), "no entry of that bundle is the event"),
        (text.replace("[\"Wy", "[\"Wz"), "the entry commits to no such value"),
        (format!("{text}{first}"), "the entry commits to no such value"),
        (text.trim_end().to_owned(), "it was changed or cut"),
    ] {
        fs::write(&path, wrong).unwrap();
        let report = bench.verify();
        assert!(report.findings.first().unwrap().sentence.contains(why), "{report}");
    }
}

#[test]
fn a_report_reads_like_this() {
    let bench = Bench::new();
    let (log, writer) = bench.open().unwrap();
    let mut teller = Teller::new(&bench, &log);
    "created:owners=1 claimed".split(' ').for_each(|word| teller.word(word));
    writer.close().unwrap();
    let report = verify(&bench.path(), None, None).unwrap();
    let text = report.to_string();
    let stable: Vec<&str> =
        text.lines().filter(|line| !["key ", "root ", "time "].iter().any(|start| line.starts_with(start))).collect();
    insta::assert_snapshot!(stable.join("\n"), @r"
    log          holdpoint.example/node-1
    entries      4 signed, 0 not yet
    approvals    1
    disclosures  0 matched, 0 withheld
      approval.claimed  1
      approval.created  1
      log.closed        1
      log.opened        1
    note: no key was given, so the one beside the log was used: whoever made the log may have made both
    WRONG: entry 2: `approval.claimed` cannot happen to an approval that is pending
    NOT VERIFIED: 1 finding
    ");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["ok"], &json["size"], &json["pinned"]), (&json!(false), &json!(4), &json!(false)));
}
