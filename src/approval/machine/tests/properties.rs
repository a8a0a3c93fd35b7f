//! What holds after any commands in any order.

use proptest::prelude::*;

use super::*;

fn any_command() -> impl Strategy<Value = Command> {
    let names = prop::sample::select(vec!["ana", "bo", "bo-2", "cy", "zed", "olga@example.com", "hal@example.com"]);
    let verdict = prop::sample::select(vec![ReviewVerdict::Approve, ReviewVerdict::Deny]);
    let call = || prop::sample::select(calls());
    let digest = Case::new("owners=1 security=1").approval.digest;
    let assurance = prop::sample::select(vec![Assurance::Chat, Assurance::Session, Assurance::Stepup]);
    let ending = prop_oneof![
        (100_u16..600).prop_map(|status| Ending::Completed { status }),
        Just(Ending::NotSent { reason: "no".to_owned() }),
        Just(Ending::Unknown { reason: "who knows".to_owned() }),
    ];
    prop_oneof![
        6 => (names.clone(), verdict, assurance).prop_map(move |(name, verdict, assurance)| Command::Review(NewReview {
            person: person(name), digest, verdict, channel: Channel::Api, assurance, reason: None,
        })),
        1 => names.clone().prop_map(move |name| Command::Ask {
            person: person(name), digest, text: "why?".to_owned(), channel: Channel::Api, assurance: Assurance::Session,
        }),
        1 => Just(Command::Answer { by: "deploy-bot".to_owned(), text: "because".to_owned() }),
        1 => names.prop_map(|name| Command::Withdraw { person: person(name), reason: None }),
        1 => Just(Command::Revoke { reason: "policy".to_owned() }),
        3 => (call(), any::<bool>()).prop_map(|(call, says)| Command::Join { call, instead_of: None, reason: says.then(|| "x".to_owned()) }),
        2 => call().prop_map(|call| Command::Leave { call }),
        1 => call().prop_map(|call| Command::SendAway { call }),
        4 => call().prop_map(|run| Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }),
        2 => call().prop_map(|run| Command::Unclaim { run }),
        3 => (call(), ending).prop_map(|(run, ending)| Command::Finish { run, ending }),
        1 => Just(Command::Abandon),
        3 => Just(Command::Tick),
    ]
}

fn calls() -> Vec<CallId> {
    vec![Case::new("owners=1").call, Ids(crate::model::IdSource::new([8; 10])).call()]
}

fn is_settled(state: &State) -> bool {
    !state.is_open() && !matches!(state, State::Forwarding { .. })
}

proptest! {
    #[test]
    fn whatever_is_said_in_whatever_order(
        commands in prop::collection::vec((any_command(), 0_i64..30), 0..40),
        withdraws in any::<bool>(),
    ) {
        let mut case = Case::new("owners=1 security=1");
        if withdraws {
            case.approval.obligations.on_disconnect = OnDisconnect::Withdraw;
        }
        let (mut seconds, mut claims, mut unclaims) = (0, 0, 0);
        for (command, later) in commands {
            seconds += later;
            let before = case.approval.clone();
            let happened = case.apply(seconds, command.clone()).unwrap_or_default();
            let after = &case.approval;
            // A settled approval never changes, but that its caller leaves.
            if is_settled(&before.state) {
                prop_assert_eq!(&after.state, &before.state, "{:?}", command);
                prop_assert_eq!(&after.reviews, &before.reviews);
                prop_assert!(after.caller.is_none() || after.caller == before.caller);
            }
            // What was said stays said, and what it is about stays what it was.
            prop_assert!(after.reviews.starts_with(&before.reviews));
            prop_assert!(after.messages.starts_with(&before.messages));
            prop_assert!(after.expires >= before.expires);
            prop_assert_eq!((&after.digest, &after.closure, &after.obligations), (&before.digest, &before.closure, &before.obligations));
            // Nothing leaves but by a claim of what was approved, and once at a time.
            if let State::Forwarding { run, .. } = after.state && before.state.name() != "forwarding" {
                prop_assert_eq!(before.state.name(), "approved");
                prop_assert_eq!(before.caller, Some(run));
                prop_assert!(quorum(&before) >= 2);
                claims += 1;
            }
            unclaims += happened.iter().filter(|happened| matches!(happened, Happened::Unclaimed(_))).count();
            prop_assert!(claims <= unclaims + 1, "run more than once");
            if after.state.name() == "approved" {
                prop_assert!(quorum(after) >= 2);
            }
            let text = serde_json::to_string(after).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Approval>(&text).unwrap(), after);
        }
    }
}

/// How many different people who may do so have approved and not denied.
fn quorum(approval: &Approval) -> usize {
    let said = |verdict| {
        let reviews = approval.reviews.iter().filter(move |review| review.verdict == verdict);
        reviews.map(|review| review.person.as_str()).collect::<std::collections::BTreeSet<_>>()
    };
    let (yes, no) = (said(ReviewVerdict::Approve), said(ReviewVerdict::Deny));
    assert!(yes.iter().all(|name| ["ana", "bo", "cy"].contains(name)), "{yes:?}");
    yes.difference(&no).count()
}
