//! Whether distinct people fill every place that a policy asks for.

use serde::Serialize;

use crate::model::PersonId;
use crate::model::Requirement;

/// One place to be filled by one person of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// The group.
    pub group: String,
    /// Who fills it.
    pub person: Option<PersonId>,
    /// The group by which they do, where it is one that stands in for this one.
    pub stands_in: Option<String>,
}

/// Somebody who may fill a place, and for which groups they speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Who, by their canonical name.
    pub(super) person: PersonId,
    /// Their groups.
    pub(super) groups: Vec<String>,
}

/// Gives each of `candidates` at most one place, so that as many places as possible are filled:
/// one person fills one place, whatever groups they are in (EDGES F). Up to so many people as
/// `stand_ins` says may take any of the places.
///
/// The candidates are distinct. This is bipartite matching by augmenting paths (Kuhn);
/// [`SLOTS_MAX`] bounds the work. A seat for somebody who stands in is one more place to be
/// matched: whoever sits there serves wherever somebody is missing.
pub(super) fn fill(requirements: &[Requirement], stand_ins: &[Requirement], candidates: &[Candidate]) -> Vec<Slot> {
    let mut groups = seats(requirements);
    let needed = groups.len();
    groups.extend(seats(stand_ins));
    let mut taken: Vec<Option<usize>> = vec![None; groups.len()];
    for candidate in 0..candidates.len() {
        let fits = |candidate: usize, slot: usize| match (candidates.get(candidate), groups.get(slot)) {
            (Some(candidate), Some(group)) => candidate.groups.iter().any(|own| own == group),
            (None, _) | (_, None) => false,
        };
        seat(candidate, &fits, &mut taken, &mut vec![false; groups.len()]);
    }
    let name = |seat: usize| candidates.get(seat).map(|taken| taken.person.clone());
    let mut spare = groups.iter().zip(&taken).skip(needed).filter_map(|(group, seat)| Some((*group, (*seat)?)));
    let slots = groups.iter().zip(&taken).take(needed).map(|(group, seat)| match seat {
        Some(seat) => Slot { group: (*group).to_owned(), person: name(*seat), stands_in: None },
        None => match spare.next() {
            Some((by, seat)) => Slot { group: (*group).to_owned(), person: name(seat), stands_in: Some(by.to_owned()) },
            None => Slot { group: (*group).to_owned(), person: None, stands_in: None },
        },
    });
    slots.collect()
}

/// One seat for each person that is asked for.
fn seats(requirements: &[Requirement]) -> Vec<&str> {
    let groups = requirements.iter().flat_map(|need| {
        let count = usize::try_from(need.count).unwrap_or(SLOTS_MAX).min(SLOTS_MAX);
        std::iter::repeat_n(need.group.as_str(), count)
    });
    groups.take(SLOTS_MAX).collect()
}

/// Finds a place for `person`, moving others to places of theirs where that helps.
fn seat(
    person: usize,
    fits: &dyn Fn(usize, usize) -> bool,
    taken: &mut Vec<Option<usize>>,
    tried: &mut Vec<bool>,
) -> bool {
    for slot in 0..taken.len() {
        if tried.get(slot).copied().unwrap_or(true) || !fits(person, slot) {
            continue;
        }
        if let Some(seen) = tried.get_mut(slot) {
            *seen = true;
        }
        let other = taken.get(slot).copied().flatten();
        if other.is_none_or(|other| seat(other, fits, taken, tried)) {
            if let Some(place) = taken.get_mut(slot) {
                *place = Some(person);
            }
            return true;
        }
    }
    false
}

/// Whether every place is filled, and there is at least one.
pub fn is_met(slots: &[Slot]) -> bool {
    !slots.is_empty() && slots.iter().all(|slot| slot.person.is_some())
}

/// Whether the requirements ask for more places than anybody will ever fill.
pub(super) fn too_many(requirements: &[Requirement]) -> bool {
    requirements.iter().map(|need| u64::from(need.count)).sum::<u64>() > SLOTS_MAX as u64
}

/// More people than this never review one call. Bounds the matching.
pub(super) const SLOTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(name: &str, groups: impl Iterator<Item = String>) -> Candidate {
        Candidate { person: name.parse().unwrap(), groups: groups.collect() }
    }

    fn met(needs: &[(&str, u32)], groups: &[(&str, &[&str])], approved: &[&str]) -> bool {
        let needs: Vec<_> = needs.iter().map(|&(group, count)| Requirement { group: group.into(), count }).collect();
        let of = |name| {
            groups.iter().filter(move |(_, members)| members.contains(name)).map(|(group, _)| (*group).to_owned())
        };
        let approved: Vec<Candidate> = approved.iter().map(|name| candidate(name, of(name))).collect();
        is_met(&fill(&needs, &[], &approved))
    }

    #[test]
    fn every_place_needs_a_person_of_its_own() {
        let groups: &[(&str, &[&str])] = &[("owners", &["ana", "bo"]), ("security", &["bo", "cy"])];
        type Needs = &'static [(&'static str, u32)];
        let cases: &[(Needs, &[&str], bool)] = &[
            (&[("owners", 1)], &["ana"], true),
            (&[("owners", 1)], &["cy"], false),
            (&[("owners", 2)], &["ana"], false),
            (&[("owners", 2)], &["ana", "bo"], true),
            // Bo is in both groups and still only one person.
            (&[("owners", 1), ("security", 1)], &["bo"], false),
            // Bo came first and sat down among the owners; he has to move for Ana.
            (&[("owners", 1), ("security", 1)], &["bo", "ana"], true),
            (&[("owners", 1), ("security", 1)], &["ana", "bo"], true),
            (&[("owners", 1), ("security", 1)], &["ana"], false),
            (&[("nobody", 1)], &["ana", "bo", "cy"], false),
            (&[], &["ana"], false),
        ];
        for (needs, approved, expected) in cases {
            assert_eq!(met(needs, groups, approved), *expected, "{needs:?} by {approved:?}");
        }
    }

    proptest! {
        /// Against the definition: there is a way to give each place to another fitting person.
        #[test]
        fn the_matching_finds_a_way_wherever_there_is_one(
            membership in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 3), 0..5),
            counts in proptest::collection::vec(0_u32..3, 3),
            spare in proptest::collection::vec(0_u32..2, 3),
        ) {
            let candidates: Vec<Candidate> = membership.iter().enumerate().map(|(index, of)| {
                let groups = (0..3).filter(|group| of[*group]).map(|group| format!("g{group}"));
                candidate(&format!("p{index}"), groups)
            }).collect();
            let needs: Vec<_> = counts.iter().enumerate()
                .map(|(group, &count)| Requirement { group: format!("g{group}"), count }).collect();
            let wanted: Vec<usize> = counts.iter().enumerate()
                .flat_map(|(group, &count)| std::iter::repeat_n(group, count as usize)).collect();
            let mut left = spare.clone();
            let possible = !wanted.is_empty()
                && assignable(&wanted, &membership, &mut left, &mut vec![false; membership.len()]);
            let stand_ins: Vec<_> = spare.iter().enumerate()
                .map(|(group, &count)| Requirement { group: format!("g{group}"), count }).collect();
            let slots = fill(&needs, &stand_ins, &candidates);
            prop_assert_eq!(is_met(&slots), possible);
            prop_assert_eq!(slots.len(), wanted.len());
            let mut seated: Vec<&PersonId> = slots.iter().filter_map(|slot| slot.person.as_ref()).collect();
            seated.sort();
            seated.dedup();
            prop_assert_eq!(seated.len(), slots.iter().filter(|slot| slot.person.is_some()).count());
        }
    }

    fn assignable(wanted: &[usize], membership: &[Vec<bool>], spare: &mut Vec<u32>, used: &mut Vec<bool>) -> bool {
        let Some((group, rest)) = wanted.split_first() else { return true };
        (0..membership.len()).any(|person| {
            if used[person] {
                return false;
            }
            used[person] = true;
            let mut found = membership[person][*group] && assignable(rest, membership, spare, used);
            for by in 0..spare.len() {
                if !found && spare[by] > 0 && membership[person][by] {
                    spare[by] -= 1;
                    found = assignable(rest, membership, spare, used);
                    spare[by] += 1;
                }
            }
            used[person] = false;
            found
        })
    }
}
