//! Checkpoints: how large the tree is and what its root is, signed (C2SP tlog-checkpoint in a
//! C2SP signed-note).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::model::Sha256;

use super::key::SigningKey;
use super::key::Vkey;

/// What a log commits to: everything in it, up to a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Names the log; a URL without its scheme, as a rule.
    pub origin: String,
    /// How many leaves the tree has.
    pub size: u64,
    /// The root over all of them.
    pub root: Sha256,
}

/// Why a text is not a checkpoint that a key has signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It has another form.
    #[error("it is not a checkpoint: {0}")]
    Malformed(&'static str),
    /// No line of it is from the key.
    #[error("it has no signature of the key `{0}`")]
    NotSigned(String),
    /// The signature does not fit the text.
    #[error("its signature does not fit the key `{0}`: the text was changed, or another key signed it")]
    BadSignature(String),
    /// It is another log's.
    #[error("it is of the log `{found}`, but the key is that of `{expected}`")]
    Origin {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
}

impl Checkpoint {
    /// The text that is signed.
    fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }

    /// The signed note. `vkey` is the public half of `key`, under the log's origin.
    pub(super) fn sign(&self, key: &SigningKey, vkey: &Vkey) -> String {
        let body = self.body();
        let mut signature = vkey.id().to_vec();
        signature.extend(key.sign(body.as_bytes()));
        format!("{body}\n{SIGNATURE_START}{} {}\n", vkey.name(), STANDARD.encode(signature))
    }

    /// Reads a signed note and checks that `vkey` signed it. Signatures of others, such as
    /// witnesses, are passed over.
    ///
    /// # Errors
    /// [`NoteError`] if it is malformed, or not signed by that key.
    pub fn open(note: &str, vkey: &Vkey) -> Result<Self, NoteError> {
        let body = open_note(note, vkey)?;
        let checkpoint = Self::parse(body)?;
        if checkpoint.origin != vkey.name() {
            return Err(NoteError::Origin { found: checkpoint.origin, expected: vkey.name().to_owned() });
        }
        Ok(checkpoint)
    }

    fn parse(body: &str) -> Result<Self, NoteError> {
        let mut lines = body.split_terminator('\n');
        let (origin, size, root) = (lines.next(), lines.next(), lines.next());
        let origin = origin.filter(|origin| !origin.is_empty()).ok_or(NoteError::Malformed("it names no log"))?;
        let size = size.and_then(|size| size.parse::<u64>().ok().filter(|number| number.to_string() == size));
        let size = size.ok_or(NoteError::Malformed("its second line is not a size"))?;
        let root = root.and_then(|root| STANDARD.decode(root).ok()).and_then(|root| <[u8; 32]>::try_from(root).ok());
        let root = root.ok_or(NoteError::Malformed("its third line is not a root hash"))?;
        if lines.any(str::is_empty) {
            return Err(NoteError::Malformed("it has an empty line"));
        }
        Ok(Self { origin: origin.to_owned(), size, root: Sha256::from_bytes(root) })
    }
}

/// The text of a signed note, if `vkey` signed it (C2SP signed-note).
fn open_note<'a>(note: &'a str, vkey: &Vkey) -> Result<&'a str, NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::Malformed("it is too long"));
    }
    if note.bytes().any(|byte| byte != b'\n' && byte.is_ascii_control()) {
        return Err(NoteError::Malformed("it has control characters"));
    }
    let split = note.rfind("\n\n").ok_or(NoteError::Malformed("it has no signatures"))?;
    let (body, signatures) = (note.get(..=split), note.get(split + 2..));
    let (Some(body), Some(signatures)) = (body, signatures) else {
        return Err(NoteError::Malformed("it has no signatures"));
    };
    let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Malformed("its last line has no end"))?;
    let mut signed = false;
    for line in signatures.split('\n') {
        let parsed = line.strip_prefix(SIGNATURE_START).and_then(|line| line.split_once(' '));
        let (name, signature) = parsed.ok_or(NoteError::Malformed("a line of its signatures is none"))?;
        let signature = STANDARD.decode(signature).ok().filter(|bytes| bytes.len() > 4);
        let signature = signature.ok_or(NoteError::Malformed("a signature is not base64"))?;
        let (id, signature) = signature.split_at(4);
        if name == vkey.name() && id == vkey.id() {
            if !vkey.public().verify(body.as_bytes(), signature) {
                return Err(NoteError::BadSignature(vkey.to_string()));
            }
            signed = true;
        }
    }
    if signed { Ok(body) } else { Err(NoteError::NotSigned(vkey.to_string())) }
}

/// What a line with a signature begins with: an em dash and a space.
const SIGNATURE_START: &str = "\u{2014} ";
/// A checkpoint with a hundred witnesses is well below this.
pub(super) const NOTE_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> (SigningKey, Vkey) {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::generate_file(&dir.path().join("key")).unwrap();
        let vkey = Vkey::new("holdpoint.example/log", key.public()).unwrap();
        (key, vkey)
    }

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint { origin: "holdpoint.example/log".into(), size, root: Sha256::of(b"root") }
    }

    #[test]
    fn the_example_of_go_is_verified() {
        // From the documentation of golang.org/x/mod/sumdb/note.
        let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
            \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert!(open_note(note, &vkey).unwrap().ends_with("what your problem is.\n"));
    }

    #[test]
    fn other_signatures_do_not_stand_in_the_way() {
        let (key, vkey) = key();
        let note = checkpoint(7).sign(&key, &vkey);
        let more = format!("{note}{SIGNATURE_START}witness.example AAAAAAAAAAA=\n");
        assert_eq!(Checkpoint::open(&more, &vkey), Ok(checkpoint(7)));
    }

    #[test]
    fn a_checkpoint_of_another_key_or_log_is_refused() {
        let (key, vkey) = key();
        let other = Vkey::new("other.example/log", key.public()).unwrap();
        let note = checkpoint(7).sign(&key, &vkey);
        assert!(matches!(Checkpoint::open(&note, &other), Err(NoteError::NotSigned(_))));
        let note = checkpoint(7).sign(&key, &other);
        assert!(matches!(Checkpoint::open(&note, &other), Err(NoteError::Origin { .. })));
        let (_, stranger) = self::key();
        let note = checkpoint(7).sign(&key, &vkey);
        assert!(matches!(Checkpoint::open(&note, &stranger), Err(NoteError::NotSigned(_))));
    }

    proptest! {
        #[test]
        fn a_checkpoint_is_read_as_it_was_signed_and_no_byte_can_change(size in any::<u64>(), at in 0_usize..1000, flip in 1_u8..=255) {
            let (key, vkey) = key();
            let note = checkpoint(size).sign(&key, &vkey);
            prop_assert_eq!(Checkpoint::open(&note, &vkey), Ok(checkpoint(size)));
            let mut bytes = note.into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            if let Ok(changed) = String::from_utf8(bytes) {
                prop_assert!(Checkpoint::open(&changed, &vkey).is_err(), "{changed}");
            }
        }
    }
}
