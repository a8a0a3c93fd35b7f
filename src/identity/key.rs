//! Agent keys and reviewer tokens: their form, their making, and the files that list them.
//!
//! A key is `hp_`, a public id, a 256-bit secret and a checksum:
//! `hp_k3v9m2x7q1ab_<43 base62><6 base62>`; a reviewer's token begins `hp_pat_`. The prefix and
//! the CRC-32 let secret scanners find leaked keys without asking us, and let us turn a mistyped
//! key away before any look-up. Only the SHA-256 is kept: with 256 random bits there is nothing
//! to guess, so a slow password hash would cost time and protect nothing.

use std::fmt;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::rand::SystemRandom;
use secrecy::SecretString;
use serde::Deserialize;
use serde::Serialize;
use zeroize::Zeroize;

use crate::model::PersonId;
use crate::model::Sha256;
use crate::model::Timestamp;

/// Which of the two kinds of key a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// An agent's key, `hp_…`.
    Agent,
    /// A reviewer's personal token, `hp_pat_…`.
    Reviewer,
}

impl KeyKind {
    /// What every key of this kind begins with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Agent => "hp_",
            Self::Reviewer => "hp_pat_",
        }
    }
}

/// Whom a key speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyHolder {
    /// The principal of this configured name.
    Principal(String),
    /// This person.
    Reviewer(PersonId),
}

impl KeyHolder {
    /// The kind of key that such a holder has.
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Principal(_) => KeyKind::Agent,
            Self::Reviewer(_) => KeyKind::Reviewer,
        }
    }
}

/// What is kept of a key: one JSON object on a line of its own. A file may list several keys, so
/// that the next one can be handed out before the last one is taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Line", try_from = "Line")]
pub struct KeyRecord {
    /// The public id, which is part of the key and may be logged.
    pub id: String,
    /// The hash of the whole key.
    pub sha256: Sha256,
    /// Whom the key speaks for.
    pub holder: KeyHolder,
    /// Who made the key. For an agent's key this person can never approve what is done with it.
    pub created_by: Option<PersonId>,
    /// When it was made.
    pub created: Timestamp,
    /// The first moment at which it is no longer good; `None` means it does not end by itself.
    pub expires: Option<Timestamp>,
}

impl KeyRecord {
    /// Whether the key is no longer good at `now`.
    pub fn expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

/// A key just made. This is the only moment at which its secret can be shown.
#[derive(Debug)]
pub struct NewKey {
    /// The whole key, as the agent or reviewer will present it.
    pub secret: SecretString,
    /// What to keep of it.
    pub record: KeyRecord,
}

/// Why a key could not be made, or a file of keys not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system gave no random bytes.
    #[error("the system gives no random numbers; no key was made")]
    NoRandomness,
    /// The file could not be read.
    #[error("key file `{path}` cannot be read; make it with `holdpoint keys create` or `holdpoint tokens create`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be written.
    #[error("key file `{path}` cannot be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is not a key record.
    #[error(
        "key file `{path}`, line {line}: not a key record; each line is one JSON object as `holdpoint keys create` writes it"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file is too long to be a list of keys.
    #[error("key file `{path}` has more than {max} bytes; is it the right file?")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// How many bytes are accepted.
        max: u64,
    },
}

/// Makes a new key for `holder`.
///
/// # Errors
/// [`KeyError::NoRandomness`] if the system has none to give.
pub fn generate(
    holder: KeyHolder,
    created_by: Option<PersonId>,
    now: Timestamp,
    expires: Option<Timestamp>,
) -> Result<NewKey, KeyError> {
    let random = SystemRandom::new();
    let id = digits(&random, ID_ALPHABET, ID_LEN)?;
    let mut secret = digits(&random, BASE62, SECRET_LEN)?;
    // The capacity is exact, so that no half-written copy of the secret stays behind on the heap.
    let mut text = String::with_capacity(holder.kind().prefix().len() + ID_LEN + 1 + SECRET_LEN + CHECKSUM_LEN);
    text.push_str(holder.kind().prefix());
    text.push_str(&id);
    text.push('_');
    text.push_str(&secret);
    secret.zeroize();
    let checksum = checksum(text.as_bytes());
    text.extend(checksum.map(char::from));
    let record = KeyRecord { id, sha256: Sha256::of(text.as_bytes()), holder, created_by, created: now, expires };
    Ok(NewKey { secret: SecretString::from(text), record })
}

/// Reads a file of key records. Empty lines are skipped.
///
/// # Errors
/// [`KeyError`] if the file cannot be read, is too long, or a line of it is not a key record.
pub fn read_file(path: &Path) -> Result<Vec<KeyRecord>, KeyError> {
    let read_error = |source| KeyError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(read_error)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(read_error)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(KeyError::TooLong { path: path.to_owned(), max: FILE_BYTES_MAX });
    }
    parse_lines(&text, path)
}

/// Reads key records from `text`; `path` is only for messages.
///
/// # Errors
/// [`KeyError::Line`] names the first line that is not a key record.
pub fn parse_lines(text: &str, path: &Path) -> Result<Vec<KeyRecord>, KeyError> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            serde_json::from_str(line).map_err(|source| KeyError::Line {
                path: path.to_owned(),
                line: index + 1,
                source,
            })
        })
        .collect()
}

/// Adds `record` at the end of the file, which is made if it does not exist, readable by its
/// owner only. Returns once the record is on disk.
///
/// # Errors
/// [`KeyError::Write`] if that fails.
pub fn append_to_file(path: &Path, record: &KeyRecord) -> Result<(), KeyError> {
    append(path, record).map_err(|source| KeyError::Write { path: path.to_owned(), source })
}

fn append(path: &Path, record: &KeyRecord) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let mut line = serde_json::to_string(record)?;
    line.push('\n');
    // Editors may leave a last line without its end; the new record must not run into it.
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            line.insert(0, '\n');
        }
    }
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

/// A presented key that has the right form and checksum. It may still be unknown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Presented<'a> {
    pub(super) kind: KeyKind,
    pub(super) id: &'a str,
    text: &'a str, // Secret: hence no derived Debug.
}

/// What is wrong with a text that should be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadForm {
    /// It does not begin like one of our keys.
    Foreign,
    /// It begins like one but has another length or other characters.
    Shape,
    /// Its checksum does not fit, so it was mistyped or cut.
    Checksum,
}

impl<'a> Presented<'a> {
    /// Checks form and checksum; neither needs any look-up.
    pub(super) fn parse(text: &'a str) -> Result<Self, BadForm> {
        let (kind, rest) = if let Some(rest) = text.strip_prefix(KeyKind::Reviewer.prefix()) {
            (KeyKind::Reviewer, rest)
        } else if let Some(rest) = text.strip_prefix(KeyKind::Agent.prefix()) {
            (KeyKind::Agent, rest)
        } else {
            return Err(BadForm::Foreign);
        };
        let (id, secret) = rest.split_once('_').ok_or(BadForm::Shape)?;
        let shaped = id.len() == ID_LEN
            && id.bytes().all(|byte| ID_ALPHABET.contains(&byte))
            && secret.len() == SECRET_LEN + CHECKSUM_LEN
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !shaped {
            return Err(BadForm::Shape);
        }
        let (body, sum) = text.as_bytes().split_at(text.len() - CHECKSUM_LEN);
        if checksum(body) == sum { Ok(Self { kind, id, text }) } else { Err(BadForm::Checksum) }
    }

    /// Whether this is the key whose hash is `sha256`, in constant time.
    pub(super) fn matches(&self, sha256: &Sha256) -> bool {
        let hash = Sha256::of(self.text.as_bytes());
        aws_lc_rs::constant_time::verify_slices_are_equal(hash.as_bytes(), sha256.as_bytes()).is_ok()
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}_[redacted]", self.kind.prefix(), self.id)
    }
}

/// The longest text that can be a key.
pub(super) const KEY_BYTES_MAX: usize = "hp_pat_".len() + ID_LEN + 1 + SECRET_LEN + CHECKSUM_LEN;

/// Whether a well-formed key stands anywhere in `bytes`.
pub(super) fn contains_key(bytes: &[u8]) -> bool {
    let prefix = KeyKind::Agent.prefix().as_bytes();
    memchr::memmem::find_iter(bytes, prefix).any(|start| {
        let rest = bytes.get(start..).unwrap_or_default();
        let longest = rest.get(..KEY_BYTES_MAX).unwrap_or(rest);
        let shortest = KEY_BYTES_MAX - "pat_".len();
        [longest.len(), shortest].into_iter().any(|len| {
            let text = rest.get(..len).and_then(|bytes| std::str::from_utf8(bytes).ok());
            text.is_some_and(|text| Presented::parse(text).is_ok())
        })
    })
}

/// A record as it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reviewer: Option<PersonId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_by: Option<PersonId>,
    created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

/// What is wrong with a line that is JSON of the right shape.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("`id` is `{0}`, but an id has {ID_LEN} lower-case letters and digits")]
    Id(String),
    #[error("`sha256` is not 64 lower-case hex digits; the hash is kept here, never the key itself")]
    Hash,
    #[error("a key belongs to a `principal` or to a `reviewer`: name exactly one")]
    Holder,
}

impl TryFrom<Line> for KeyRecord {
    type Error = LineError;

    fn try_from(line: Line) -> Result<Self, LineError> {
        let holder = match (line.principal, line.reviewer) {
            (Some(principal), None) => KeyHolder::Principal(principal),
            (None, Some(person)) => KeyHolder::Reviewer(person),
            (None, None) | (Some(_), Some(_)) => return Err(LineError::Holder),
        };
        if line.id.len() != ID_LEN || !line.id.bytes().all(|byte| ID_ALPHABET.contains(&byte)) {
            return Err(LineError::Id(line.id.chars().take(20).collect()));
        }
        // Not the text itself in the error: somebody may have put the key where its hash belongs.
        let sha256 = format!("sha256:{}", line.sha256).parse().map_err(|_| LineError::Hash)?;
        Ok(Self {
            id: line.id,
            sha256,
            holder,
            created_by: line.created_by,
            created: line.created,
            expires: line.expires,
        })
    }
}

impl From<KeyRecord> for Line {
    fn from(record: KeyRecord) -> Self {
        let (principal, reviewer) = match record.holder {
            KeyHolder::Principal(principal) => (Some(principal), None),
            KeyHolder::Reviewer(person) => (None, Some(person)),
        };
        Self {
            id: record.id,
            sha256: record.sha256.to_hex(),
            principal,
            reviewer,
            created_by: record.created_by,
            created: record.created,
            expires: record.expires,
        }
    }
}

/// `count` random characters of `alphabet`, each as likely as any other.
fn digits(random: &SystemRandom, alphabet: &[u8], count: usize) -> Result<String, KeyError> {
    // Bytes from this one on are drawn again: they would make some characters likelier.
    let fair = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(count);
    let mut bytes = [0; 64];
    while text.len() < count {
        random.fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
        let fitting = bytes.iter().map(|&byte| usize::from(byte)).filter(|&byte| byte < fair);
        let characters = fitting.filter_map(|byte| alphabet.get(byte % alphabet.len()));
        text.extend(characters.take(count - text.len()).map(|&character| char::from(character)));
    }
    bytes.zeroize();
    Ok(text)
}

/// The CRC-32 of everything before it, as six base62 digits.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut rest = crc32fast::hash(bytes) as usize;
    let mut digits = [b'0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62.get(rest % BASE62.len()).copied().unwrap_or(b'0');
        rest /= BASE62.len();
    }
    digits
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// 62 bits: enough that two ids never meet, short enough to read out.
const ID_LEN: usize = 12;
/// 43 base62 digits carry 256 bits.
const SECRET_LEN: usize = 43;
const CHECKSUM_LEN: usize = 6;
/// Some 40,000 keys; beyond that somebody named the wrong file.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn made(holder: KeyHolder) -> NewKey {
        generate(holder, "ana@example.com".parse().ok(), Timestamp::from_unix_micros(1), None).unwrap()
    }

    fn agent() -> NewKey {
        made(KeyHolder::Principal("deploy-bot".to_owned()))
    }

    #[test]
    fn a_new_key_is_recognised_by_what_is_kept_of_it() {
        for (holder, kind) in [
            (KeyHolder::Principal("deploy-bot".to_owned()), KeyKind::Agent),
            (KeyHolder::Reviewer("ana@example.com".parse().unwrap()), KeyKind::Reviewer),
        ] {
            let key = made(holder);
            let presented = Presented::parse(key.secret.expose_secret()).unwrap();
            assert_eq!((presented.kind, presented.id), (kind, key.record.id.as_str()));
            assert!(presented.matches(&key.record.sha256));
            assert!(!presented.matches(&agent().record.sha256));
        }
    }

    #[test]
    fn what_is_kept_of_a_key_does_not_hold_it() {
        let key = agent();
        let text = key.secret.expose_secret();
        let secret = &text[text.len() - SECRET_LEN - CHECKSUM_LEN..];
        let line = serde_json::to_string(&key.record).unwrap();
        for shown in [line, format!("{key:?}"), format!("{:?}", Presented::parse(text).unwrap())] {
            assert!(!shown.contains(&secret[..8]), "{shown}");
        }
    }

    #[test]
    fn a_line_gives_back_the_record_it_was_written_from() {
        let record = KeyRecord {
            expires: Some(Timestamp::from_unix_micros(2_000_000)),
            ..made(KeyHolder::Reviewer("ana@example.com".parse().unwrap())).record
        };
        let line = serde_json::to_string(&record).unwrap();
        assert_eq!(parse_lines(&format!("\n{line}\n\n"), Path::new("k")).unwrap(), [record]);
    }

    #[test]
    fn a_record_is_appended_behind_a_line_without_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let (first, second) = (agent().record, agent().record);
        std::fs::write(&path, serde_json::to_string(&first).unwrap()).unwrap();
        append_to_file(&path, &second).unwrap();
        assert_eq!(read_file(&path).unwrap(), [first, second]);
    }

    #[test]
    fn a_new_key_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        append_to_file(&path, &agent().record).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
    }

    #[test]
    fn a_broken_line_is_named() {
        let hash = "a".repeat(64);
        let line = |fields: &str| format!("{{\"created\":\"2026-11-01T00:00:00Z\",{fields}}}");
        let cases = [
            ("nonsense".to_owned(), "expected ident"),
            (line(&format!("\"id\":\"k\",\"sha256\":\"{hash}\",\"principal\":\"p\"")), "an id has 12"),
            (line("\"id\":\"k3v9m2x7q1ab\",\"sha256\":\"zz\",\"principal\":\"p\""), "64 lower-case hex digits"),
            (line(&format!("\"id\":\"k3v9m2x7q1ab\",\"sha256\":\"{hash}\"")), "name exactly one"),
            (line(&format!("\"id\":\"k3v9m2x7q1ab\",\"sha256\":\"{hash}\",\"extra\":1")), "unknown field `extra`"),
        ];
        for (line, expected) in cases {
            let error = parse_lines(&format!("\n{line}"), Path::new("keys/bot")).unwrap_err();
            assert!(error.to_string().contains("`keys/bot`, line 2"), "{error}");
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains(expected), "{source}");
        }
    }

    #[test]
    fn ids_and_secrets_are_drawn_anew() {
        let keys: std::collections::BTreeSet<_> = (0..200).map(|_| agent().record.id).collect();
        assert_eq!(keys.len(), 200);
    }

    proptest! {
        #[test]
        fn any_one_changed_character_is_noticed(at in 0_usize..66, to in "[0-9A-Za-z]") {
            let key = agent();
            let mut text = key.secret.expose_secret().to_owned();
            let at = at % text.len();
            prop_assume!(text[at..=at] != to);
            text.replace_range(at..=at, &to);
            prop_assert!(Presented::parse(&text).is_err());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,90}", key in "hp_(pat_)?[a-z0-9]{12}_.{0,60}") {
            let _ = Presented::parse(&text);
            let _ = Presented::parse(&key);
            let _ = contains_key(text.as_bytes());
        }

        #[test]
        fn a_key_is_found_inside_other_text(before in ".{0,20}", after in ".{0,20}", reviewer: bool) {
            let holder = match reviewer {
                true => KeyHolder::Reviewer("ana@example.com".parse().unwrap()),
                false => KeyHolder::Principal("p".to_owned()),
            };
            let text = format!("{before}{}{after}", made(holder).secret.expose_secret());
            prop_assert!(contains_key(text.as_bytes()));
        }
    }
}
