//! Every order of votes in a small world, against a reference that shares no code with the room.

use std::collections::BTreeSet;

use super::*;

const PERSONS: [&str; 3] = ["ana", "bo", "olga@example.com"];
const GROUP_NAMES: [&str; 2] = ["owners", "security"];

/// What the naive reference says of a sequence of votes: where it stands after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Pending,
    Approved,
    Denied,
    Revoked,
}

/// Membership is one bit for each person and group, person by person.
fn is_member(membership: u32, person: usize, group: usize) -> bool {
    membership & (1 << (person * 2 + group)) != 0
}

/// Olga owns the agent and never counts. Distinct people are counted by trying all three in all
/// places: with so few, no matching is needed.
fn reference(membership: u32, needs: [u32; 2], votes: &[(usize, ReviewVerdict)]) -> Expected {
    let mut state = Expected::Pending;
    let mut approved: BTreeSet<usize> = BTreeSet::new();
    for &(person, verdict) in votes {
        let asked = (0..2).any(|group| needs[group] > 0 && is_member(membership, person, group));
        // The room asks about every group that is named, whatever its count.
        let named = (0..2).any(|group| is_member(membership, person, group));
        if person == 2 || !(asked || named) {
            continue;
        }
        match (state, verdict) {
            (Expected::Pending, ReviewVerdict::Deny) => state = Expected::Denied,
            (Expected::Approved, ReviewVerdict::Deny) => state = Expected::Revoked,
            (Expected::Pending, ReviewVerdict::Approve) => {
                approved.insert(person);
                if enough(membership, needs, &approved) {
                    state = Expected::Approved;
                }
            }
            (Expected::Approved, ReviewVerdict::Approve) | (Expected::Denied | Expected::Revoked, _) => {}
        }
    }
    state
}

/// Whether the people can be split so that each group gets as many as it needs.
fn enough(membership: u32, needs: [u32; 2], approved: &BTreeSet<usize>) -> bool {
    if needs == [0, 0] {
        return false;
    }
    let people: Vec<usize> = approved.iter().copied().collect();
    // Each person goes to the first group, the second, or none.
    (0..3_u32.pow(u32::try_from(people.len()).unwrap())).any(|split| {
        let mut got = [0, 0];
        let mut rest = split;
        for &person in &people {
            let place = (rest % 3) as usize;
            rest /= 3;
            if place < 2 {
                if !is_member(membership, person, place) {
                    return false;
                }
                got[place] += 1;
            }
        }
        got[0] >= needs[0] && got[1] >= needs[1]
    })
}

fn world(membership: u32) -> People {
    let mut text = String::new();
    for (index, group) in GROUP_NAMES.iter().enumerate() {
        let members: Vec<&str> =
            (0..3).filter(|person| is_member(membership, *person, index)).map(|person| PERSONS[person]).collect();
        text.push_str(&format!("{group}: {};", members.join(" ")));
    }
    people(&text, &[])
}

fn name(state: &State) -> Expected {
    match state.name() {
        "pending" => Expected::Pending,
        "approved" => Expected::Approved,
        "denied" => Expected::Denied,
        "revoked" => Expected::Revoked,
        other => panic!("votes cannot lead to `{other}`"),
    }
}

#[test]
fn no_order_of_votes_approves_with_too_few_distinct_eligible_people() {
    let mut approved = 0_u32;
    for membership in 0..64 {
        let people = world(membership);
        for needs in [[1, 0], [0, 1], [1, 1], [2, 0], [2, 1], [0, 2]] {
            let text: Vec<String> =
                GROUP_NAMES.iter().zip(needs).map(|(group, count)| format!("{group}={count}")).collect();
            let mut case = Case::new(&text.join(" "));
            case.people = people.clone();
            approved += explore(&case, membership, needs, &mut Vec::new());
        }
    }
    // So that this cannot pass by never approving anything.
    assert!(approved > 1_000, "{approved}");
}

/// Tries every further vote, up to four. Answers with how many sequences ended approved.
fn explore(case: &Case, membership: u32, needs: [u32; 2], votes: &mut Vec<(usize, ReviewVerdict)>) -> u32 {
    let expected = reference(membership, needs, votes);
    assert_eq!(name(&case.approval.state), expected, "{membership:06b} {needs:?} {votes:?}");
    let mut approved = u32::from(expected == Expected::Approved);
    // What is settled stays so: `properties` tries that with every command.
    if votes.len() == 4 || matches!(expected, Expected::Denied | Expected::Revoked) {
        return approved;
    }
    for (index, person_name) in PERSONS.iter().enumerate() {
        for verdict in [ReviewVerdict::Approve, ReviewVerdict::Deny] {
            let mut next = case.clone();
            let review = next.review(person_name, verdict);
            // Refused or not: the state is what counts.
            let _ = next.approval.apply(Command::Review(review), case.around(10));
            votes.push((index, verdict));
            approved += explore(&next, membership, needs, votes);
            votes.pop();
        }
    }
    approved
}
