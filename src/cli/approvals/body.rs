//! `body`: the whole body of a call, to a file, to another program, or to be read at once.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::model::Sha256Hasher;

use super::client::Client;
use super::failure::Exit;
use super::failure::Failure;
use super::find;
use super::terminal::Terminal;
use super::text;

pub(super) async fn body(
    client: &Client,
    terminal: &mut Terminal,
    typed: &str,
    output_file: Option<&Path>,
) -> Result<(), Failure> {
    let id = find::resolve(client, typed).await?;
    let (_, detail) = find::get(client, &id).await?;
    let (bytes, sha256) = (detail.body.readable_bytes, detail.body.readable_sha256.as_str());
    let incoming = client.download(&id).await?;
    match output_file {
        Some(path) => {
            save(client, incoming, path, bytes, sha256).await?;
            let path = path.display().to_string();
            terminal.say(&format!("{bytes} bytes ({sha256}) are in {}", text::one_line(&path)))?;
        }
        None if terminal.is_shown() => {
            // Nothing of it is shown before all of it is known to be what it should be.
            let mut whole = Vec::new();
            copy(client, incoming, &mut whole, bytes, sha256).await?;
            let lines: Vec<_> = text::lines(&String::from_utf8_lossy(&whole)).map(|line| line.to_string()).collect();
            terminal.print(&lines.join("\n"))?;
        }
        None => copy(client, incoming, terminal.out(), bytes, sha256).await?,
    }
    Ok(())
}

/// For its owner only, as it may hold anything; never over a file that is there.
async fn save(client: &Client, incoming: Incoming, path: &Path, bytes: u64, sha256: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        let advice = if error.kind() == std::io::ErrorKind::AlreadyExists { "; choose another name" } else { "" };
        Failure::usage(format!("--output-file `{}`: {error}{advice}", path.display()))
    };
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let saved = copy(client, incoming, &mut file, bytes, sha256).await;
    if saved.is_err() {
        // Half of it would look like all of it.
        let _ = std::fs::remove_file(path);
    }
    saved
}

async fn copy(
    client: &Client,
    mut incoming: Incoming,
    to: &mut (impl Write + ?Sized),
    bytes: u64,
    sha256: &str,
) -> Result<(), Failure> {
    let (mut hasher, mut length) = (Sha256Hasher::new(), 0);
    while let Some(frame) = client.frame(incoming.frame()).await? {
        let Ok(data) = frame.into_data() else { continue };
        hasher.update(&data);
        length += data.len() as u64;
        to.write_all(&data)?;
    }
    to.flush()?;
    if length != bytes || hasher.finish().to_string() != sha256 {
        let what = "what came is not the body that the approval is about; do not decide by it";
        return Err(Failure::new(Exit::NotVerified, what));
    }
    Ok(())
}
