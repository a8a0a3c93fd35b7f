//! Whether reviewers fill all that was asked for, one person in one place.

use std::collections::BTreeSet;

use crate::model::Requirement;

/// Whether distinct people with these groups can fill all of `requirements` at once. Somebody in
/// two groups fills one place, so this is a bipartite matching (EDGES F). So many people as
/// `stand_ins` says may fill any place: each such seat that is taken makes up for one that is not.
pub(super) fn filled(requirements: &[Requirement], stand_ins: &[Requirement], people: &[&BTreeSet<String>]) -> bool {
    let wanted: u64 = requirements.iter().map(|requirement| u64::from(requirement.count)).sum();
    if wanted > people.len() as u64 {
        return false;
    }
    // Nobody needs more seats of one group than there are people.
    let places: Vec<&str> = requirements
        .iter()
        .chain(stand_ins)
        .flat_map(|requirement| {
            std::iter::repeat_n(requirement.group.as_str(), (requirement.count as usize).min(people.len()))
        })
        .collect();
    let mut place_of = vec![None; people.len()];
    let taken = (0..places.len())
        .filter(|place| seat(*place, &places, people, &mut place_of, &mut vec![false; people.len()]))
        .count();
    taken as u64 >= wanted
}

/// Finds somebody for `place`, moving others if need be (Kuhn's algorithm).
fn seat(
    place: usize,
    places: &[&str],
    people: &[&BTreeSet<String>],
    place_of: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    let Some(group) = places.get(place) else { return false };
    for (person, groups) in people.iter().enumerate() {
        if !groups.contains(*group) || tried.get(person) != Some(&false) {
            continue;
        }
        tried[person] = true;
        let free = match place_of[person] {
            None => true,
            Some(other) => seat(other, places, people, place_of, tried),
        };
        if free {
            place_of[person] = Some(place);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn requirements(text: &str) -> Vec<Requirement> {
        let parts = text.split_whitespace().map(|part| part.split_once('=').unwrap());
        parts.map(|(group, count)| Requirement { group: group.into(), count: count.parse().unwrap() }).collect()
    }

    /// People are words of one-letter groups.
    fn fill(wanted: &str, people: &str) -> bool {
        let people: Vec<BTreeSet<String>> =
            people.split_whitespace().map(|groups| groups.chars().map(String::from).collect()).collect();
        filled(&requirements(wanted), &[], &people.iter().collect::<Vec<_>>())
    }

    #[test]
    fn whoever_stands_in_fills_any_one_place() {
        let fill = |wanted: &str, stand_ins: &str, people: &str| {
            let people: Vec<BTreeSet<String>> =
                people.split_whitespace().map(|groups| groups.chars().map(String::from).collect()).collect();
            filled(&requirements(wanted), &requirements(stand_ins), &people.iter().collect::<Vec<_>>())
        };
        assert!(fill("a=1 b=1", "m=1", "a m"));
        assert!(fill("a=1 b=1", "m=1", "b m"));
        assert!(fill("a=2", "m=2", "m m"));
        assert!(fill("a=1 b=1", "b=1", "b b"));
        assert!(!fill("a=2", "m=1", "m m"));
        assert!(!fill("a=1 b=1", "m=1", "am"));
        assert!(!fill("a=1", "m=1", "b"));
    }

    #[test]
    fn one_person_fills_one_place() {
        assert!(fill("a=1", "a"));
        assert!(fill("a=1 b=1", "ab b"));
        assert!(fill("a=1 b=1", "ab a"));
        assert!(fill("a=2 b=1", "ab a ab"));
        assert!(fill("", ""));
        assert!(!fill("a=1 b=1", "ab"));
        assert!(!fill("a=2", "a b"));
        assert!(!fill("a=1 b=1", "a a"));
        assert!(!fill("a=2 b=1", "ab b b"));
        assert!(!fill("a=4294967295 b=4294967295", "ab"));
    }

    /// Tries every way to give people places.
    fn brute(places: &[char], people: &[String]) -> bool {
        let Some((first, rest)) = places.split_first() else { return true };
        (0..people.len()).filter(|&i| people[i].contains(*first)).any(|i| {
            let others: Vec<String> =
                people.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, p)| p.clone()).collect();
            brute(rest, &others)
        })
    }

    proptest! {
        #[test]
        fn the_matching_agrees_with_trying_everything(
            counts in prop::collection::vec(0_u32..3, 3),
            people in prop::collection::vec("a?b?c?", 0..5),
        ) {
            let groups = ['a', 'b', 'c'];
            let wanted: Vec<String> = groups.iter().zip(&counts).map(|(group, count)| format!("{group}={count}")).collect();
            let places: Vec<char> = groups.iter().zip(&counts).flat_map(|(group, count)| vec![*group; *count as usize]).collect();
            let sets: Vec<BTreeSet<String>> = people.iter().map(|p| p.chars().map(String::from).collect()).collect();
            prop_assert_eq!(filled(&requirements(&wanted.join(" ")), &[], &sets.iter().collect::<Vec<_>>()), brute(&places, &people));
        }
    }
}
