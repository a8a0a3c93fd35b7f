//! What a verification found, for people and for machines.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::model::Sha256;
use crate::model::Timestamp;

use super::super::key::Vkey;

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// True if nothing is wrong.
    pub ok: bool,
    /// The log's name.
    pub origin: String,
    /// The key that it was verified with.
    pub vkey: String,
    /// Whether that key was given. If not, it lay beside the log, and the log could be anybody's.
    pub pinned: bool,
    /// How many entries were found to be those that the checkpoint was signed for.
    pub size: u64,
    /// The root over them; `None` if there are fewer.
    pub root: Option<Sha256>,
    /// How many entries stand behind the checkpoint. Nothing vouches for them yet.
    pub unsigned: u64,
    /// The time of the first entry.
    pub first: Option<Timestamp>,
    /// The time of the last entry.
    pub last: Option<Timestamp>,
    /// How many events there are of each kind.
    pub events: BTreeMap<&'static str, u64>,
    /// How many approvals they tell of.
    pub approvals: u64,
    /// How many private values were there and matched what their entries commit to.
    pub disclosed: u64,
    /// How many private values were withheld or destroyed.
    pub withheld: u64,
    /// What is wrong, at most the first thousand.
    pub findings: Vec<Finding>,
    /// How many more findings there were.
    pub findings_left_out: u64,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
}

/// One thing that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The entry it is about, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// What is wrong.
    pub sentence: String,
}

impl Report {
    pub(super) fn new(vkey: &Vkey, pinned: bool) -> Self {
        let mut report = Self {
            ok: true,
            origin: vkey.name().to_owned(),
            vkey: vkey.to_string(),
            pinned,
            size: 0,
            root: None,
            unsigned: 0,
            first: None,
            last: None,
            events: BTreeMap::new(),
            approvals: 0,
            disclosed: 0,
            withheld: 0,
            findings: Vec::new(),
            findings_left_out: 0,
            notes: Vec::new(),
        };
        if !pinned {
            report.note(
                "no key was given, so the one beside the log was used: whoever made the log may have made both".into(),
            );
        }
        report
    }

    pub(super) fn find(&mut self, index: Option<u64>, sentence: impl Into<String>) {
        self.ok = false;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { index, sentence: sentence.into() });
        } else {
            self.findings_left_out += 1;
        }
    }

    pub(super) fn note(&mut self, sentence: String) {
        if self.notes.len() < FINDINGS_MAX {
            self.notes.push(sentence);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        writeln!(f, "log          {}", self.origin)?;
        writeln!(f, "key          {}{}", self.vkey, if self.pinned { "" } else { " (not pinned)" })?;
        writeln!(f, "entries      {} signed, {} not yet", self.size, self.unsigned)?;
        writeln!(f, "root         {}", or_dash(self.root.map(|root| root.to_string())))?;
        let (first, last) = (self.first.map(|time| time.to_string()), self.last.map(|time| time.to_string()));
        writeln!(f, "time         {} to {}", or_dash(first), or_dash(last))?;
        writeln!(f, "approvals    {}", self.approvals)?;
        writeln!(f, "disclosures  {} matched, {} withheld", self.disclosed, self.withheld)?;
        let width = self.events.keys().map(|kind| kind.len()).max().unwrap_or(0);
        for (kind, count) in &self.events {
            writeln!(f, "  {kind:width$}  {count}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        for Finding { index, sentence } in &self.findings {
            match index {
                Some(index) => writeln!(f, "WRONG: entry {index}: {sentence}")?,
                None => writeln!(f, "WRONG: {sentence}")?,
            }
        }
        if self.findings_left_out > 0 {
            writeln!(f, "WRONG: and {} more", self.findings_left_out)?;
        }
        let found = self.findings.len() as u64 + self.findings_left_out;
        match found {
            0 => f.write_str("verified"),
            1 => f.write_str("NOT VERIFIED: 1 finding"),
            _ => write!(f, "NOT VERIFIED: {found} findings"),
        }
    }
}

/// Beyond so many, the sort of damage is clear.
const FINDINGS_MAX: usize = 1000;
