//! Bundles that are read, and everything that is refused.

use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
use insta::assert_snapshot;

use super::*;

const RULE: &str = "package holdpoint\n\nallow contains {\"rule\": \"a\"}\n";

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn key() -> Verification {
    let bytes: [u8; 32] = pair().public_key().as_ref().try_into().unwrap();
    Verification::Key(BundleKey::from_bytes(bytes))
}

fn files(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

fn good() -> BTreeMap<String, Vec<u8>> {
    files(&[("rules/a.rego", RULE), ("routes/data.json", "{\"b\": 1.50, \"a\": \"x\"}"), ("data.yaml", "hosts: [a]\n")])
}

/// An archive out of entries, each with a type.
fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, kind, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        // Written by hand: the builder refuses some of these names itself.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, *bytes).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

fn said(result: Result<Bundle, BundleError>) -> String {
    match result {
        Ok(bundle) => {
            let names = bundle.rego.iter().chain(&bundle.data).map(|source| source.path.as_str());
            format!("read {}", names.collect::<Vec<_>>().join(" "))
        }
        Err(error) => error.to_string(),
    }
}

fn unsigned(entries: &[(&str, &str)]) -> String {
    let entries: Vec<_> =
        entries.iter().map(|(name, text)| (*name, tar::EntryType::Regular, text.as_bytes())).collect();
    said(Bundle::read(&archive(&entries), &Verification::None))
}

#[test]
fn a_signed_bundle_comes_back_as_it_was_built() {
    let built = build(good(), "v7", Some(&pair().into())).unwrap();
    assert_eq!(built, build(good(), "v7", Some(&pair().into())).unwrap(), "the same files give the same archive");
    let bundle = Bundle::read(&built, &key()).unwrap();
    assert_eq!(bundle.revision, "v7");
    assert_eq!(said(Ok(bundle)), "read rules/a.rego data.yaml routes/data.json");
    assert_eq!(
        said(Bundle::read(&build(good(), "v7", None).unwrap(), &Verification::None)),
        "read rules/a.rego data.yaml routes/data.json"
    );
}

#[test]
fn what_is_not_exactly_what_was_signed_is_refused() {
    let signed = || archive::unpack(&build(good(), "v7", Some(&pair().into())).unwrap()).unwrap();
    type Files = BTreeMap<String, Vec<u8>>;
    let changed = |change: &dyn Fn(&mut Files)| {
        let mut files = signed();
        change(&mut files);
        said(Bundle::of_files(files, &key()))
    };
    let token = |header: &str, payload: &str, sign: bool| {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = if sign { pair().sign(message.as_bytes()).as_ref().to_vec() } else { Vec::new() };
        format!(r#"{{"signatures": ["{message}.{}"]}}"#, URL_SAFE_NO_PAD.encode(signature))
    };
    let with =
        |signatures: String| changed(&|files| drop(files.insert(SIGNATURES.into(), signatures.clone().into_bytes())));
    let eddsa = r#"{"alg":"EdDSA"}"#;
    let twice =
        r#"{"files":[{"name":"a","hash":"","algorithm":"SHA-256"},{"name":"/a","hash":"","algorithm":"SHA-256"}]}"#;
    let weak = r#"{"files":[{"name":".manifest","hash":"","algorithm":"MD5"}]}"#;
    let other = Verification::Key(BundleKey::from_bytes([9; 32]));
    let all = [
        changed(&|files| files.get_mut("rules/a.rego").unwrap().push(b'\n')),
        changed(&|files| drop(files.insert("routes/data.json".into(), b"{\"b\": 1.5, \"a\": \"x\"}".to_vec()))),
        changed(&|files| drop(files.insert(MANIFEST.into(), b"{\"revision\": \"v8\"}".to_vec()))),
        changed(&|files| drop(files.insert("b.rego".into(), RULE.into()))),
        changed(&|files| drop(files.remove("rules/a.rego"))),
        changed(&|files| drop(files.remove(MANIFEST))),
        changed(&|files| drop(files.remove(SIGNATURES))),
        said(Bundle::of_files(signed(), &other)),
        with("{}".to_owned()),
        with(r#"{"signatures": []}"#.to_owned()),
        with(r#"{"signatures": ["a.b"]}"#.to_owned()),
        with(r#"{"signatures": ["a.b.c", "a.b.c"]}"#.to_owned()),
        with(token(r#"{"alg":"none"}"#, r#"{"files":[]}"#, false)),
        with(token(r#"{"alg":"HS256"}"#, r#"{"files":[]}"#, true)),
        with(token(r#"{"alg":"EdDSA","crit":["x"]}"#, r#"{"files":[]}"#, true)),
        with(token(eddsa, r#"{"files":[]}"#, false)),
        with(token(eddsa, r#"{"files":[]}"#, true)),
        with(token(eddsa, twice, true)),
        with(token(eddsa, weak, true)),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    `rules/a.rego` is not as it was signed
    `routes/data.json` is not as it was signed
    `.manifest` is not as it was signed
    `b.rego` is not signed
    `rules/a.rego` is signed, and is missing
    `.manifest` is signed, and is missing
    it has no `.signatures.json`, and has to be signed
    its signature does not verify with the configured key
    its `.signatures.json` cannot be used: missing field `signatures` at line 1 column 2
    its `.signatures.json` cannot be used: it has 0 signatures, and not one
    its `.signatures.json` cannot be used: it is not a JWT
    its `.signatures.json` cannot be used: it has 2 signatures, and not one
    its `.signatures.json` cannot be used: it is not signed with `EdDSA`, which is the only algorithm that is accepted
    its `.signatures.json` cannot be used: it is not signed with `EdDSA`, which is the only algorithm that is accepted
    its `.signatures.json` cannot be used: it is not signed with `EdDSA`, which is the only algorithm that is accepted
    its signature does not verify with the configured key
    `.manifest` is not signed
    its `.signatures.json` cannot be used: it has `a` twice
    its `.signatures.json` cannot be used: the hash of `.manifest` is not SHA-256
    "#);
    // Layout and order of names are no part of a document.
    let same = changed(&|files| drop(files.insert("routes/data.json".into(), b"{\"a\":\"x\", \"b\":1.50}".to_vec())));
    assert!(same.starts_with("read "), "{same}");
}

/// Were the signature read by other rules than the document, a word could change its meaning under it.
#[test]
fn yaml_means_to_the_signature_what_it_means_to_the_rules() {
    let signed = |text: &str| {
        let files = files(&[("a.rego", RULE), ("data.yaml", text)]);
        archive::unpack(&build(files, "v7", Some(&pair().into())).unwrap()).unwrap()
    };
    for (text, other) in [
        ("a: false\n", "a: off\n"),
        ("a: false\n", "a: no\n"),
        ("a: false\n", "a: n\n"),
        ("a: true\n", "a: yes\n"),
        ("a: off\n", "a: false\n"),
        ("a: false\n", "a: \"false\"\n"),
    ] {
        let mut files = signed(text);
        files.insert("data.yaml".into(), other.into());
        assert_eq!(said(Bundle::of_files(files, &key())), "`data.yaml` is not as it was signed", "{text}{other}");
    }
    let mut files = signed("a: false\nb: 1\n");
    files.insert("data.yaml".into(), "{ b: 1, a: false }\n".into());
    assert_eq!(said(Bundle::of_files(files, &key())), "read a.rego data.yaml");
}

#[test]
fn structured_files_are_hashed_as_opa_does() {
    let hash = |name: &str, text: &str| signature::hash(name, text.as_bytes());
    let plain = |text: &str| {
        let hash = crate::model::Sha256::of(text.as_bytes());
        Some(hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    };
    for (text, compact) in [
        ("{ }", "{}"),
        (" [ ] ", "[]"),
        (
            "{\"b\": [1.50, 1e3, -0, {\"x\":null}], \"a\": {\"d\":true , \"c\":\"\\u0041\\/\\n\\u2028\\\\\\\"<\"} }",
            "{\"a\":{\"c\":\"A/\\n\\u2028\\\\\\\"<\",\"d\":true},\"b\":[1.50,1e3,-0,{\"x\":null}]}",
        ),
        ("\"]},\"", "\"]},\""),
    ] {
        assert_eq!(hash("x/data.json", text), plain(compact), "{text}");
        assert_eq!(hash("x/data.json", compact), plain(compact), "{text}");
        assert_eq!(hash("x.rego", text), plain(text), "{text}");
    }
    assert_eq!(hash("data.yaml", "b: 1\na: [x]\n"), plain("{\"a\":[\"x\"],\"b\":1}"));
    assert_eq!(hash("data.json", "{"), None);
}

#[test]
fn names_lead_nowhere_but_into_the_bundle() {
    // What `opa build` and `tar` write.
    assert_eq!(unsigned(&[("/a.rego", RULE), ("./b/data.json", "{}")]), "read a.rego b/data.json");
    let all = [
        unsigned(&[("../a.rego", RULE)]),
        unsigned(&[("a/../../b.rego", RULE)]),
        unsigned(&[("//etc/a.rego", RULE)]),
        unsigned(&[("/../a.rego", RULE)]),
        unsigned(&[("a//b.rego", RULE)]),
        unsigned(&[("a/./b.rego", RULE)]),
        unsigned(&[("C:/a.rego", RULE)]),
        unsigned(&[("a\\b.rego", RULE)]),
        unsigned(&[("a.rego", RULE), ("/a.rego", RULE)]),
        unsigned(&[("a.rego", RULE), ("README.md", "")]),
        unsigned(&[("a.rego", RULE), ("tables.json", "{}")]),
        unsigned(&[("policy.wasm", "")]),
        said(Bundle::of_files(BTreeMap::from([("a.rego".to_owned(), vec![0xff])]), &Verification::None)),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    it has an entry `../a.rego`, and names are relative, without `..`, `.`, `\` and empty parts
    it has an entry `a/../../b.rego`, and names are relative, without `..`, `.`, `\` and empty parts
    it has an entry `//etc/a.rego`, and names are relative, without `..`, `.`, `\` and empty parts
    it has an entry `/../a.rego`, and names are relative, without `..`, `.`, `\` and empty parts
    it has an entry `a//b.rego`, and names are relative, without `..`, `.`, `\` and empty parts
    it has an entry `a/./b.rego`, and names are relative, without `..`, `.`, `\` and empty parts
    it has an entry `C:/a.rego`, and names are relative, without `..`, `.`, `\` and empty parts
    it has an entry `a\\b.rego`, and names are relative, without `..`, `.`, `\` and empty parts
    it has `a.rego` twice
    `README.md` is not a file of a bundle; it has `.rego`, `data.json`, `data.yaml` and `data.yml` files
    `tables.json` is not a file of a bundle; it has `.rego`, `data.json`, `data.yaml` and `data.yml` files
    `policy.wasm` is not a file of a bundle; it has `.rego`, `data.json`, `data.yaml` and `data.yml` files
    `a.rego` is not UTF-8
    "#);
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Char, tar::EntryType::Fifo] {
        let archive = archive(&[("a.rego", kind, b"")]);
        assert_eq!(said(Bundle::read(&archive, &Verification::None)), "`a.rego` is not a plain file", "{kind:?}");
    }
    let folder = archive(&[
        ("rules/", tar::EntryType::Directory, b""),
        ("rules/a.rego", tar::EntryType::Regular, RULE.as_bytes()),
    ]);
    assert_eq!(said(Bundle::read(&folder, &Verification::None)), "read rules/a.rego");
}

#[test]
fn archives_are_bounded() {
    let read = |bytes: &[u8]| said(Bundle::read(bytes, &Verification::None));
    let zeros = vec![0; UNPACKED_BYTES_MAX as usize + 1];
    let bomb = archive(&[("data.json", tar::EntryType::Regular, &zeros)]);
    assert!(bomb.len() < 1 << 20);
    // A name that is as long as all that may be unpacked.
    let name =
        archive(&[("././@LongLink", tar::EntryType::GNULongName, &zeros), ("a.rego", tar::EntryType::Regular, b"")]);
    let names: Vec<String> = (0..=FILES_MAX).map(|n| format!("{n}.rego")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), tar::EntryType::Regular, RULE.as_bytes())).collect();
    let whole = build(good(), "v7", None).unwrap();
    let all = [
        read(&vec![0; ARCHIVE_BYTES_MAX + 1]),
        read(&bomb),
        read(&name),
        read(&archive(&many)),
        read(b""),
        read(b"package holdpoint"),
        read(&whole[..whole.len() / 2]),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    it has more than 16777216 bytes
    it has more than 67108864 bytes when it is unpacked
    it has more than 67108864 bytes when it is unpacked
    it has more than 2000 entries
    it is not a `tar.gz` archive that can be read
    it is not a `tar.gz` archive that can be read
    it is not a `tar.gz` archive that can be read
    "#);
}

#[test]
fn a_manifest_says_what_the_bundle_is_about() {
    let with = |manifest: &str| {
        unsigned(&[
            (".manifest", manifest),
            ("a.rego", RULE),
            ("routes/data.json", "{\"x\": 1}"),
            ("data.json", "{\"hosts\": 1}"),
        ])
    };
    assert_eq!(
        with(r#"{"roots": ["holdpoint", "routes/x", "hosts"], "metadata": {"by": "us"}}"#),
        "read a.rego data.json routes/data.json"
    );
    let all = [
        with(r#"{"roots": ["holdpoint", "routes"]}"#),
        with(r#"{"roots": ["routes", "hosts"]}"#),
        with(r#"{"roots": ["holdpointer", "routes", "hosts"]}"#),
        with(r#"{"roots": []}"#),
        with(r#"{"rego_version": 0}"#),
        with(r#"{"wasm": [{"entrypoint": "x"}]}"#),
        with("{\"revision\": \"a\\nb\"}"),
        with("{"),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    `data.json` is outside of the roots of `.manifest`: holdpoint, routes
    `a.rego` is outside of the roots of `.manifest`: routes, hosts
    `a.rego` is outside of the roots of `.manifest`: holdpointer, routes, hosts
    `a.rego` is outside of the roots of `.manifest`: 
    its `.manifest` cannot be used: only `rego_version` 1 is understood
    its `.manifest` cannot be used: `wasm` is not supported
    its `.manifest` cannot be used: `revision` is too long, or has control characters
    its `.manifest` cannot be used: EOF while parsing an object at line 1 column 1
    "#);
}

#[test]
fn a_key_is_an_ed25519_key_in_pem() {
    let Verification::Key(key) = key() else { return };
    let bytes: [u8; 32] = pair().public_key().as_ref().try_into().unwrap();
    let der = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00][..], &bytes].concat();
    let pem = |der: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    };
    assert_eq!(BundleKey::from_pem(&pem(&der)), Ok(key));
    assert_eq!(BundleKey::from_pem(&pem(&der[..40])), Err(BundleKeyError));
    assert_eq!(BundleKey::from_pem("hush"), Err(BundleKeyError));
}
