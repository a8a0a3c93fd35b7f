//! Which of the document's paths a request's path is.

use std::borrow::Cow;
use std::collections::HashMap;

use http::Method;
use percent_encoding::percent_decode_str;

use super::template;
use super::template::Piece;
use super::template::SEGMENTS_MAX;
use super::template::Segment;

/// All paths of a document, as a tree of segments.
#[derive(Debug, Default)]
pub(super) struct Paths {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    mixed: Vec<(Vec<Piece>, Node)>,
    parameter: Option<Box<Node>>,
    leaf: Option<Leaf>,
}

/// The operations of one path.
#[derive(Debug)]
pub(super) struct Leaf {
    template: String,
    operations: Vec<(Method, usize)>,
}

impl Leaf {
    /// The operation of `method`.
    pub(super) fn operation(&self, method: &Method) -> Option<usize> {
        self.operations.iter().find(|(known, _)| known == method).map(|&(_, operation)| operation)
    }
}

/// What a request's path is.
#[derive(Debug)]
pub(super) enum Match<'a> {
    /// No path of the document; or one of them and nearly another one too, so that the upstream
    /// might read it as that one.
    Nothing,
    /// This path.
    One(&'a Leaf),
    /// Any of these: none of them is more concrete than the others.
    Several(Vec<&'a Leaf>),
}

impl Paths {
    /// Adds an operation. `template` is how the document writes the path, for messages.
    ///
    /// # Errors
    /// The document's other path that matches the same calls.
    pub(super) fn insert(
        &mut self,
        segments: &[Segment],
        template: &str,
        method: Method,
        operation: usize,
    ) -> Result<(), String> {
        let mut node = &mut self.root;
        for segment in segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Parameter => node.parameter.get_or_insert_default(),
                Segment::Mixed(pieces) => node.mixed_child(pieces),
            };
        }
        let leaf = node.leaf.get_or_insert_with(|| Leaf { template: template.to_owned(), operations: Vec::new() });
        if leaf.template != template || leaf.operation(&method).is_some() {
            return Err(leaf.template.clone());
        }
        leaf.operations.push((method, operation));
        Ok(())
    }

    /// Finds `path`, which begins with `/` and is in normal form.
    ///
    /// A concrete path wins over one with parameters (OpenAPI, Path Templating Matching), segment
    /// by segment: text, then text with parameters in it, then a parameter alone. A segment that
    /// would be a parameter, but differs from a known text only in the case of its letters or in
    /// what follows a dot, is no match at all: there are servers for which `/export`, `/EXPORT`
    /// and `/export.json` are the same, and others for which they are not.
    pub(super) fn find(&self, path: &str) -> Match<'_> {
        let Some(path) = path.strip_prefix('/') else { return Match::Nothing };
        let mut found = Vec::new();
        self.root.find(Some(path), Trail::default(), &mut found);
        if found.is_empty() || found.iter().any(|(trail, _)| trail.nearly) {
            return Match::Nothing;
        }
        let best: Vec<_> = found
            .iter()
            .filter(|(trail, _)| !found.iter().any(|(other, _)| other.is_more_concrete_than(trail)))
            .map(|&(_, leaf)| leaf)
            .collect();
        match best.as_slice() {
            [leaf] => Match::One(leaf),
            _ => Match::Several(best),
        }
    }
}

impl Node {
    fn mixed_child(&mut self, pieces: &[Piece]) -> &mut Node {
        let known = self.mixed.iter().position(|(known, _)| known == pieces);
        let index = known.unwrap_or_else(|| {
            self.mixed.push((pieces.to_vec(), Node::default()));
            self.mixed.len() - 1
        });
        &mut self.mixed[index].1
    }

    /// Walks every branch that `rest` fits. No node is walked twice, so the work is bounded by
    /// the document, whatever the path.
    fn find<'a>(&'a self, rest: Option<&str>, trail: Trail, found: &mut Vec<(Trail, &'a Leaf)>) {
        let Some(rest) = rest else {
            found.extend(self.leaf.as_ref().map(|leaf| (trail, leaf)));
            return;
        };
        let (segment, rest) = match rest.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (rest, None),
        };
        let Some(segment) = decode(segment) else { return };
        let literal = self.literals.get(&*segment);
        if let Some(node) = literal {
            node.find(rest, trail.then(Rank::Literal), found);
        }
        if segment.is_empty() {
            return;
        }
        if literal.is_none() && (self.parameter.is_some() || !self.mixed.is_empty()) {
            for (text, node) in &self.literals {
                if is_nearly(text, &segment) {
                    node.find(rest, trail.nearly().then(Rank::Literal), found);
                }
            }
        }
        for (pieces, node) in &self.mixed {
            if template::matches(pieces, &segment, true) {
                node.find(rest, trail.then(Rank::Mixed), found);
            } else if template::matches(pieces, &segment, false) {
                node.find(rest, trail.nearly().then(Rank::Mixed), found);
            }
        }
        if let Some(node) = &self.parameter {
            node.find(rest, trail.then(Rank::Parameter), found);
        }
    }
}

/// How concrete each segment of a match is, from the first to the last.
#[derive(Clone, Copy, Debug, Default)]
struct Trail {
    ranks: u128,
    len: usize,
    nearly: bool,
}

#[derive(Clone, Copy, Debug)]
enum Rank {
    Parameter = 0,
    Mixed = 1,
    Literal = 2,
}

impl Trail {
    fn then(mut self, rank: Rank) -> Self {
        self.ranks |= (rank as u128) << (2 * self.len);
        self.len += 1;
        self
    }

    fn nearly(mut self) -> Self {
        self.nearly = true;
        self
    }

    fn rank(&self, segment: usize) -> u128 {
        self.ranks >> (2 * segment) & 3
    }

    /// True if no segment is less concrete than that of `other`, and one is more so.
    fn is_more_concrete_than(&self, other: &Self) -> bool {
        self.ranks != other.ranks && (0..self.len).all(|segment| self.rank(segment) >= other.rank(segment))
    }
}

/// Two bits for each segment fit.
const _: () = assert!(2 * SEGMENTS_MAX <= 128);

/// The text that a segment spells; `None` if it spells none, or one with a `/` in it, which no
/// segment of a path in normal form does.
fn decode(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(Cow::Borrowed(segment));
    }
    percent_decode_str(segment).decode_utf8().ok().filter(|text| !text.contains('/'))
}

/// True if there are servers for which `text` and `segment` are the same.
fn is_nearly(text: &str, segment: &str) -> bool {
    let stem = |text: &str| text.find('.').filter(|&at| at > 0).unwrap_or(text.len());
    let (known, given) = (text.get(..stem(text)), segment.get(..stem(segment)));
    matches!((known, given), (Some(known), Some(given)) if !known.is_empty() && known.eq_ignore_ascii_case(given))
}
