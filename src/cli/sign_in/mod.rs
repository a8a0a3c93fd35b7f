//! `holdpoint login`, `logout` and `whoami`: a reviewer at a terminal, with the organisation's own
//! account.
//!
//! The identity provider is asked by the server, not from here: this machine needs neither its
//! address nor a secret, and what it gets is a session with the server, never the provider's token.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::review::api::DeviceSession;
use crate::review::api::DeviceStart;
use crate::review::api::Me;

use super::approvals::Client;
use super::approvals::ConnectionArgs;
use super::approvals::Exit;
use super::approvals::Failure;
use super::approvals::Terminal;
use super::approvals::text;
use super::approvals::understand;

mod file;

pub(super) use file::SessionFile;

use file::Kept;
use file::SessionFileError;

/// Which server.
#[derive(Clone, Debug, Args)]
pub(super) struct SignInArgs {
    /// Where the admin API is.
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignInCommand {
    /// Begin a session.
    Login,
    /// End it.
    Logout,
    /// Say whose it is.
    WhoAmI,
}

/// Does it. What went wrong is printed to the terminal's stderr and told by the exit code.
///
/// # Errors
/// Only if not even that can be printed.
pub(super) async fn run(command: SignInCommand, args: SignInArgs, terminal: &mut Terminal) -> anyhow::Result<ExitCode> {
    let done = match command {
        SignInCommand::Login => login(&args.connection, terminal).await,
        SignInCommand::Logout => logout(&args.connection, terminal).await,
        SignInCommand::WhoAmI => who_am_i(&args.connection, terminal).await,
    };
    let exit = match done {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            terminal.complain(&failure)?;
            failure.exit
        }
    };
    Ok(ExitCode::from(exit as u8))
}

async fn login(args: &ConnectionArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let file = terminal.sessions().cloned().ok_or_else(|| {
        Failure::usage("there is no folder to keep a session in: set HOME or XDG_CONFIG_HOME to an absolute path")
    })?;
    // Known before somebody has taken the trouble to sign in.
    file.token(&args.server, terminal.now())?;
    let client = Client::anonymous(args)?;
    let start: DeviceStart = understand(&client.post("/v1/sign-in/device", &json!({})).await?)?;
    let uri = text::one_line(&start.verification_uri);
    terminal.say(&format!("Open {uri}"))?;
    terminal.say(&format!("and type in  {}", text::one_line(&start.user_code)))?;
    let minutes = start.expires_in.div_ceil(60);
    terminal
        .say(&format!("Type in only a code that you have asked for yourself. There are {minutes} minutes for it."))?;
    loop {
        let answer = client.post("/v1/sign-in/device/session", &json!({ "device": start.device })).await?;
        match understand(&answer)? {
            DeviceSession { token: Some(token), person: Some(person), expires: Some(expires), .. } => {
                file.put(&args.server, Kept { token, person: person.clone(), expires })?;
                terminal.say(&format!("Signed in as {}, until {expires}.", text::one_line(&person)))?;
                return Ok(());
            }
            _ => tokio::time::sleep(Duration::from_secs(start.interval.clamp(1, 30))).await,
        }
    }
}

async fn logout(args: &ConnectionArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let file = terminal.sessions().cloned();
    let token = file.as_ref().map(|file| file.token(&args.server, terminal.now())).transpose()?.flatten();
    let (Some(file), Some(token)) = (file, token) else {
        terminal.say("There is no session with this server.")?;
        return Ok(());
    };
    let client = Client::with_token(args, &token)?;
    // It is over on this machine, whatever the server says.
    file.forget(&args.server)?;
    match client.post("/v1/sign-out", &json!({})).await {
        Ok(Value::Object(_)) => {}
        Ok(_) => return Err(Failure::error("the server's answer is not understood; is it another version?")),
        Err(failure) if failure.exit == Exit::NotPermitted => {}
        Err(failure) => return Err(failure),
    }
    terminal.say("Signed out.")?;
    Ok(())
}

async fn who_am_i(args: &ConnectionArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let client = terminal.client(args)?;
    let me: Me = understand(&client.get("/v1/me").await?)?;
    let groups: Vec<_> = me.groups.iter().map(|group| text::one_line(group)).collect();
    terminal.print(&text::one_line(&me.person))?;
    terminal.print(&format!("groups: {}", if groups.is_empty() { "none".to_owned() } else { groups.join(", ") }))?;
    if let Some(expires) = me.session_expires {
        terminal.print(&format!("session until {expires}"))?;
    }
    Ok(())
}

impl From<SessionFileError> for Failure {
    fn from(error: SessionFileError) -> Self {
        Self::usage(error.to_string())
    }
}
