//! What the demo tells people to try.

use std::net::SocketAddr;
use std::path::Path;

use super::files::Files;

/// The guide, ready to be printed.
pub(super) fn text(files: &Files, program: &Path, proxy: SocketAddr, admin: SocketAddr) -> anyhow::Result<String> {
    let (folder, program) = (files.folder.display(), program.display());
    let ca = files.ca();
    let curl = format!(
        "curl --cacert {} -H \"Authorization: Bearer $(cat {})\"",
        ca.display(),
        files.agent_key_file().display()
    );
    Ok(format!(
        r#"
Holdpoint is ready.

  agents     https://{proxy}
  reviewers  https://{admin}
  files      {folder}

Be an agent. Reading passes at once:

  {curl} https://{proxy}/customers

Deleting a production cluster is denied, with a reason:

  {curl} -X DELETE https://{proxy}/clusters/prod-1

Exporting all customers is held; this one waits:

  {curl} -H "Approval-Reason: quarterly report" https://{proxy}/customers/export

Be a reviewer, in a second terminal:

  source {folder}/bo.env
  {program} approvals list
  {program} approvals approve ID

or in a browser, with the token that `cat {folder}/bo.token` prints (its certificate is the demo's own):

  https://{admin}

and the export arrives in the first one. Every step is in the log:

  {program} audit tail --path {folder}/audit
  {program} audit verify --path {folder}/audit

The configuration is {folder}/holdpoint.yaml, the rules are in {folder}/policies;
a change takes effect when it is saved. Ctrl-C stops the demo.
"#
    ))
}
