//! Certificates, keys and tokens in the folder of a test.

use std::path::Path;

use holdpoint::identity::KeyHolder;
use holdpoint::identity::key;
use holdpoint::server::system_clock;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use secrecy::ExposeSecret;

/// Writes `ca.pem`, `server.pem` and `server.key` for this machine's own names.
pub(crate) fn write_certificates(folder: &Path, common_name: &str) {
    write_certificates_for(folder, common_name, &["localhost", "127.0.0.1", "proxy.test", "other.test"]);
}

/// The same for these names.
pub(crate) fn write_certificates_for(folder: &Path, common_name: &str, names: &[&str]) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "Test CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let server_key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut server = CertificateParams::new(names).unwrap();
    server.distinguished_name.push(DnType::CommonName, common_name);
    let server_pem = server.signed_by(&server_key, &issuer).unwrap().pem();
    for (name, text) in [("ca.pem", ca_pem), ("server.key", server_key.serialize_pem()), ("server.pem", server_pem)] {
        replace(&folder.join(name), &text);
    }
}

/// A key for an agent, kept hashed in `keys/`.
pub(super) fn make_key(folder: &Path, principal: &str) -> String {
    make(KeyHolder::Principal(principal.to_owned()), &folder.join("keys").join(principal))
}

/// A token for a reviewer, kept hashed in `tokens/reviewers`.
pub(super) fn make_token(folder: &Path, person: &str) -> String {
    make(KeyHolder::Reviewer(person.parse().unwrap()), &folder.join("tokens/reviewers"))
}

fn make(holder: KeyHolder, file: &Path) -> String {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let made = key::generate(holder, None, system_clock().now(), None).unwrap();
    key::append_to_file(file, &made.record).unwrap();
    made.secret.expose_secret().to_owned()
}

/// Puts `text` at `path` in one step, so that nobody reads half of it.
pub(super) fn replace(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let next = path.with_extension("next");
    std::fs::write(&next, text).unwrap();
    std::fs::set_permissions(&next, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(&next, path).unwrap();
}
